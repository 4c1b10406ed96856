"""Grids from the videos of several cameras."""

from __future__ import annotations

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.media import write_video
from fourreal_core.training.batches import generator_for
from fourreal_core.training.data.multicam import MultiCameraVideos, camera_videos


@pytest.fixture
def scenes(tmp_path):
    """Two scenes: each pixel of a camera's frame says camera (red) and time (green)."""
    for scene, folder, cameras, frames in (("one", "videos", 11, 6), ("two", "", 2, 6), ("short", "", 3, 2)):
        for camera in range(1, cameras + 1):
            clip = torch.zeros(frames, 32, 32, 3)
            clip[..., 0] = camera / 16
            clip[..., 1] = torch.arange(frames)[:, None, None] / 8
            path = tmp_path / scene / folder / f"cam{camera}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_video(clip, path, crf=1)
    (tmp_path / "one" / "caption.txt").write_text("a ball")
    return tmp_path


def test_rows_are_cameras_in_the_order_of_their_numbers(scenes):
    assert [p.stem for p in camera_videos(scenes / "one" / "videos")][-3:] == ["cam9", "cam10", "cam11"]
    source = MultiCameraVideos(scenes, 11, 3, (16, 16))
    grid, caption = source.take(0, generator_for(0))
    assert grid.shape == (11, 3, 16, 16, 3) and caption == "a ball"
    means = grid.float().mean((2, 3)) / 255
    # colours of a video are off by a few of 255 levels
    assert torch.allclose(means[:, :, 0], torch.arange(1, 12)[:, None] / 16, atol=0.025)
    steps = (means[:, 1:, 1] - means[:, :-1, 1]) * 8
    assert torch.allclose(steps, steps.round(), atol=0.3) and (steps.round() >= 1).all()
    assert torch.allclose(means[:, :, 1], means[:1, :, 1], atol=0.025)  # the same times in all cameras


def test_scenes_that_are_too_small_are_left_out_and_named(scenes):
    source = MultiCameraVideos(scenes, 2, 4, (16, 16))
    for position in range(6):
        assert source.take(position, generator_for(position)).grid.shape[:2] == (2, 4)
    assert [reason for name, reason in source.skipped.reasons.items() if name.endswith("short")]
    with pytest.raises(InputError, match="none of 3 can be read"):
        MultiCameraVideos(scenes, 12, 4, (16, 16)).draw(0, generator_for(0))


def test_a_folder_without_cameras(tmp_path):
    with pytest.raises(InputError, match="no videos of several cameras"):
        MultiCameraVideos(tmp_path, 2, 2, (16, 16))
