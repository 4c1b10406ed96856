"""Whether a fixed view stands: a camera that moves is found, a subject that moves is none."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fourreal_core.cameras import Cameras
from fourreal_core.flow.clip_flows import ClipFlows
from fourreal_core.geometry import camera_motion
from fourreal_core.geometry.camera_fit import PointMatches, fit_motion
from fourreal_core.geometry.camera_motion import CameraMotion, find_camera_motion

from .worlds import FOCAL_PX, SIZE, World, look, standing

BOARD = [(0.0, 0.0), (0.1, 0.02), (0.2, 0.04), (0.3, 0.06)]
"""Where the board is, time by time: it moves by 5 pixels a frame."""


def turned(x: float, y: float, z: float) -> torch.Tensor:
    """Rotation about x, then y, then z, in degrees."""
    out = torch.eye(3)
    for axis, degrees in enumerate((x, y, z)):
        c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        a, b = [k for k in range(3) if k != axis]
        one = torch.eye(3)
        one[a, a] = one[b, b] = c
        one[a, b], one[b, a] = -s, s
        out = one @ out
    return out


def filmed(
    turns: list[tuple[float, float, float]],
    walks: list[tuple[float, float, float]] | None = None,
    board: list[tuple[float, float]] = BOARD,
) -> tuple[World, World]:
    """The world with its board, filmed by a camera that turns by degrees and walks; and by one that stands."""
    still = standing(len(turns))
    poses = still.world_to_cam.clone()
    for t, turn in enumerate(turns):
        poses[t, :3, :3] = turned(*turn)
        if walks is not None:
            poses[t, :3, 3] = torch.tensor(walks[t])
    return look(Cameras(poses, still.intrinsics, SIZE), board), look(still, board)


def test_a_camera_that_stands_before_a_board_that_moves() -> None:
    _, still = filmed([(0, 0, 0)] * 4)
    found = find_camera_motion(still.clip, geometry=still.geometry)
    assert found.stands and found.sentence == "" and found.largest_px == 0
    assert max(found.shift_px) < 0.2  # of at least 0.4 px that would count
    assert found.summary()["stands"] and found.summary()["moving_times"] == []


@pytest.mark.parametrize(
    ("turns", "at_least"),
    [
        ([(0, 0, 0), (0, 0.5, 0), (0.4, -0.3, 0), (0, 0.6, 0)], 1.0),  # 0.5 degrees are a pixel
        ([(0, 0, 0), (0, 3, 0), (0, 6, 0), (0, 9, 0)], 18.0),
        ([(0, 0, 0), (0, 0, 1), (0, 0, -1), (0, 0, 2)], 1.0),
    ],
    ids=["shake", "pan", "roll"],
)
def test_a_camera_that_turns_is_found(turns: list[tuple[float, float, float]], at_least: float) -> None:
    moved, _ = filmed(turns)
    found = find_camera_motion(moved.clip, geometry=moved.geometry)
    assert not found.stands and found.largest_px > at_least and 3 in found.moving
    ys, xs = np.mgrid[4 : SIZE[0] : 8, 4 : SIZE[1] : 8]
    pixels = np.stack([xs - (SIZE[1] - 1) / 2, ys - (SIZE[0] - 1) / 2], -1).reshape(-1, 2).astype(float)
    rays = (
        np.concatenate([pixels / FOCAL_PX, np.ones((len(pixels), 1))], -1)
        @ moved.cameras.world_to_cam[3, :3, :3].numpy().T
    )
    true = rays[:, :2] / rays[:, 2:] * FOCAL_PX
    error = np.linalg.norm(found.motions[3].apply(pixels, 0.3) - true, axis=-1)
    assert np.median(error) < 0.25  # flow on 120 px wide frames is good to about 0.1 px
    assert f"by up to {found.largest_px:.1f} pixels" in found.sentence
    assert ("rolls by up to 2.0 degrees" in found.sentence) == (turns[3][2] == 2)


def test_a_camera_that_walks_is_told_by_the_depth() -> None:
    """The wall moves by 3.6 px, the board that stands before it by 6."""
    moved, _ = filmed([(0, 0, 0)] * 4, [(0, 0, 0), (0.04, 0, 0), (0.08, 0, 0), (0.12, 0, 0)], [(0.0, 0.0)] * 4)
    found = find_camera_motion(moved.clip, geometry=moved.geometry)
    assert not found.stands and found.walks and "near things move against far ones" in found.sentence
    motion, wall, board = found.motions[3], np.array([[-50.0, -30.0]]), np.array([[5.0, 3.0]])
    np.testing.assert_allclose(motion.apply(wall, np.array([1 / 4.0])) - wall, [[3.6, 0]], atol=0.35)
    assert 1.2 < float((motion.apply(board, np.array([1 / 2.4])) - board)[0, 0]) / 3.6 < 2.2
    without = find_camera_motion(moved.clip)
    assert not without.stands and not without.walks


def test_parts_of_the_picture_count_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fine texture in the middle that moves has most of the matches, and is no camera."""
    rng = torch.Generator().manual_seed(0)
    frames = look(standing(1)).frames.repeat(3, 1, 1, 1)
    for t in range(3):
        frames[t, 18:54, 30 + 2 * t : 90 + 2 * t] = torch.rand(36, 60, 1, generator=rng.manual_seed(1))
    shown = torch.zeros(SIZE, dtype=torch.bool)
    shown[20:52, 34:86] = True
    shown[1::12, 1::12] = True  # beside it, few points
    assert find_camera_motion(ClipFlows(frames), shown).stands
    monkeypatch.setattr(camera_motion, "_spread", lambda weight, ys, xs, size: weight)
    assert not find_camera_motion(ClipFlows(frames), shown).stands


def test_much_that_stands_means_a_camera_that_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three quarters of the picture drift, a quarter stands: clouds, not the camera."""
    still = look(standing(3)).frames
    drifting = still.clone()
    for t in (1, 2):
        drifting[t, :, : 3 * SIZE[1] // 4] = torch.roll(still[t], 2 * t, 1)[:, : 3 * SIZE[1] // 4]
    assert find_camera_motion(ClipFlows(drifting)).stands
    monkeypatch.setattr(camera_motion, "MOST_STANDING", 1.0)
    assert not find_camera_motion(ClipFlows(drifting)).stands


def test_a_motion_must_explain_more_than_standing_does() -> None:
    """Points that all go their own ways are no camera's; points that go one way are."""
    rng = np.random.default_rng(0)
    pixels = rng.uniform(-50, 50, (400, 2))
    angle = rng.uniform(0, 2 * np.pi, 400)
    astray = pixels + 5 * np.stack([np.cos(angle), np.sin(angle)], -1)
    for seen, moves in ((astray, False), (pixels + [5.0, 0.0], True)):
        matches = PointMatches(pixels, seen, np.ones(400), None, SIZE[1], None)
        assert camera_motion._moves(fit_motion(matches, []), matches) is moves


def test_likeness_is_of_what_is_seen_and_not_of_light_or_noise() -> None:
    rng = np.random.default_rng(0)
    rough, other = (rng.integers(60, 160, (40, 60)).astype(np.uint8) for _ in range(2))
    still = np.zeros((40, 60, 2), np.float32)
    assert camera_motion._unlikeness(rough, rough + 50, still).max() < 0.01
    assert camera_motion._unlikeness(rough, (rough // 2), still).max() < 0.2
    assert np.median(camera_motion._unlikeness(rough, other, still)) > camera_motion.UNLIKE
    flat, again = (100 + rng.integers(0, 2, (40, 60)).astype(np.uint8) for _ in range(2))  # one grey level of noise
    assert camera_motion._unlikeness(flat, again, still).max() < camera_motion.UNLIKE


def test_a_motion_too_small_to_be_seen_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third of a pixel of 120."""
    moved, _ = filmed([(0, 0, 0), (0, math.degrees(0.33 / FOCAL_PX), 0)], board=BOARD[:1] * 2)
    assert find_camera_motion(moved.clip).stands
    monkeypatch.setattr(camera_motion, "LEAST_SHIFT", 0.0)
    assert not find_camera_motion(moved.clip).stands


def test_where_nothing_of_the_first_frame_is_left_the_frame_before_is_the_reference() -> None:
    strip = look(standing(1, (72, 400)).scaled((72, 400))).frames[0]
    frames = torch.stack([strip[:, 8 * t : 8 * t + 120] for t in range(18)])
    found = find_camera_motion(ClipFlows(frames))
    assert found.moving == tuple(range(1, 18))
    for t in (3, 9, 17):  # 136 of 120 px at last
        assert found.motions[t].homography[0, 2] == pytest.approx(-8 * t, abs=1.5)
        assert found.shift_px[t] == pytest.approx(8 * t, abs=1.5)


def test_pictures_without_texture_stand() -> None:
    assert find_camera_motion(ClipFlows(torch.full((3, *SIZE, 3), 0.5))).stands
    assert find_camera_motion(ClipFlows(torch.rand(1, *SIZE, 3))).stands
    assert CameraMotion.none(4, SIZE).summary()["shift_px"] == [0.0] * 4
