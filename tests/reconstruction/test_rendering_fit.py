"""A scene fitted by rendering: every part that may move does, the others stay, and the grid is met."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.grid import FrameGrid
from fourreal_core.reconstruction.rendering_fit import RenderingFitOptions, fit_rendering
from fourreal_core.reconstruction.trained_motion import TrainedMotion
from fourreal_core.scene.pixel_points import pixel_points
from fourreal_core.scene.points_in_time import displaced_points
from fourreal_core.scene.scene4d import Scene4D

from ..scene.scenes import PIXEL, SIZE, known_cross, psnr, rendered_grid, sliding, wall_scene

VIEWS, TIMES = 3, 3
NOTHING = RenderingFitOptions(color_rate=0, view_color_rate=0, scale_rate=0, opacity_rate=0, motion_rate=0)


@pytest.fixture(scope="module")
def truth() -> tuple[Scene4D, FrameGrid]:
    """A sliding wall whose last view is darker, and all of its grid."""
    scene = wall_scene(VIEWS, TIMES, sliding(TIMES, (2.0, 1.0)))
    frames = rendered_grid(scene)
    frames[2] *= 0.8
    return scene, known_cross(frames).with_known(
        {(v, t): frames[v, t] for v in range(1, VIEWS) for t in range(1, TIMES)}
    )


def spoilt(scene: Scene4D, **changes: torch.Tensor) -> Scene4D:
    return replace(scene, splats=replace(scene.splats, **changes), view_colors=torch.zeros(VIEWS, len(scene.splats), 3))


def error(scene: Scene4D, grid: FrameGrid) -> float:
    return psnr(rendered_grid(scene), grid.frames)


def test_view_colours_explain_what_views_disagree_in(truth: tuple[Scene4D, FrameGrid]) -> None:
    scene, grid = truth
    start = spoilt(scene)
    shared = fit_rendering(replace(start, view_colors=None), grid, 60)
    own = fit_rendering(start, grid, 60)
    assert error(own, grid) > error(shared, grid) + 4
    assert shared.view_colors is None
    inside = (scene.splats.means[:, :2].abs() < torch.tensor([SIZE[1] / 2 - 4, SIZE[0] / 2 - 4]) * PIXEL).all(-1)
    light = own.colors_in(2)[inside].mean() / own.colors_in(0)[inside].mean()
    assert float(light) == pytest.approx(0.8, abs=0.05)  # sixty renders from no difference at all
    for v in range(VIEWS):
        assert float(own.colors_in(v).min()) > -1e-6 and float(own.colors_in(v).max()) < 1 + 1e-6


@pytest.mark.parametrize(
    ("part", "options"),
    [
        ("colors", {"color_rate": 0.02}),
        ("log_scales", {"scale_rate": 0.05}),
        ("opacity_logits", {"opacity_rate": 0.1}),
    ],
)
def test_each_part_is_fitted_alone(truth: tuple[Scene4D, FrameGrid], part: str, options: dict[str, float]) -> None:
    scene, grid = truth
    generator = torch.Generator().manual_seed(5)
    noise = {"colors": 0.1, "log_scales": 0.5, "opacity_logits": 1.5}[part]
    value = getattr(scene.splats, part)
    wrong = value + noise * torch.randn(value.shape, generator=generator)
    wrong = wrong - 3 if part == "opacity_logits" else wrong  # so thin that the background shines through
    start = spoilt(scene, **{part: wrong.clamp(0, 1) if part == "colors" else wrong})
    found = fit_rendering(start, grid, 40, replace(NOTHING, **options))
    assert error(found, grid) > error(start, grid) + 0.3
    for name in ("colors", "log_scales", "opacity_logits", "means"):
        same = torch.equal(getattr(found.splats, name), getattr(start.splats, name))
        # colours are split anew between the splats and the views, even where only their sum was looked at
        assert same == (name != part) or name == "colors"
    assert torch.equal(found.view_offsets, start.view_offsets)


def test_motion_is_refined(truth: tuple[Scene4D, FrameGrid]) -> None:
    scene, _ = truth
    slower = replace(scene, deformation=sliding(TIMES, (0.8, 0.4)))
    grid = known_cross(rendered_grid(scene))
    found = fit_rendering(slower, grid, 48, replace(NOTHING, motion_rate=2e-3, motion_every=1, cells=4))
    inside = (scene.splats.means[:, :2].abs() < PIXEL * 8).all(-1)

    def off(of: Scene4D) -> float:
        return float((of.deformed(2) - scene.deformed(2))[inside].norm(dim=-1).mean()) / PIXEL

    assert off(found) < 0.7 * off(slower)


def test_pixels_of_the_views_go_on_following_the_tracks(truth: tuple[Scene4D, FrameGrid]) -> None:
    scene, grid = truth
    found = fit_rendering(scene, grid, 8, replace(NOTHING, motion_rate=0.01))
    for view in range(VIEWS):
        assert torch.equal(pixel_points(found, view).at(2), pixel_points(scene, view).at(2))
    assert not torch.equal(found.deformed(2), scene.deformed(2))
    again = fit_rendering(found, grid, 4, replace(NOTHING, motion_rate=0.01))
    assert torch.equal(again.tracked_weights, scene.deformation.weights)
    with pytest.raises(InputError, match="leave them out"):
        replace(found, tracked_weights=found.tracked_weights[1:])


def test_gradients_at_the_knots_are_projected_onto_the_weights() -> None:
    scene = wall_scene(2, TIMES, sliding(TIMES))
    scene = scene.select(torch.arange(0, len(scene.splats), 9))
    scene = replace(scene, motion_weight=torch.rand(len(scene.splats), generator=torch.Generator().manual_seed(3)))
    motion = TrainedMotion(scene, scene.deformation)
    upstream = torch.randn(len(scene.splats), 3, generator=torch.Generator().manual_seed(4))
    for time in (1, 1, 1.5):  # gradients gather until they are projected
        (displaced_points(scene.splats.means, motion.offsets, time) * upstream).sum().backward()
    motion.project_gradients()
    field = replace(scene.deformation, weights=scene.deformation.weights.clone().requires_grad_())
    plain = scene.offsets_of(scene.splats.means, scene.motion_weight, *scene.residual_places, field)
    sum((displaced_points(scene.splats.means, plain, time) * upstream).sum() for time in (1, 1, 1.5)).backward()
    torch.testing.assert_close(motion.weights.grad, field.weights.grad, rtol=1e-4, atol=1e-4)  # float32 sums

    motion.update_knots()
    motion.project_gradients()
    assert not motion.weights.grad.any()


def test_weights_move_their_knots_once_these_are_updated() -> None:
    scene = wall_scene(2, TIMES, sliding(TIMES))
    motion = TrainedMotion(scene, scene.deformation)
    before = motion.offsets.at(2).detach()
    with torch.no_grad():
        motion.weights *= 3
    assert torch.equal(motion.offsets.at(2), before)
    motion.update_knots()
    torch.testing.assert_close(motion.offsets.at(2), 3 * before)
    assert torch.equal(scene.deformation.weights, sliding(TIMES).weights)


def test_gradients_left_at_the_end_are_not_lost(truth: tuple[Scene4D, FrameGrid]) -> None:
    scene, grid = truth
    slower = replace(scene, deformation=sliding(TIMES, (0.8, 0.4)))
    found = fit_rendering(slower, grid, 3, replace(NOTHING, motion_rate=1e-3, motion_every=100, cells=1))
    assert not torch.equal(found.deformation.weights, slower.deformation.weights)


def test_behind_a_caption_splats_take_the_colours_around_it(truth: tuple[Scene4D, FrameGrid]) -> None:
    """Splats whose pixels a caption hides in every cell start out bright; what is around them is a plain dark wall."""
    scene, grid = truth
    caption = torch.zeros(SIZE, dtype=torch.bool)
    caption[4:10, 4:14] = True
    dark = torch.full_like(grid.frames, 0.2)
    dark[:, :, caption] = 1.0
    grid = replace(grid, frames=dark, valid=~caption)
    start = spoilt(scene, colors=torch.ones_like(scene.splats.colors))
    rates = replace(NOTHING, color_rate=0.05)
    found, blind = (
        rendered_grid(fit_rendering(start, grid, 80, replace(rates, under_captions=weight)))[:, :, caption]
        for weight in (0.05, 0.0)
    )
    assert float(found.mean()) == pytest.approx(0.2, abs=0.05) and float(blind.mean()) > 0.4


def test_nothing_to_fit_changes_no_picture(truth: tuple[Scene4D, FrameGrid]) -> None:
    scene, grid = truth
    found = fit_rendering(scene, grid, 3, NOTHING)
    assert torch.equal(rendered_grid(found), rendered_grid(scene))
    assert fit_rendering(scene, grid, 0) is scene


def test_progress_counts_renders_and_seeds_decide(truth: tuple[Scene4D, FrameGrid]) -> None:
    scene, grid = truth
    seen = []
    a = fit_rendering(scene, grid, 10, on_step=lambda done, total, preview=None: seen.append((done, total)))
    assert seen == [(k + 1, 10) for k in range(10)]
    b, c = (fit_rendering(scene, grid, 10, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    assert torch.equal(a.splats.colors, b.splats.colors) and not torch.equal(a.splats.colors, c.splats.colors)


@pytest.mark.parametrize(
    "wrong",
    [
        {"cells": 0},
        {"motion_every": 0},
        {"color_rate": -1.0},
        {"ssim_weight": 1.5},
        {"under_captions": 1.1},
    ],
)
def test_options_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError):
        RenderingFitOptions(**wrong)


def test_rates_fall_to_zero_at_the_end(truth: tuple[Scene4D, FrameGrid]) -> None:
    """From grey splats, the last of 20 renders changes colours far less than one of those before the decay."""
    scene, grid = truth
    start = spoilt(scene, colors=torch.full_like(scene.splats.colors, 0.5))
    seen: list[torch.Tensor] = []
    options = replace(NOTHING, color_rate=0.02, cells=1)
    only = replace(grid, known=torch.zeros_like(grid.known))
    only.known[0, 0] = True  # the same cell over and over
    fit_rendering(start, only, 20, options, on_step=lambda done, total, image: seen.append(image))
    steps = [float((b - a).abs().mean()) for a, b in zip(seen[:-1], seen[1:], strict=True)]
    assert steps[-1] < 0.4 * steps[5]  # the rate is a third of the full one before the last render
    assert steps[9] > 0.6 * steps[5]  # up to seven tenths it is whole


def test_cells_of_a_step_share_it(truth: tuple[Scene4D, FrameGrid]) -> None:
    """Two equal cells in a step give the gradient of one of them, whatever their number."""
    scene, grid = truth
    frames = grid.frames.clone()
    frames[0, 1] = frames[0, 0]
    still = replace(scene, deformation=None)
    known = torch.zeros_like(grid.known)
    known[0, :2] = True
    pair = replace(grid, frames=frames, known=known)
    single = replace(pair, known=known & (torch.arange(TIMES) == 0))
    start = spoilt(still, colors=torch.full_like(scene.splats.colors, 0.5))
    options = replace(NOTHING, color_rate=0.02)
    a = fit_rendering(start, pair, 2, replace(options, cells=2))
    b = fit_rendering(start, single, 1, replace(options, cells=1))
    torch.testing.assert_close(a.colors_in(0), b.colors_in(0), rtol=0, atol=1e-5)


def test_the_motion_takes_a_step_for_several_of_the_others(truth: tuple[Scene4D, FrameGrid]) -> None:
    scene, grid = truth
    slower = replace(scene, deformation=sliding(TIMES, (0.8, 0.4)))
    options = replace(NOTHING, motion_rate=1e-3, cells=1)
    often, seldom = (
        fit_rendering(slower, grid, 8, replace(options, motion_every=every)).deformation for every in (1, 4)
    )
    before = slower.deformation
    a, b = (float((f.weights - before.weights).abs().max()) for f in (often, seldom))
    assert b < 0.5 * a  # Adam's steps are about as long as the rate: two of them, not eight


def test_a_view_that_shows_no_colours_of_its_own_keeps_none(truth: tuple[Scene4D, FrameGrid]) -> None:
    scene, grid = truth
    start = spoilt(scene)
    own = 0.05 * torch.randn(start.view_colors.shape, generator=torch.Generator().manual_seed(1))
    found = fit_rendering(replace(start, view_colors=own), grid, 4, replace(NOTHING, scale_rate=0.04))
    for v in range(VIEWS):  # not fitted: what every view shows stays, inside of what a picture can show
        expected = (start.splats.colors + own[v]).clamp(0, 1)
        torch.testing.assert_close(found.colors_in(v), expected, rtol=0, atol=1e-6)


def test_what_a_caption_hides_in_every_cell_is_fitted_too(truth: tuple[Scene4D, FrameGrid]) -> None:
    """A large caption on a wall that stands: splats in its middle are seen nowhere, nor from beside it."""
    scene, grid = truth
    caption = torch.zeros(SIZE, dtype=torch.bool)
    caption[4:20, 6:26] = True
    grid = replace(grid, frames=torch.where(caption[..., None], 1.0, torch.full_like(grid.frames, 0.2)), valid=~caption)
    start = spoilt(replace(scene, deformation=None), colors=torch.ones_like(scene.splats.colors))
    found = fit_rendering(start, grid, 60, replace(NOTHING, color_rate=0.05, ssim_weight=0.0))
    assert float(rendered_grid(found)[:, :, 9:15, 13:19].mean()) < 0.4  # from 1; Adam's momentum goes past 0.2


def test_colours_are_split_anew_after_a_fit(truth: tuple[Scene4D, FrameGrid]) -> None:
    """What all views show alike belongs to the splats, where a new camera sees it."""
    scene, grid = truth
    own = torch.full((VIEWS, len(scene.splats), 3), 0.1)
    start = replace(spoilt(scene, colors=scene.splats.colors - 0.1), view_colors=own)
    found = fit_rendering(start, grid, 4, NOTHING)
    assert float(found.view_colors.abs().mean()) < 0.02
    torch.testing.assert_close(found.colors_in(1), start.colors_in(1), rtol=0, atol=1e-5)
