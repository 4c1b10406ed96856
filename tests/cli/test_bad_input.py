"""Bad input: exit status 2, one sentence without a traceback, and nothing written."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from fourreal_core.cli import main
from fourreal_core.cli.arguments import refuse_file_names
from fourreal_core.errors import InputError
from fourreal_core.media import save_image, write_video


@pytest.fixture
def refused(tmp_path, two_clips, pipeline, capfd) -> Callable[..., str]:
    """Runs two good clips with arguments replaced or added; returns the sentence."""

    def run(**changes: str | Path) -> str:
        args = dict(zip(two_clips[1::2], two_clips[2::2], strict=True)) | {"-o": str(tmp_path / "out")}
        for key, value in changes.items():
            args["-o" if key == "o" else "--" + key.replace("_", "-")] = str(value)
        assert main(["run", "--quiet", *(word for pair in args.items() for word in pair)]) == 2
        out, err = capfd.readouterr()
        assert out == "" and err.count("\n") == 1 and err.startswith("fourreal: ") and err.endswith(".\n")
        assert "Traceback" not in err and pipeline.grid is None
        assert "; expected " in err
        return err

    return run


def written(tmp_path: Path, name: str, data: bytes) -> Path:
    (tmp_path / name).write_bytes(data)
    return tmp_path / name


def test_missing_clips(refused, tmp_path):
    assert "none.mp4 does not exist; expected a file; check the path." in refused(freeze_time=tmp_path / "none.mp4")


def test_zero_byte_clips(refused, tmp_path):
    assert "has 0 bytes; expected a complete file" in refused(fixed_view=written(tmp_path, "a.mp4", b""))


def test_unreadable_clips(refused, tmp_path):
    assert "can't be read as a video" in refused(fixed_view=written(tmp_path, "a.mp4", b"no video at all" * 99))


def test_empty_folders(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "has no images" in refused(freeze_time=tmp_path / "empty")


def test_unreadable_frames(refused, tmp_path):
    written(tmp_path / "freeze", "9.png", b"no picture")
    assert "9.png can't be read as a picture" in refused()


def test_one_frame_clips(refused, clip_folder):
    assert "the freeze-time clip has 1 frame (one view has no parallax)" in refused(freeze_time=clip_folder("one", 1))
    assert "the fixed-view clip has 1 frame (one moment has no motion)" in refused(fixed_view=clip_folder("two", 1))


def test_output_folders_that_are_called_like_files(refused, tmp_path):
    for name in ("out.mp4", "out.PLY", "out.splat", "out.html", "out.jpg", "out.zip", "out.m4v"):
        assert f"the output {name}, which is the name of a file; expected the name of a folder" in refused(
            o=tmp_path / name
        )
        assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    "command",
    [
        ["batch", "jobs.csv"],
        ["queue", "workflow.json", "jobs.csv", "--host", "localhost:1"],
        ["evaluate", "ours"],
        ["data", "render-procedural"],
        ["study", "make", "a", "b"],
        ["study", "report", "study"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_every_command_that_writes_a_folder_refuses_a_file_s_name(command, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert main([*command, "-o", "out.mp4"]) == 2
    assert "the output out.mp4, which is the name of a file" in capfd.readouterr().err
    assert not list(tmp_path.iterdir())


def test_folders_may_have_dots_and_addresses_any_name(tmp_path):
    (tmp_path / "there.mp4").mkdir()
    for name in (tmp_path / "take.v2", tmp_path / "run_1.5", tmp_path / "there.mp4", "s3://bucket/set.zip"):
        refuse_file_names(name)


def test_damaged_clips_where_that_is_asked(two_clips, tmp_path, capfd):
    path = write_video(torch.rand(12, 32, 48, 3), tmp_path / "a.webm")
    path.write_bytes(path.read_bytes()[:-400])
    args = [*two_clips, "--freeze-time", str(path), "-o", str(tmp_path / "out")]
    assert main([*args, "--strict", "--quiet"]) == 2
    assert "a.webm ends early: 11 of 12 frames" in capfd.readouterr().err


@pytest.mark.parametrize("size", ["512", "512*288", "0x0", "16x16", "x", "1e3x288"])
def test_sizes_that_are_none(refused, size):
    assert "say for example --size 512x288" in refused(size=size)


@pytest.mark.parametrize("count", ["1", "0"])
def test_too_few_views(refused, count):
    assert f"{count} views; expected at least 2" in refused(views=count)


def test_more_times_than_frames(refused):
    assert "has 4 frames; expected the 9 that were asked for" in refused(times="9")


@pytest.mark.parametrize("device", ["warp-drive", "cuda:99", "meta"])
def test_devices_that_are_not_there(refused, device):
    assert "expected a device of this machine" in refused(device=device)


def test_masks_that_hide_everything_or_fit_nothing(refused, tmp_path):
    save_image(torch.zeros(32, 48, 3), tmp_path / "black.png")
    assert "hides every pixel" in refused(mask=tmp_path / "black.png")
    save_image(torch.ones(48, 48, 3), tmp_path / "square.png")
    assert "draw it on a frame of the clip" in refused(mask=tmp_path / "square.png")


def test_cells_that_are_none(refused, tmp_path, pictures):
    cells = tmp_path / "cells"
    assert "is not a folder" in refused(grid=cells)
    cells.mkdir()
    written(cells, "v1.png", b"")
    assert "no cells in" in refused(grid=cells)
    save_image(pictures(1)[0], cells / "v3_t0.png")
    assert "a known cell v3_t0; expected views 0 to 2 and times 0 to 3" in refused(grid=cells)


def test_two_files_for_one_cell(refused, tmp_path, pictures):
    (tmp_path / "cells").mkdir()
    for name in ("v1_t1.png", "v01_t1.png"):
        save_image(pictures(1)[0], tmp_path / "cells" / name)
    assert "two files for one cell" in refused(grid=tmp_path / "cells")


def test_cells_of_another_aspect_ratio(refused, tmp_path, pictures):
    (tmp_path / "cells").mkdir()
    save_image(pictures(1, 48, 48)[0], tmp_path / "cells" / "v1_t1.png")
    assert "v1_t1.png of 48 x 48 pixels; expected the clips' aspect ratio, 48 x 32" in refused(grid=tmp_path / "cells")


def test_frames_with_values_that_are_no_pictures(refused, tmp_path):
    for i, value in enumerate((0.5, float("nan"))):
        (tmp_path / "deep").mkdir(exist_ok=True)
        Image.fromarray(torch.full((32, 48), value).numpy()).save(tmp_path / "deep" / f"{i}.tiff")
    assert "finite values in [0, 1]" in refused(freeze_time=tmp_path / "deep")


def test_an_output_folder_that_is_a_file(refused, tmp_path):
    assert "can't be written" in refused(o=written(tmp_path, "file", b"x"))
    assert "can't be written" in refused(o=tmp_path / "file" / "below")


def test_a_full_disk(tmp_path, two_clips, pipeline, capfd, monkeypatch):
    real = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        if self.suffix == ".png":
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    assert main([*two_clips, "-o", str(tmp_path / "out"), "--quiet"]) == 2
    assert "no space left to write" in capfd.readouterr().err
    assert not [p for p in (tmp_path / "out").rglob("*") if p.suffix == ".png" or ".part" in p.name]
    assert not (tmp_path / "out" / "report.json").exists()


def test_debug_shows_the_traceback(tmp_path, two_clips, pipeline):
    with pytest.raises(InputError, match="does not exist"):
        main(["run", "--freeze-time", "none.mp4", *two_clips[3:], "-o", str(tmp_path / "out"), "--debug"])


@pytest.mark.parametrize("args", [[], ["fly"], ["run"], ["run", "--freeze-time", "a"], ["demo", "--seed", "x"]])
def test_arguments_that_are_none_exit_with_2(args, capsys):
    with pytest.raises(SystemExit) as caught:
        main(args)
    assert caught.value.code == 2 and "usage: fourreal" in capsys.readouterr().err
