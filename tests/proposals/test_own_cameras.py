"""Cells with the camera of their time: moved by each pixel's depth, and seen beyond the rim."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.geometry.camera_fit import FrameMotion
from fourreal_core.geometry.camera_motion import CameraMotion
from fourreal_core.geometry.steady_grid import SteadyGrid
from fourreal_core.proposals.own_cameras import moved_cell, own_cells
from fourreal_core.scene.render import render_cell
from fourreal_core.scene.scene4d import Scene4D

SIZE = (40, 64)


def wall(depth: float = 2.0) -> Scene4D:
    """Two views of a wall of splats that fills more than the picture, redder to the right."""
    from fourreal_core.cameras import Cameras, intrinsics_from_focal
    from fourreal_core.scene.gaussians import Splats

    ys, xs = torch.meshgrid(torch.linspace(-1.2, 1.2, 60), torch.linspace(-1.8, 1.8, 90), indexing="ij")
    means = torch.stack([xs, ys, torch.full_like(xs, depth)], -1).reshape(-1, 3)
    count = len(means)
    colors = torch.stack([(means[:, 0] + 2) / 4, torch.full((count,), 0.4), (means[:, 1] + 2) / 4], -1)
    splats = Splats(means, torch.full((count,), 0.03), torch.full((count,), 0.95), colors)
    cameras = Cameras(torch.eye(4).repeat(2, 1, 1), intrinsics_from_focal(50.0, SIZE).repeat(2, 1, 1), SIZE)
    maps = (2, *SIZE)
    return Scene4D(
        splats=splats,
        cameras=cameras,
        view_offsets=torch.zeros(2, count, 3),
        visible=torch.ones(2, count, dtype=torch.bool),
        motion_weight=torch.zeros(count),
        view_depth=torch.full(maps, depth),
        view_motion=torch.zeros(maps),
        times=2,
        deformation=None,
        background=torch.zeros(3),
    )


def steady(scene: Scene4D, motion: FrameMotion, own: bool = True) -> SteadyGrid:
    """Its grid, all cells as the scene renders them, of which row 0 and column 0 are known."""
    cells = torch.stack(
        [torch.stack([render_cell(scene, v, t).image.clamp(0, 1) for t in range(2)]) for v in range(2)]
    ).float()
    known = torch.tensor([[True, True], [True, False]])
    given = torch.rand(2, *SIZE, 3, generator=torch.Generator().manual_seed(0))
    moved = CameraMotion((FrameMotion.still(), motion), (0.0, 5.0), (1,), SIZE)
    return SteadyGrid(cells, known, torch.ones(SIZE, dtype=torch.bool), given, moved, own)


def test_a_cell_moves_by_its_depth_and_shows_what_lay_beyond_its_rim() -> None:
    """A step of 0.2 to the right at distance 2 moves the picture by 50 * 0.2 / 2 = 5 pixels to the left."""
    scene = wall()
    grid = steady(scene, FrameMotion(np.eye(3), np.array([-10.0, 0, 0])))
    seen = own_cells(scene, grid)
    cell, before = seen.frames[1, 1], grid.frames[1, 1]
    torch.testing.assert_close(cell[5:-5, 5:-10], before[5:-5, 10:-5], atol=0.012, rtol=0)
    # a pixel is 0.04 wide at distance 2, so red grows by 0.01 a pixel, beyond the rim too
    assert float(cell[20, -1, 0] - before[20, -1, 0]) == pytest.approx(0.05, abs=0.015)


def test_what_lay_beyond_the_rim_comes_in_the_cells_own_light() -> None:
    scene, motion = wall(), FrameMotion(np.eye(3), np.array([-10.0, 0, 0]))
    dark = render_cell(scene, 1, 1).image.clamp(0, 1) - 0.2
    seen = moved_cell(scene, (1, 1), dark, motion)
    assert float(seen[20, -1, 0] - dark[20, -1, 0]) == pytest.approx(0.05, abs=0.015)


def test_what_is_not_there_at_a_time_does_not_come_in_from_beyond_the_rim() -> None:
    """A white wall stands to the right of the picture at time 0 only; at time 1 the camera turns to where it was."""
    scene = wall()
    beyond = scene.splats.means[:, 0] > 1.4
    colors = torch.where(beyond[:, None], 1.0, scene.splats.colors)
    fine = replace(scene.splats, log_scales=torch.full_like(scene.splats.log_scales, 0.03).log(), colors=colors)
    scene = replace(scene, splats=fine)
    lives = torch.tensor([0.0, 1.0]).repeat(len(beyond), 1)
    lives[beyond, 1] = 0.0
    grid = steady(scene, FrameMotion(np.eye(3), np.array([-20.0, 0, 0])))
    whole, cut = (own_cells(s, grid).frames[1, 1] for s in (scene, replace(scene, lifetimes=lives)))
    assert float(whole[20, -4:, 1].min()) > 0.9 and float(cut[20, -4:, 1].max()) < 0.5
    torch.testing.assert_close(whole[:, :-16], cut[:, :-16], atol=0.01, rtol=0)


def test_what_was_given_is_as_it_was_given() -> None:
    scene = wall()
    grid = steady(scene, FrameMotion(np.array([[1, 0, 3.0], [0, 1, 0], [0, 0, 1]]), np.zeros(3)))
    seen = own_cells(scene, grid)
    assert type(seen) is not SteadyGrid and torch.equal(seen.frames[0], grid.given_row)
    assert torch.equal(seen.frames[1, 0], grid.frames[1, 0]) and not torch.equal(seen.frames[1, 1], grid.frames[1, 1])
    known = replace(grid, known=torch.ones(2, 2, dtype=torch.bool))
    assert torch.equal(own_cells(scene, known).frames[1, 1], grid.frames[1, 1])


def test_no_motion_reads_a_cell_as_it_is() -> None:
    scene = wall()
    picture = torch.rand(*SIZE, 3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(moved_cell(scene, (1, 1), picture, FrameMotion.still()), picture, atol=1e-5, rtol=0)


def test_another_scenes_grid_is_refused() -> None:
    scene = wall()
    with pytest.raises(InputError, match="give the scene that was fitted to the grid"):
        own_cells(replace(scene, times=3), steady(scene, FrameMotion.still()))
