"""The deformation fitted: from tracks, by rendering, and on grids of every shape."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.flow.flow_cache import FlowCache
from fourreal_core.grid import FrameGrid
from fourreal_core.reconstruction.fit_deformation import MAX_KNOTS, FitOptions, fit_deformation, motion_spec
from fourreal_core.reconstruction.rendering_fit import RenderingFitOptions, fit_rendering
from fourreal_core.scene.scene4d import Scene4D
from fourreal_core.tracking.tracks import Tracks

from ..cancelling import Cancelled
from ..scene.scenes import PIXEL, SIZE, known_cross, psnr, rendered_grid, sliding, true_time_tracks, wall_scene

QUICK = FitOptions(steps=3, features=24, frequencies=(0.5, 4.0))
VIEWS, TIMES, SHIFT = 2, 4, (3.0, -1.5)


def fitted_to(scene: Scene4D, grid: FrameGrid, tracks: Tracks | None, *options: FitOptions, **more) -> Scene4D:
    """The scene fitted to a grid, with flows measured on it."""
    return fit_deformation(scene, grid, tracks, *options, **more, flows=FlowCache(grid.frames, grid.known))


@pytest.fixture(scope="module")
def truth() -> tuple[Scene4D, torch.Tensor]:
    """A wall that slides, and its whole grid."""
    scene = wall_scene(VIEWS, TIMES, sliding(TIMES, SHIFT))
    return scene, rendered_grid(scene)


@pytest.fixture(scope="module")
def fitted(truth: tuple[Scene4D, torch.Tensor]) -> Scene4D:
    scene, frames = truth
    return fitted_to(wall_scene(VIEWS, TIMES), known_cross(frames), true_time_tracks(scene), QUICK)


def test_the_field_follows_the_tracks(truth: tuple[Scene4D, torch.Tensor], fitted: Scene4D) -> None:
    scene, _ = truth
    at = scene.splats.means
    middle = (at[:, 0].abs() < 10 * PIXEL) & (at[:, 1].abs() < 8 * PIXEL)
    for t in range(1, TIMES):
        off = (fitted.deformed(t) - scene.deformed(t))[middle].norm(dim=-1) / PIXEL
        assert float(off.median()) < 0.1  # a constant is in the field's span; the ridge and three steps are not


def test_cells_nobody_gave_are_better_than_a_scene_that_stands(
    truth: tuple[Scene4D, torch.Tensor], fitted: Scene4D
) -> None:
    _, frames = truth
    inner = (slice(1, None), slice(1, None), slice(4, -4), slice(4, -4))
    frozen = psnr(rendered_grid(wall_scene(VIEWS, TIMES))[inner], frames[inner])
    assert psnr(rendered_grid(fitted)[inner], frames[inner]) > frozen + 6


def test_time_zero_stays_where_it_was(fitted: Scene4D) -> None:
    assert torch.equal(fitted.deformed(0), fitted.splats.means)
    assert torch.equal(fitted.splats.means, wall_scene(VIEWS, TIMES).splats.means)


def test_seeds_decide(truth: tuple[Scene4D, torch.Tensor], fitted: Scene4D) -> None:
    scene, frames = truth
    again, other = (
        fitted_to(wall_scene(VIEWS, TIMES), known_cross(frames), true_time_tracks(scene), o)
        for o in (QUICK, replace(QUICK, seed=1))
    )
    assert torch.equal(again.deformation.weights, fitted.deformation.weights)
    assert torch.equal(again.splats.colors, fitted.splats.colors)
    assert not torch.equal(other.deformation.frequencies, fitted.deformation.frequencies)


def test_inputs_stay_as_they_were(truth: tuple[Scene4D, torch.Tensor]) -> None:
    scene, frames = truth
    start, grid, tracks = wall_scene(VIEWS, TIMES), known_cross(frames), true_time_tracks(scene)
    before = [
        x.clone()
        for x in (
            start.splats.colors,
            start.splats.log_scales,
            start.motion_weight,
            start.view_motion,
            grid.frames,
            tracks.positions,
        )
    ]
    fitted_to(start, grid, tracks, QUICK)
    after = [
        start.splats.colors,
        start.splats.log_scales,
        start.motion_weight,
        start.view_motion,
        grid.frames,
        tracks.positions,
    ]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True)) and start.deformation is None


def test_rendering_alone_lowers_the_error(truth: tuple[Scene4D, torch.Tensor]) -> None:
    _, frames = truth
    grid = known_cross(frames)
    rendering = RenderingFitOptions(cells=1, motion_rate=3e-3)
    options = FitOptions(steps=30, rendering=rendering, features=24, frequencies=(0.5, 2.0))
    found = fitted_to(wall_scene(VIEWS, TIMES), grid, None, options)
    start = psnr(rendered_grid(wall_scene(VIEWS, TIMES))[grid.known], frames[grid.known])
    assert psnr(rendered_grid(found)[grid.known], frames[grid.known]) > start + 1
    assert torch.equal(found.motion_weight, torch.ones_like(found.motion_weight))


def test_more_known_cells_are_all_looked_at(truth: tuple[Scene4D, torch.Tensor]) -> None:
    """Colours that only a further cell shows are learned from it."""
    _, frames = truth
    grid = known_cross(frames)
    more = grid.with_known({(1, 3): 1 - frames[1, 3]})
    few, many = (
        fitted_to(wall_scene(VIEWS, TIMES), g, None, replace(QUICK, steps=int(g.known.sum()))) for g in (grid, more)
    )
    assert not torch.equal(few.splats.colors, many.splats.colors)


def test_a_clip_that_stands_still_has_no_field() -> None:
    still = wall_scene(VIEWS, TIMES)
    scene = fitted_to(still, known_cross(rendered_grid(still)), true_time_tracks(still), QUICK)
    assert scene.deformation is None and not scene.deformed(2).sub(scene.splats.means).any()


@pytest.mark.parametrize("tracked", [True, False])
def test_one_time_has_no_field(tracked: bool) -> None:
    still = wall_scene(VIEWS, 1)
    frames = rendered_grid(still)
    scene = fitted_to(still, known_cross(frames), true_time_tracks(still) if tracked else None, QUICK)
    assert scene.deformation is None and scene.times == 1
    assert psnr(rendered_grid(scene), frames) > 25  # three steps of colour from the truth away


@pytest.mark.parametrize(("views", "times"), [(3, 2), (2, 5)])
def test_views_and_times_need_not_be_as_many(views: int, times: int) -> None:
    scene = wall_scene(views, times, sliding(times, SHIFT))
    found = fitted_to(wall_scene(views, 9), known_cross(rendered_grid(scene)), true_time_tracks(scene), QUICK)
    assert found.times == times and found.deformation.spec.knots == times - 1
    assert bool(found.deformed(times - 1).isfinite().all())


def test_knots_have_a_limit(truth: tuple[Scene4D, torch.Tensor]) -> None:
    means = truth[0].splats.means
    assert motion_spec(means, MAX_KNOTS + 1, FitOptions()).knots == MAX_KNOTS
    assert motion_spec(means, 100, FitOptions()).knots == MAX_KNOTS


def test_the_encoding_spans_what_moves(generator: torch.Generator) -> None:
    rays = torch.randn(1000, 2, generator=generator) * 0.2 + torch.tensor([0.3, -0.1])
    points = torch.cat([rays * 3, torch.full((1000, 1), 3.0)], 1)
    spec = motion_spec(points, 4, FitOptions())
    assert spec.centre[:2] == pytest.approx(rays.mean(0).tolist(), abs=1e-4)
    # 95 % of a round normal of 0.2 lie within 0.2 sqrt(2 ln 20) = 0.49; 1000 draws know it to some per cent
    assert spec.extent == pytest.approx(0.49, rel=0.08)


def test_no_steps_leave_the_tracks_solution(truth: tuple[Scene4D, torch.Tensor]) -> None:
    scene, frames = truth
    start = wall_scene(VIEWS, TIMES)
    found = fitted_to(start, known_cross(frames), true_time_tracks(scene), replace(QUICK, steps=0))
    assert torch.equal(found.splats.colors, start.splats.colors) and found.deformation.weights.abs().max() > 0


def test_invalid_pixels_teach_nothing(truth: tuple[Scene4D, torch.Tensor]) -> None:
    _, frames = truth
    valid = torch.ones(SIZE, dtype=torch.bool)
    valid[8:16, 8:24] = False
    spoilt = torch.where(valid[..., None], frames, torch.tensor(1.0))
    options = replace(QUICK, rendering=RenderingFitOptions(ssim_weight=0.0))
    a, b = (fitted_to(wall_scene(VIEWS, TIMES), known_cross(f, valid), None, options) for f in (frames, spoilt))
    assert torch.equal(a.splats.colors, b.splats.colors)


def test_progress_and_stopping(truth: tuple[Scene4D, torch.Tensor]) -> None:
    grid, seen = known_cross(truth[1]), []

    def note(done: int, total: int, preview: torch.Tensor | None = None) -> None:
        seen.append((done, total, None if preview is None else tuple(preview.shape)))
        if done == 2 * VIEWS + 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        fitted_to(wall_scene(VIEWS, TIMES), grid, true_time_tracks(truth[0]), QUICK, on_step=note)
    # a step a view for what moves, one for the field, a step a view for what it leaves; then a step a render
    total, start = 2 * VIEWS + 1 + QUICK.steps, 2 * VIEWS + 1
    assert list(dict.fromkeys(seen)) == [(k, total, None) for k in range(1, start + 1)] + [
        (start + 1, total, (*SIZE, 3)),
        (start + 2, total, (*SIZE, 3)),
    ]


def test_another_grid_is_refused() -> None:
    with pytest.raises(InputError, match="fit the scene to the grid it was made from"):
        fitted_to(wall_scene(3), FrameGrid.from_clips(torch.zeros(2, *SIZE, 3), torch.zeros(2, *SIZE, 3)), None)


@pytest.mark.parametrize("wrong", [{"steps": -1}, {"features": 0}])
def test_options_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError):
        FitOptions(**wrong)


def test_fitting_on_leaves_the_first_fit_as_it_was(truth: tuple[Scene4D, torch.Tensor], fitted: Scene4D) -> None:
    before = fitted.deformation.weights.clone()
    further = fit_rendering(fitted, known_cross(truth[1]), 3, RenderingFitOptions(motion_rate=0.1))
    assert torch.equal(fitted.deformation.weights, before) and not torch.equal(further.deformation.weights, before)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_scene_without_splats_is_refused(truth: tuple[Scene4D, torch.Tensor], mode: type) -> None:
    empty = wall_scene(VIEWS, TIMES)
    empty = empty.select(torch.zeros(len(empty.splats), dtype=torch.bool))
    with mode(), pytest.raises(InputError, match="a scene without splats"):
        fitted_to(empty, known_cross(truth[1]), None, QUICK)


def test_fitting_works_where_gradients_are_off(truth: tuple[Scene4D, torch.Tensor], fitted: Scene4D) -> None:
    scene, frames = truth
    with torch.no_grad():
        found = fitted_to(wall_scene(VIEWS, TIMES), known_cross(frames), true_time_tracks(scene), QUICK)
    assert torch.equal(found.splats.colors, fitted.splats.colors)


def test_only_what_the_tracks_move_moves_and_the_rest_of_the_tracks_is_kept() -> None:
    """The right half of the wall slides."""
    right = wall_scene(VIEWS, TIMES).splats.means[:, 0] > 0
    scene = replace(wall_scene(VIEWS, TIMES, sliding(TIMES, (4.0, 0.0))), motion_weight=right.float())
    tracks = true_time_tracks(scene)
    found = fitted_to(wall_scene(VIEWS, TIMES), known_cross(rendered_grid(scene)), tracks, replace(QUICK, steps=0))
    at = scene.splats.means[:, :2] / PIXEL
    inside = (at.abs() < torch.tensor([SIZE[1] / 2 - 3, SIZE[0] / 2 - 3])).all(-1) & (at[:, 0].abs() > 5)
    assert float((found.motion_weight == right)[inside].float().mean()) > 0.98
    assert 0.3 < float(found.view_motion[0].mean()) < 0.7
    assert found.motion_residual.shape == (VIEWS, TIMES, 3, SIZE[0] // 2, SIZE[1] // 2)
    assert found.motion_residual.abs().max() > 0
