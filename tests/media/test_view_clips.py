"""Folders of views: what is found in them, and that only wanted frames are read and kept."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import imageio.v3 as iio
import pytest
import torch
from torch import Tensor

from fourreal_core.errors import InputError
from fourreal_core.media import read_clip, save_image, write_video
from fourreal_core.media.images import to_uint8
from fourreal_core.media.view_clips import count_frames, find_views


def folder_of(clip: Tensor, path: Path) -> Path:
    path.mkdir(parents=True)
    for i, frame in enumerate(clip):
        save_image(frame, path / f"{i}.png")
    return path


def test_folders_of_pictures_are_views_in_natural_order(tmp_path, pictures):
    clips = [pictures(5) for _ in range(3)]
    for name, clip in zip(("cam2", "cam10", "cam1"), clips, strict=True):
        folder_of(clip, tmp_path / name)
    (tmp_path / "notes.txt").write_text("no view")
    (tmp_path / "empty").mkdir()
    (tmp_path / ".cache").mkdir()
    found = find_views(tmp_path)
    assert found.names == ("cam1", "cam2", "cam10") and len(found.times) == 5
    frames, known = found.read([2, 0], 3)
    assert torch.equal(frames, torch.stack([clips[1], clips[2]])[:, [0, 2, 4]])
    assert known.shape == (2, 3) and bool(known.all())


def test_videos_are_views_and_their_frames_are_counted(tmp_path, pictures):
    for name in ("b", "a"):
        write_video(pictures(7), tmp_path / f"{name}.mp4")
    found = find_views(tmp_path)
    assert found.names == ("a", "b") and len(found.times) == 7
    frames, _ = found.read([0, 1], 3)
    assert torch.equal(frames[1], read_clip(tmp_path / "b.mp4")[[0, 3, 6]])
    iio.imwrite(tmp_path / "c.webp", to_uint8(pictures(4)), plugin="pillow", lossless=True, duration=100)
    assert count_frames(tmp_path / "c.webp") == 4


def test_pictures_named_by_view_and_time_are_cells_and_some_may_be_missing(tmp_path, pictures):
    cells = {(2, 4): 0, (2, 10): 1, (7, 4): 2, (11, 10): 3}
    clip = pictures(4)
    for (v, t), k in cells.items():
        save_image(clip[k], tmp_path / f"v{v}_t{t}.png")
    found = find_views(tmp_path)
    assert found.names == ("v2", "v7", "v11") and found.times == ("t4", "t10")
    frames, known = found.read([0, 1, 2])
    assert known.tolist() == [[True, True], [True, False], [False, True]]
    assert torch.equal(frames[2, 1], clip[3]) and not frames[1, 1].any()


def test_frames_are_resized_and_other_shapes_refused(tmp_path, pictures):
    folder_of(pictures(2, 32, 48), tmp_path / "a")
    folder_of(pictures(2, 64, 96), tmp_path / "b")
    frames, _ = find_views(tmp_path).read([0, 1])
    assert frames.shape == (2, 2, 32, 48, 3)
    assert torch.equal(frames[1], read_clip(tmp_path / "b", (32, 48)))
    folder_of(pictures(2, 40, 40), tmp_path / "c")
    with pytest.raises(InputError, match="a view c of 40 x 40 pixels"):
        find_views(tmp_path).read([0, 2])


def test_memory_is_that_of_the_frames_kept(tmp_path, pictures):
    """Forty frames a view or four: the same four are kept, and nothing else at the same time but one view's."""
    peaks = {}
    for count in (4, 40):
        for view in range(6):
            folder_of(pictures(count, 64, 64), tmp_path / str(count) / f"{view}")
        found = find_views(tmp_path / str(count))
        tracemalloc.start()
        frames, _ = found.read(range(6), 4)
        peaks[count] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert frames.shape == (6, 4, 64, 64, 3)
    assert peaks[40] < 1.2 * peaks[4]  # ten times as many would be held otherwise


def test_what_is_no_folder_of_views_is_said(tmp_path, pictures):
    with pytest.raises(InputError, match="is not a folder"):
        find_views(tmp_path / "nowhere")
    folder_of(pictures(3), tmp_path / "one" / "a")
    with pytest.raises(InputError, match="1 views in"):
        find_views(tmp_path / "one")
    folder_of(pictures(3), tmp_path / "two" / "a")
    folder_of(pictures(5), tmp_path / "two" / "b")
    with pytest.raises(InputError, match="a view a of 3 and a view b of 5 frames"):
        find_views(tmp_path / "two")
    (tmp_path / "two" / "c.mp4").write_bytes(b"no video")
    with pytest.raises(InputError, match=r"c\.mp4 can't be read as a video"):
        find_views(tmp_path / "two")
    (tmp_path / "cells").mkdir()
    for name in ("v1_t0.png", "v01_t0.png", "v0_t0.png"):
        save_image(pictures(1)[0], tmp_path / "cells" / name)
    with pytest.raises(InputError, match="two files for one cell"):
        find_views(tmp_path / "cells")
