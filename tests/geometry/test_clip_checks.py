"""Cuts, blank frames and motion in a freeze-time clip are found and said; good clips are left in peace."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from fourreal_core.cameras import intrinsics_from_focal, pixel_grid
from fourreal_core.flow.clip_flows import ClipFlows
from fourreal_core.geometry.clip_checks import (
    _beside_line,
    examine,
    light_change,
    moving_share,
    report_clips,
    report_motion,
)

from .worlds import SIZE, World, look, path


@pytest.fixture(scope="module")
def other() -> World:
    """Another scene along the same way."""
    return look(path(5), seed=7)


def test_good_clips_are_left_in_peace(walk: World, moving: World, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "fourreal_core"):
        report_clips(walk.clip, moving.clip)
        report_motion(walk.clip, walk.geometry)
    assert caplog.text == ""
    found = examine(walk.clip)
    assert found.blank == found.cuts == [] and len(found.common) == 4 and min(found.common) > 0.6


def test_cuts_are_found(walk: World, other: World, caplog: pytest.LogCaptureFixture) -> None:
    cut = torch.cat([walk.frames[:2], other.frames[2:]])
    assert examine(ClipFlows(cut)).cuts == [1]
    with caplog.at_level(logging.WARNING, "fourreal_core"):
        report_clips(walk.clip, ClipFlows(cut))
    assert caplog.text.count("the fixed-view clip seems to cut or jump after frame 1") == 1
    assert "freeze-time" not in caplog.text


@pytest.mark.parametrize("gains", [(1, 0.7, 1.1, 0.75, 1), (1, 0.45, 1, 1.3, 0.6)])
def test_exposure_that_jumps_is_no_cut(walk: World, gains: tuple[float, ...], caplog: pytest.LogCaptureFixture) -> None:
    flicker = ClipFlows((walk.frames * torch.tensor(gains)[:, None, None, None]).clamp(0, 1))
    found = examine(flicker)
    assert found.cuts == [] and found.jumps == [0, 1, 2, 3]
    expected = [b / a for a, b in zip(gains, gains[1:], strict=False)]
    assert found.brightness == pytest.approx(expected, rel=0.06)  # what is too bright for the picture is cut off
    with caplog.at_level(logging.WARNING, "fourreal_core"):
        report_clips(flicker, walk.clip)
    assert "the brightness of the freeze-time clip jumps after frame 0, 1, 2, 3" in caplog.text
    assert "cut" not in caplog.text and "fixed-view" not in caplog.text


def test_a_cut_into_another_light_is_one(walk: World, other: World) -> None:
    found = examine(ClipFlows(torch.cat([walk.frames[:2], 0.5 * other.frames[2:]])))
    assert found.cuts == [1] and found.jumps == []


def test_contrast_does_not_hide_a_cut(walk: World) -> None:
    """Nothing goes on in a picture of no contrast, however grey it is."""
    fog = walk.frames.clone()
    fog[2:] = 0.5 + 0.1 * torch.randn(3, *SIZE, 1, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    assert 1 in examine(ClipFlows(fog)).cuts


def test_light_by_hand() -> None:
    rng = np.random.default_rng(0)
    first = rng.uniform(20, 200, 500).astype(np.float32)
    then = 0.6 * first + 25
    then[:150] = rng.uniform(0, 255, 150)  # what shows something else
    gain, offset = light_change(first, then.astype(np.float32))
    assert gain == pytest.approx(0.6, abs=0.01) and offset == pytest.approx(25, abs=1.5)
    flat = np.full(9, 100, np.float32)
    assert light_change(flat, flat + 12) == (1.0, 12.0) and light_change(flat[:0], flat[:0]) == (1.0, 0.0)


def test_a_camera_that_walks_fast_does_not_cut() -> None:
    """Pixels of the wall move by nine, those of the board by fifteen."""
    found = examine(look(path(3, 0.3, 0.0)).clip)
    assert found.cuts == [] and min(found.common) > 0.6


def test_blank_frames_are_no_cuts(walk: World, caplog: pytest.LogCaptureFixture) -> None:
    frames = walk.frames.clone()
    frames[2], frames[4] = 0.0, 0.7
    found = examine(ClipFlows(frames))
    assert found.blank == [2, 4] and found.cuts == []
    with caplog.at_level(logging.WARNING, "fourreal_core"):
        report_clips(ClipFlows(frames), ClipFlows(torch.zeros(9, *SIZE, 3)))
    assert "frames of one colour in the freeze-time clip: 2, 4 of 5" in caplog.text
    assert "fixed-view clip: 0, 1, 2, 3, 4, 5 ... of 9" in caplog.text


def test_what_the_mask_hides_is_not_looked_at(walk: World, other: World) -> None:
    frames = walk.frames.clone()
    frames[2:, :, :90] = other.frames[2:, :, :90]
    valid = torch.zeros(SIZE, dtype=torch.bool)
    valid[:, 95:] = True
    cut = torch.zeros(SIZE, dtype=torch.bool)
    cut[:, :80] = True
    assert examine(ClipFlows(frames), cut).cuts == [1] and examine(ClipFlows(frames), valid).cuts == []
    assert examine(ClipFlows(frames), torch.zeros(SIZE, dtype=torch.bool)).common == [1.0] * 4


def test_motion_is_what_lies_beside_the_lines(walk: World, caplog: pytest.LogCaptureFixture) -> None:
    """The camera walks sideways, so its lines lie level: a board that rises stands beside them."""
    rising = look(walk.cameras, [(0.0, -0.08 * v) for v in range(5)])
    assert moving_share(walk.clip, walk.geometry) < 0.02
    share = moving_share(rising.clip, walk.geometry)
    assert 0.1 < share < 0.5  # the board fills a sixth of the picture
    with caplog.at_level(logging.WARNING, "fourreal_core"):
        report_motion(rising.clip, walk.geometry)
    assert "something moves in the freeze-time clip" in caplog.text


@pytest.mark.parametrize(
    ("shift", "beside"),
    [((0, 0), 0), ((-10, 0), 0), ((-25, 0), 0), ((-40, 0), 15), ((5, 0), 5), ((-10, 3), 3), ((8, -6), 10)],
)
def test_distance_from_a_line_by_hand(shift: tuple[float, float], beside: float) -> None:
    """The camera steps 0.1 to the right: lines end 25 pixels left of where they start, at four steps' distance."""
    size = (10, 60)
    poses = torch.eye(4).repeat(2, 1, 1)
    poses[1, 0, 3] = -0.1
    there = pixel_grid(size) + torch.tensor(shift)
    found = _beside_line(poses, intrinsics_from_focal(100.0, size).expand(2, 3, 3), size, there)
    torch.testing.assert_close(found, torch.full(size, float(beside)), rtol=0, atol=0.02)  # far away is 0.01 px off


def test_a_camera_that_turns_or_stands_has_no_lines_but_points() -> None:
    cameras = path(3, 0.0, 1.5)
    cameras.world_to_cam[:, :3, 3] = 0
    turning = look(cameras)
    assert moving_share(turning.clip, turning.geometry) < 0.02
    rising = look(cameras, [(0.0, -0.08 * v) for v in range(3)])
    assert moving_share(rising.clip, turning.geometry) > 0.1
    assert moving_share(ClipFlows(torch.zeros(3, *SIZE, 3)), turning.geometry) == 0


def test_what_moves_along_its_line_beyond_infinity_moved(walk: World) -> None:
    """The camera walks to the right and a little down; a board that overtakes it goes the other way."""
    overtaking = look(walk.cameras, [(1.4 * 0.11 * (v - 2), 1.4 * 0.02 * (v - 2)) for v in range(5)])
    assert moving_share(overtaking.clip, walk.geometry) > 0.1


def test_what_is_not_surely_matched_does_not_count(walk: World) -> None:
    frames = walk.frames.clone()
    frames[:, :, 70:] = torch.rand(5, SIZE[0], SIZE[1] - 70, 3, generator=torch.Generator().manual_seed(0))
    assert moving_share(ClipFlows(frames), walk.geometry) < 0.1


def test_what_is_far_away_stands_though_the_camera_walks() -> None:
    """Frames that are all alike: what they show is infinitely far, a dozen pixels from where it were ten units away."""
    cameras = path(3, 1.0, 0.0)
    frames = look(path(1)).frames.expand(3, *SIZE, 3)
    assert moving_share(ClipFlows(frames), look(cameras).geometry) < 0.02
