"""The fixed view made to stand: what a camera that stands would have seen, and nothing touched where it does stand."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.flow.clip_flows import ClipFlows
from fourreal_core.geometry import steady_grid as module
from fourreal_core.geometry.camera_fit import FrameMotion
from fourreal_core.geometry.camera_modes import check_camera
from fourreal_core.geometry.camera_motion import CameraMotion
from fourreal_core.geometry.geometry import Geometry
from fourreal_core.geometry.steady_grid import (
    SteadyGrid,
    motion_flow,
    steadied_row,
    steady_by_parallax,
    steady_grid,
    steady_map,
    undone,
    with_given_row,
    without_motion,
)
from fourreal_core.grid import FrameGrid

from .test_camera_motion import filmed
from .test_steady_rims import texture
from .worlds import SIZE, World, look, path

EVERYWHERE = torch.ones(SIZE, dtype=torch.bool)


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(-10 * torch.log10(((a - b) ** 2).mean()))


def grid_of(row: World, column: World | None = None) -> FrameGrid:
    column = column or look(path(1))
    freeze = torch.cat([row.frames[:1], column.frames[1:]])
    return FrameGrid.from_clips(freeze, row.frames)


def shifted(*pixels: float) -> CameraMotion:
    """A camera that moves the picture to the right by so many pixels, time by time."""
    motions = [FrameMotion(np.array([[1, 0, x], [0, 1, 0], [0, 0, 1.0]]), np.zeros(3)) for x in pixels]
    return CameraMotion(tuple(motions), tuple(map(abs, pixels)), tuple(range(1, len(pixels))), SIZE)


def test_a_clip_that_stands_is_the_very_same() -> None:
    _, still = filmed([(0, 0, 0)] * 4)
    grid = grid_of(still)
    assert steady_grid(grid, still.clip, still.geometry) is grid and steady_by_parallax(grid) is grid


def test_the_camera_still_looks_for_nothing(caplog: pytest.LogCaptureFixture) -> None:
    moved, _ = filmed([(0, 0, 0), (0, 2, 0), (0, 4, 0)])
    grid = grid_of(moved)
    with caplog.at_level(logging.WARNING, "fourreal_core"):
        assert (
            steady_grid(grid, moved.clip, moved.geometry, "still") is grid and steady_by_parallax(grid, "still") is grid
        )
    assert caplog.text == ""


@pytest.mark.parametrize(
    "turns", [[(0, 0, 0), (0.6, -0.5, 0), (0, 0.8, 0)], [(0, 0, 0), (0, 0, 1), (0, 0, -1)]], ids=["shake", "roll"]
)
def test_a_camera_that_turns_is_held(turns: list[tuple[float, float, float]], caplog: pytest.LogCaptureFixture) -> None:
    moved, still = filmed(turns)
    grid = grid_of(moved)
    with caplog.at_level(logging.WARNING, "fourreal_core"):
        steady = steady_grid(grid, moved.clip, moved.geometry)
    assert "the camera of the fixed-view clip does not stand" in caplog.text and "pixels" in caplog.text
    assert isinstance(steady, SteadyGrid) and not steady.own
    assert torch.equal(steady.frames[:, 0], grid.frames[:, 0]) and torch.equal(steady.given_row, grid.frames[0])
    for t in (1, 2):
        # flow is good to a tenth of a pixel, wavelengths are 7 px and longer
        assert psnr(steady.frames[0, t], still.frames[t]) > psnr(moved.frames[t], still.frames[t]) + 6
    assert torch.equal(with_given_row(steady).frames, grid.frames) and type(without_motion(steady)) is FrameGrid
    assert without_motion(grid) is grid
    assert steady_grid(steady, moved.clip) is steady  # once is enough


def test_a_camera_that_walks_is_held_at_every_depth() -> None:
    moved, still = filmed([(0, 0, 0)] * 3, [(0, 0, 0), (0.06, 0, 0), (0.12, 0, 0)], [(0.0, 0.0)] * 3)
    geometry = Geometry(still.depth, still.cameras.intrinsics, torch.ones_like(still.depth, dtype=torch.bool))
    grid = grid_of(moved)
    by_depth, flat = steady_grid(grid, moved.clip, geometry), steady_grid(grid, moved.clip)
    inside = (slice(2, 70), slice(8, 112))
    a, b = (psnr(made.frames[0, 2][inside], still.frames[2][inside]) for made in (by_depth, flat))
    assert a > b + 3 and a > 25


def test_motion_is_undone_at_every_depth() -> None:
    h = np.array([[1.02, -0.03, 4.0], [0.03, 1.01, -2.0], [0.0004, 0.0002, 1.0]])
    motion = FrameMotion(h, np.array([5.0, -3.0, 0.04]))
    rng = np.random.default_rng(0)
    pixels, depth = rng.uniform(-50, 50, (40, 2)), rng.uniform(0.3, 2, 40)
    np.testing.assert_allclose(undone(motion, motion.apply(pixels, depth), depth), pixels, atol=1e-9)


def test_a_camera_that_walks_and_turns_is_undone_about_the_middle() -> None:
    """Of a wall at one depth, what a standing camera sees lies where the motion has brought it."""
    wall_depth, h = 2.0, np.array([[1.02, -0.03, 4.0], [0.03, 1.01, -2.0], [0.0004, 0.0002, 1.0]])
    motion = FrameMotion(h, np.array([5.0, -3.0, 0.02]))
    depth, lens = torch.full((1, *SIZE), wall_depth), torch.eye(3)[None]
    geometry = Geometry(depth, lens, torch.ones_like(depth, dtype=torch.bool))
    clip = ClipFlows(torch.rand(2, *SIZE, 3, generator=torch.Generator().manual_seed(0)))
    found = steady_map(clip, motion, 1, geometry)
    expected = motion_flow(motion, SIZE, np.full(SIZE, 1 / wall_depth, np.float32))
    inside = (slice(8, -8), slice(12, -12))
    np.testing.assert_allclose(found[inside], expected[inside], atol=0.05)


def test_flow_of_a_motion_by_hand() -> None:
    flow = motion_flow(FrameMotion(np.diag([2.0, 2.0, 1.0]), np.zeros(3)), (3, 5))
    np.testing.assert_allclose(flow[0, 0], [-2, -1])  # the corner is (-2, -1) from the middle
    np.testing.assert_allclose(flow[1, 2], [0, 0])
    walk = FrameMotion(np.eye(3), np.array([3.0, -1.0, 0.0]))
    np.testing.assert_allclose(motion_flow(walk, (3, 5))[0, 0], [3, -1])  # everything at depth 1
    np.testing.assert_allclose(motion_flow(walk, (3, 5), np.full((3, 5), 0.5, np.float32))[0, 0], [1.5, -0.5])


def test_what_a_frame_does_not_show_is_the_nearest_times() -> None:
    """The picture moves left by whole pixels, so its left rim is uncovered; a patch of it is lit at the last times."""
    steady = torch.from_numpy(texture(3, *SIZE)) * 0.6
    lit = steady.clone()
    lit[20:50, 4:9] += 0.1
    clip = ClipFlows(torch.stack([steady, steady, lit, torch.roll(lit, -10, 1)]))
    row = steadied_row(clip, shifted(0.0, 0.0, 0.0, -10.0), EVERYWHERE)
    torch.testing.assert_close(row[:3], clip.frames[:3], atol=0, rtol=0)
    torch.testing.assert_close(row[3][:, 14:], steady[:, 14:], atol=0.02, rtol=0)  # read at x - 10
    torch.testing.assert_close(row[3][22:48, :9], lit[22:48, :9], atol=0.02, rtol=0)  # time 2 is nearer than time 1


def test_fills_come_in_the_light_of_the_frame() -> None:
    ramp = torch.linspace(0.2, 0.4, SIZE[1]).expand(SIZE[0], -1)[..., None].repeat(1, 1, 3)
    clip = ClipFlows(torch.stack([ramp, torch.roll(ramp, -10, 1) + 0.3]))
    row = steadied_row(clip, shifted(0.0, -10.0), EVERYWHERE)
    torch.testing.assert_close(row[1], ramp + 0.3, atol=6e-3, rtol=0)


def test_a_caption_does_not_come_along() -> None:
    """It stands in the frame, so on the steady picture it would walk; what it hides there is another time's."""
    ramp = torch.linspace(0.2, 0.4, SIZE[1]).expand(SIZE[0], -1)[..., None].repeat(1, 1, 3)
    valid = EVERYWHERE.clone()
    valid[20:30, 50:60] = False
    frames = torch.stack([ramp, torch.roll(ramp, 15, 1)])
    frames[:, ~valid] = 1.0
    row = steadied_row(ClipFlows(frames), shifted(0.0, 15.0), valid)
    seen = row[1][valid][:, 0].max()
    assert float(seen) < 0.45


def test_hardly_moved_frames_are_not_read_anew() -> None:
    frames = torch.rand(3, *SIZE, 3, generator=torch.Generator().manual_seed(0))
    row = steadied_row(ClipFlows(frames), shifted(0.0, 0.05, 3.0), EVERYWHERE)
    assert torch.equal(row[:2], frames[:2]) and not torch.equal(row[2], frames[2])


def test_geometry_is_measured_only_for_a_camera_that_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def refuses(*_: object, **__: object) -> Geometry:
        asked.append(1)
        raise InputError("frames that do not match", "others", "give others")

    monkeypatch.setattr(module, "parallax_geometry", refuses)
    moved, still = filmed([(0, 0, 0), (0, 2, 0), (0, 4, 0)])
    assert steady_by_parallax(grid_of(still)) is not None and not asked
    steady = steady_by_parallax(grid_of(moved), "own")
    assert isinstance(steady, SteadyGrid) and steady.own and asked == [1]


def test_wrong_names_and_rows_are_refused() -> None:
    with pytest.raises(InputError, match="one of auto, still, own"):
        check_camera("handheld")
    moved, _ = filmed([(0, 0, 0), (0, 2, 0)])
    grid = grid_of(moved)
    with pytest.raises(InputError, match="take both from one clip"):
        SteadyGrid(grid.frames, grid.known, grid.valid, grid.frames[0, :1], shifted(0.0, 1.0))
