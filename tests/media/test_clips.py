"""Clips from files and folders, and the pair that the main job starts from."""

from __future__ import annotations

import logging
from pathlib import Path

import imageio.v3 as iio
import pytest
import torch
from torch import Tensor

from fourreal_core.errors import InputError
from fourreal_core.media import read_clip, read_clip_pair, save_image, write_video
from fourreal_core.media.frame_times import pick_evenly, pick_in_time
from fourreal_core.media.images import to_uint8


def folder_of(clip: Tensor, path: Path) -> Path:
    path.mkdir()
    for i, frame in enumerate(clip):
        save_image(frame, path / f"frame{i + 5}.png")  # frame9 before frame10
    return path


@pytest.mark.parametrize(
    ("total", "count", "expected"),
    [
        (8, None, list(range(8))),
        (8, 8, list(range(8))),
        (3, 8, [0, 1, 2]),
        (50, 3, [0, 24, 49]),
        (9, 5, [0, 2, 4, 6, 8]),
        (100, 1, [0]),
    ],
)
def test_frames_are_picked_evenly_with_both_ends(total, count, expected):
    assert pick_evenly(total, count) == expected


def test_a_folder_is_read_exactly_and_in_natural_order(tmp_path, pictures):
    clip = pictures(8)
    folder = folder_of(clip, tmp_path / "clip")
    (folder / "notes.txt").write_text("no picture")
    (folder / ".frame0.png").write_bytes(b"a thumbnail someone's desktop left")
    assert torch.equal(read_clip(folder), clip)
    assert torch.equal(read_clip(folder, frames=3), clip[[0, 4, 7]])


def test_an_animated_webp_is_read_exactly(tmp_path, pictures):
    clip = pictures(5)
    iio.imwrite(tmp_path / "a.webp", to_uint8(clip), plugin="pillow", lossless=True, duration=100)
    assert torch.equal(read_clip(tmp_path / "a.webp"), clip)


def test_an_animated_gif_is_read_to_its_palette(tmp_path, pictures):
    clip = pictures(5)
    iio.imwrite(tmp_path / "a.gif", to_uint8(clip), plugin="pillow", duration=100)
    read = read_clip(tmp_path / "a.gif", frames=5)
    assert read.shape == clip.shape and float((read - clip).abs().mean()) < 0.03


def test_a_video_keeps_count_order_and_colours(tmp_path, pictures):
    clip = pictures(6, 48, 64)
    path = write_video(clip, tmp_path / "a.mp4", crf=0)
    assert float((read_clip(path) - clip).abs().mean()) < 0.03
    some = read_clip(path, frames=3)
    assert [int(((clip - frame) ** 2).mean((1, 2, 3)).argmin()) for frame in some] == [0, 2, 5]


def test_at_most_takes_what_there_is(tmp_path, pictures):
    folder = folder_of(pictures(3), tmp_path / "clip")
    assert len(read_clip(folder, at_most=8)) == 3 and len(read_clip(folder, at_most=2)) == 2


def test_clips_are_resized(tmp_path, pictures):
    folder = folder_of(pictures(2), tmp_path / "clip")
    assert read_clip(folder, (16, 24)).shape == (2, 16, 24, 3)


def test_more_frames_than_there_are_is_refused(tmp_path, pictures):
    folder = folder_of(pictures(3), tmp_path / "clip")
    with pytest.raises(InputError, match="has 3 frames; expected the 5 that were asked for"):
        read_clip(folder, frames=5)


@pytest.mark.parametrize("asked", [{"frames": 0}, {"frames": -1}, {"at_most": 0}])
def test_no_frames_at_all_are_not_laid_to_the_clip(tmp_path, pictures, asked):
    folder = folder_of(pictures(3), tmp_path / "clip")
    with pytest.raises(InputError, match="frames of a clip asked for; expected one at least"):
        read_clip(folder, **asked)


def test_frames_of_two_sizes_are_refused_unless_a_size_is_said(tmp_path, pictures):
    folder = folder_of(pictures(2), tmp_path / "clip")
    save_image(pictures(1, 16, 24)[0], folder / "frame9.png")
    with pytest.raises(InputError, match="frames of different sizes; expected one size"):
        read_clip(folder)
    assert read_clip(folder, (16, 24)).shape == (3, 16, 24, 3)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("empty.mp4", b"", "has 0 bytes"),
        ("empty.gif", b"", "has 0 bytes"),
        ("text.mp4", b"this is no video " * 50, "can't be read as a video"),
        ("text.webp", b"this is no picture", "can't be read as a picture"),
        ("text.unknown", b"\0" * 4000, "can't be read as a video"),
    ],
)
def test_unreadable_files_are_one_sentence(tmp_path, name, data, words):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=words) as caught:
        read_clip(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_cut_off_video_is_one_sentence(tmp_path, pictures):
    path = write_video(pictures(8, 64, 64), tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(InputError, match="can't be read as a video"):
        read_clip(path)


def test_missing_and_empty_paths_are_one_sentence(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_clip(tmp_path / "none.mp4")
    with pytest.raises(InputError, match="has no images"):
        read_clip(tmp_path)


def test_sound_is_no_clip(tmp_path):
    import av

    with av.open(str(tmp_path / "a.wav"), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame(format="s16", layout="mono", samples=800)
        frame.sample_rate = 8000
        frame.planes[0].update(bytes(1600))
        file.mux(stream.encode(frame))
    with pytest.raises(InputError, match="has no video stream"):
        read_clip(tmp_path / "a.wav")


def test_a_pair_of_one_size_is_read_as_it_is(tmp_path, pictures, caplog):
    freeze, fixed = pictures(3), pictures(4)
    read = read_clip_pair(folder_of(freeze, tmp_path / "a"), folder_of(fixed, tmp_path / "b"))
    assert torch.equal(read[0], freeze) and torch.equal(read[1], fixed) and caplog.text == ""


def test_a_pair_of_two_sizes_is_resized_with_a_warning(tmp_path, pictures, caplog):
    paths = folder_of(pictures(3), tmp_path / "a"), folder_of(pictures(4, 64, 96), tmp_path / "b")
    with caplog.at_level(logging.WARNING, "fourreal_core"):
        _, fixed = read_clip_pair(*paths)
    assert fixed.shape == (4, 32, 48, 3)
    assert "the fixed-view clip is 96 x 64 pixels and the freeze-time clip 48 x 32" in caplog.text


@pytest.mark.parametrize(
    ("counts", "words"), [((1, 4), "freeze-time clip has 1 frame"), ((3, 1), "fixed-view clip has 1 frame")]
)
def test_one_frame_is_no_clip(tmp_path, pictures, counts, words):
    paths = [folder_of(pictures(n), tmp_path / str(i)) for i, n in enumerate(counts)]
    with pytest.raises(InputError, match=words + ".*expected at least 2; choose a longer clip"):
        read_clip_pair(*paths)


def test_a_single_picture_is_a_clip_of_one_frame(tmp_path, pictures):
    path, folder = save_image(pictures(1)[0], tmp_path / "a.png"), folder_of(pictures(3), tmp_path / "b")
    with pytest.raises(InputError, match="freeze-time clip has 1 frame"):
        read_clip_pair(path, folder)


@pytest.mark.parametrize("counts", [{"views": 1}, {"times": 0}, {"views": -3}])
def test_fewer_than_two_views_or_times_are_refused(tmp_path, pictures, counts):
    folder = folder_of(pictures(3), tmp_path / "a")
    with pytest.raises(InputError, match="at least 2"):
        read_clip_pair(folder, folder, **counts)


@pytest.mark.parametrize(
    ("times", "count", "expected"),
    [
        ([0, 1, 2, 3, 10], 3, [0, 3, 4]),  # 5 is nearest to 3
        ([0, 7, 8, 9, 10], 3, [0, 1, 4]),
        ([0, 9.7, 9.8, 9.9, 10], 4, [0, 1, 2, 4]),  # none twice
        ([0, 0.1, 0.2, 0.3, 10], 4, [0, 2, 3, 4]),
        ([0, 1, 2, 3, 4], 3, [0, 2, 4]),
        ([3, 2, 9, 1, 0], 3, [0, 2, 4]),  # times that don't rise say nothing
        ([0, 1, 50], None, [0, 1, 2]),
        ([], 3, []),
    ],
)
def test_frames_are_picked_nearest_to_even_moments(times, count, expected):
    assert pick_in_time(times, count) == expected
