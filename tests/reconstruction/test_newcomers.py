"""New splats for what the canonical ones cannot show."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fourreal_core.cameras import project
from fourreal_core.errors import InputError
from fourreal_core.reconstruction.newcomers import NewcomerOptions, with_newcomers
from fourreal_core.reconstruction.refit import RefitOptions, refit_scene
from fourreal_core.scene.render import render_camera, render_cell
from fourreal_core.scene.scene4d import Scene4D

from ..scene.scenes import DISTANCE, known_cross, psnr, rendered_grid, wall_scene

VIEWS, TIMES = 3, 4
BOX = (slice(6, 14), slice(10, 20))
RED = torch.tensor([0.9, 0.1, 0.1])


@pytest.fixture
def scene() -> Scene4D:
    return wall_scene(VIEWS, TIMES)


def with_a_box(scene: Scene4D, times: tuple[int, ...]) -> torch.Tensor:
    """The scene's own pictures, and at some times a red box on the wall: at BOX in view 0, a pixel off in the next."""
    frames = rendered_grid(scene).clone()
    for v in range(VIEWS):
        for t in times:
            frames[v, t, BOX[0], BOX[1].start - v : BOX[1].stop - v] = RED
    return frames


OPTIONS = NewcomerOptions(stride=1, around_px=16)


def test_what_appears_in_a_known_row_is_there_at_its_times_only(scene: Scene4D) -> None:
    frames = with_a_box(scene, (2, 3))
    found = with_newcomers(scene, known_cross(frames), OPTIONS)
    assert found.lifetimes is not None
    lives = found.lifetimes[len(scene.splats) :]
    assert set(map(tuple, lives.tolist())) == {(2.0, 2.0), (3.0, 3.0)}
    assert torch.equal(found.lifetimes[: len(scene.splats)], torch.tensor([0.0, 3.0]).expand(len(scene.splats), 2))
    with torch.no_grad():
        for time in range(TIMES):
            before, after = (psnr(render_cell(s, 0, time).image, frames[0, time]) for s in (scene, found))
            assert after > before + 3 if time >= 2 else after == before


def test_new_splats_stand_before_what_they_replace_and_move_with_the_views(scene: Scene4D) -> None:
    """Nothing tells their depth but what the scene has there: the wall, which a pixel of parallax belongs to."""
    frames = with_a_box(scene, (2,))
    found = with_newcomers(scene, known_cross(frames), OPTIONS)
    new = found.splats.means[len(scene.splats) :]
    depth = found.cameras[0].to_camera(new)[0, :, 2]
    torch.testing.assert_close(depth, torch.full_like(depth, DISTANCE * 0.99), rtol=1e-3, atol=0)
    at = project(found.cameras[0].to_camera(new)[0], found.cameras.intrinsics[0])
    inside = (at[:, 1] > 5) & (at[:, 1] < 15) & (at[:, 0] > 9) & (at[:, 0] < 21)
    assert int(inside.sum()) >= 80 and bool(inside.all())
    with torch.no_grad():
        for view in (1, 2):
            seen = render_camera(found, found.cameras[view], 2).image
            assert psnr(seen, frames[view, 2]) > psnr(render_cell(scene, view, 2).image, frames[view, 2]) + 3


def test_views_differ_by_new_splats_as_by_their_surroundings(scene: Scene4D) -> None:
    shift = torch.zeros_like(scene.view_offsets)
    shift[1, :, 1] = 0.1
    tint = torch.zeros_like(scene.view_offsets)
    tint[:, :, 2] = torch.tensor([0.1, -0.1, 0.05])[:, None]
    scene = replace(scene, view_offsets=shift, view_colors=tint)
    found = with_newcomers(scene, known_cross(with_a_box(scene, (2,))), OPTIONS)
    n, new = len(scene.splats), found.splats.colors[len(scene.splats) :]
    assert found.view_colors is not None and len(new) > 50
    torch.testing.assert_close(found.view_offsets[:, n:], shift[:, :1].expand(-1, len(new), 3), atol=1e-4, rtol=0)
    torch.testing.assert_close(found.view_colors[:, n:], tint[:, :1].expand(-1, len(new), 3), atol=1e-4, rtol=0)
    red = (new[:, 0] - RED[0]).abs() < 0.02  # view 0 then shows what its frame does
    assert int(red.sum()) > 40
    torch.testing.assert_close(new[red, 2] + 0.1, RED[2].expand(int(red.sum())), atol=0.02, rtol=0)


def test_nothing_new_in_rows_that_are_not_known_or_look_as_they_should(scene: Scene4D) -> None:
    frames = with_a_box(scene, (2,))
    grid = known_cross(frames)
    known = grid.known.clone()
    known[0, 3] = False  # one time of the row is not known
    assert with_newcomers(scene, replace(grid, known=known), OPTIONS) is scene
    assert with_newcomers(scene, known_cross(rendered_grid(scene)), OPTIONS) is scene
    grid = replace(grid, valid=torch.zeros_like(grid.valid))  # a caption over all of it
    assert with_newcomers(scene, grid, OPTIONS) is scene


def test_the_largest_errors_come_first_and_the_number_has_a_bound(scene: Scene4D) -> None:
    frames = with_a_box(scene, (2,))
    frames[0, 2, 20:23, 2:30] = (frames[0, 2, 20:23, 2:30] + 0.15).clamp(0, 1)
    few = 30
    options = replace(OPTIONS, most=few * (TIMES - 1) / len(scene.splats) + 1e-6)
    found = with_newcomers(scene, known_cross(frames), options)
    assert len(found.splats) == len(scene.splats) + few
    at = project(found.cameras[0].to_camera(found.splats.means[-few:])[0], found.cameras.intrinsics[0])
    assert bool((at[:, 1] < 16).all())
    assert len(with_newcomers(scene, known_cross(frames), OPTIONS).splats) > len(scene.splats) + 80


def test_a_splat_for_every_square_of_pixels(scene: Scene4D) -> None:
    frames = with_a_box(scene, (2,))
    count = [len(with_newcomers(scene, known_cross(frames), replace(OPTIONS, stride=s)).splats) for s in (1, 2)]
    fine, coarse = (n - len(scene.splats) for n in count)
    assert 3 < fine / coarse < 5
    found = with_newcomers(scene, known_cross(frames), replace(OPTIONS, stride=2))
    with torch.no_grad():
        assert psnr(render_cell(found, 0, 2).image, frames[0, 2]) > 20


def test_a_refit_makes_them_and_can_leave_it(scene: Scene4D) -> None:
    frames = with_a_box(scene, (2, 3))
    grid, errors = known_cross(frames), torch.zeros(frames.shape[:4])
    options = RefitOptions(steps=12, newcomers=OPTIONS)
    found = refit_scene(scene, grid, errors, options)
    without = refit_scene(scene, grid, errors, replace(options, newcomers=None))
    assert len(without.splats) == len(scene.splats) and without.lifetimes is None
    with torch.no_grad():
        gain = [psnr(render_cell(s, 2, 2).image, frames[2, 2]) for s in (without, found)]
    assert gain[1] > gain[0] + 2
    assert len(refit_scene(scene, grid, errors, replace(options, steps=0)).splats) == len(scene.splats)


@pytest.mark.parametrize("wrong", [{"stride": 0}, {"nearer": 1.0}, {"opacity": 0.0}, {"error_gray": -1}])
def test_options_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError):
        NewcomerOptions(**wrong)  # type: ignore[arg-type]
