"""Output files: whole or not at all, and only inside the output folder."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from fourreal_core.errors import InputError
from fourreal_core.media.files import output_path, prepare_folder, whole_file, write_bytes


@pytest.mark.parametrize(
    "name",
    [
        "../x.png",
        "a/../../x.png",
        "/x.png",
        "a//x.png",
        "..",
        ".",
        "",
        "a/",
        "C:/x.png",
        r"..\x.png",
        r"\\host\x.png",
        "x\0.png",
        "x\n.png",
        "what?.png",
        "a*.png",
        "CON",
        "nul.txt",
        "a/com1.png",
        " x.png",
        "x.png ",
        "x.",
    ],
)
def test_names_that_would_leave_the_folder_are_refused(tmp_path, name):
    with pytest.raises(InputError, match="a plain name that stays in the output folder"):
        output_path(tmp_path, name)


@pytest.mark.parametrize("name", ["x.png", "grid/v0_t0.png", r"grid\v0_t0.png", "äöü 4D.mp4", ".hidden", "con1.txt"])
def test_plain_names_are_accepted(tmp_path, name):
    assert output_path(tmp_path, name) == tmp_path.joinpath(*name.replace("\\", "/").split("/"))


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "out").mkdir()
    try:
        (tmp_path / "out" / "link").symlink_to(tmp_path, target_is_directory=True)
    except OSError:
        pytest.skip("this user may not make symbolic links")
    with pytest.raises(InputError):
        output_path(tmp_path / "out", "link/x.png")


def test_a_whole_file_takes_its_place(tmp_path):
    write_bytes(tmp_path / "a.bin", b"old")
    with whole_file(tmp_path / "a.bin") as part:
        part.write_bytes(b"new")
        assert part.suffix == ".bin" and (tmp_path / "a.bin").read_bytes() == b"old"
    assert (tmp_path / "a.bin").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_an_interrupted_file_leaves_what_was_there(tmp_path, interruption):
    write_bytes(tmp_path / "a.bin", b"old")
    with pytest.raises(interruption), whole_file(tmp_path / "a.bin") as part:
        part.write_bytes(b"ha")
        raise interruption
    assert os.listdir(tmp_path) == ["a.bin"] and (tmp_path / "a.bin").read_bytes() == b"old"


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    real = Path.write_bytes

    def half(self: Path, data: bytes) -> int:
        real(self, data[:1])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(InputError, match="no space left to write .*a.bin; expected room for the outputs; free some"):
        write_bytes(tmp_path / "a.bin", b"abc")
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="can't be written .*choose another output folder"):
        write_bytes(tmp_path / "none" / "a.bin", b"abc")


def test_folders_are_made_and_files_are_no_folders(tmp_path):
    assert prepare_folder(tmp_path / "a" / "b").is_dir()
    assert os.listdir(tmp_path / "a" / "b") == []
    (tmp_path / "file").write_bytes(b"x")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="can't be written"):
            prepare_folder(path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="rights bind neither Windows nor root")
def test_a_folder_without_write_rights_is_one_sentence(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError, match="a folder that this user may write to"):
            prepare_folder(tmp_path)
    finally:
        tmp_path.chmod(0o700)
