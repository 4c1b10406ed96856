"""Colours gathered from all views: their light is found, their texture kept, what few views say is outvoted."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.reconstruction.view_colors import common_colors, gather_colors, view_appearance
from fourreal_core.scene.formats.ply import splats_at
from fourreal_core.scene.render import render_camera, render_cell
from fourreal_core.scene.scene4d import Scene4D

from ..scene.scenes import SIZE, psnr, rendered_grid, wall_scene

VIEWS = 3
GAIN, BIAS = torch.tensor([1.2, 0.9, 1.0]), torch.tensor([-0.1, 0.05, 0.0])


def gathered(scene: Scene4D, frames: torch.Tensor, valid: torch.Tensor | None = None, own: bool = True) -> Scene4D:
    return gather_colors(scene, view_appearance(scene, frames, valid), own)


@pytest.fixture
def lit() -> tuple[Scene4D, torch.Tensor]:
    """The wall with grey splats, and its clip, in which the last view has another light."""
    scene = wall_scene(VIEWS)
    frames = rendered_grid(scene)[:, 0]
    frames[2] = frames[2] * GAIN + BIAS
    grey = replace(scene.splats, colors=torch.full_like(scene.splats.colors, 0.5))
    inside = _inside(scene)
    return replace(scene, splats=grey, visible=inside), frames


def _inside(scene: Scene4D) -> torch.Tensor:
    here = torch.stack([scene.in_view(v, 0) for v in range(VIEWS)])
    at = here[..., :2] / here[..., 2:] * 32.0 + torch.tensor([SIZE[1] / 2, SIZE[0] / 2])
    return (at > 1).all(-1) & (at < torch.tensor([SIZE[1] - 1.0, SIZE[0] - 1.0])).all(-1)


def test_colours_are_those_of_the_central_light(lit: tuple[Scene4D, torch.Tensor]) -> None:
    scene, frames = lit
    truth, found = wall_scene(VIEWS), gathered(scene, frames)
    seen = scene.visible.all(0)
    # the clip is the splats' own render, which takes a tenth of so fine a painting's contrast of 0.8
    assert float((found.splats.colors - truth.splats.colors)[seen].abs().mean()) < 0.08
    shown = found.colors_in(2)[seen]
    assert float((shown - (found.splats.colors[seen] * GAIN + BIAS)).abs().mean()) < 0.02
    assert float(found.view_colors[1][seen].abs().mean()) < 0.01


def test_every_view_renders_in_its_own_light_and_new_cameras_in_the_common_one(
    lit: tuple[Scene4D, torch.Tensor],
) -> None:
    scene, frames = lit
    found, plain = gathered(scene, frames), gathered(scene, frames, own=False)
    inner = (slice(3, -3), slice(3, -3))
    for v in range(VIEWS):
        assert psnr(render_cell(found, v, 0).image[inner], frames[v][inner]) > 24.2  # contrast is lost once more
    assert plain.view_colors is None
    assert psnr(render_cell(plain, 2, 0).image[inner], frames[2][inner]) < 24
    new = render_camera(found, found.cameras[2], 0).image[inner]
    assert psnr(new * GAIN + BIAS, frames[2][inner]) > 23


def test_a_splat_that_a_view_does_not_see_gets_the_light_of_that_view(lit: tuple[Scene4D, torch.Tensor]) -> None:
    scene, frames = lit
    hidden = torch.zeros(len(scene.splats), dtype=torch.bool)
    hidden[::5] = True
    visible = scene.visible.clone()
    visible[2] &= ~hidden
    found = gathered(replace(scene, visible=visible), frames)
    at = hidden & scene.visible.all(0)
    expected = (found.splats.colors * GAIN + BIAS).clamp(0, 1)
    assert float((found.colors_in(2) - expected)[at].abs().max()) < 0.08  # the light is fitted to blurred pictures


def test_one_view_of_five_that_shows_something_else_is_outvoted() -> None:
    scene = wall_scene(5)
    frames = rendered_grid(scene)[:, 0]
    clean = gathered(scene, frames).splats.colors
    frames = frames.clone()
    frames[4, 8:16, 8:20] = torch.tensor([1.0, 0.0, 1.0])
    found = gathered(scene, frames).splats.colors
    mean = (frames[4, 8:16, 8:20] - rendered_grid(scene)[4, 0, 8:16, 8:20]).abs().mean() / 5
    # of colours between 0.1 and 0.9 a fifth of the paint would be this much; the robust mean lets a tenth of it in
    assert float((found - clean).abs().max()) < 0.1 < float(mean) + 0.05


def test_masked_pixels_and_views_without_points_say_nothing(lit: tuple[Scene4D, torch.Tensor]) -> None:
    scene, frames = lit
    nothing = gathered(scene, frames, torch.zeros(SIZE, dtype=torch.bool))
    assert torch.equal(nothing.splats.colors, scene.splats.colors)
    assert not nothing.view_colors.any()
    blind = gathered(replace(scene, visible=torch.zeros_like(scene.visible)), frames)
    assert torch.isfinite(blind.view_colors).all() and torch.equal(blind.splats.colors, scene.splats.colors)


def test_splitting_anew_changes_no_view(lit: tuple[Scene4D, torch.Tensor]) -> None:
    scene, frames = lit
    found = gathered(scene, frames)
    drifted = replace(
        found,
        splats=replace(found.splats, colors=found.splats.colors * 0.8),
        view_colors=found.view_colors + 0.2 * found.splats.colors,
    )
    split = common_colors(drifted)
    for v in range(VIEWS):
        torch.testing.assert_close(split.colors_in(v), drifted.colors_in(v), rtol=0, atol=1e-6)
    seen = scene.visible.all(0)
    assert float(split.view_colors[:, seen].mean(0).abs().mean()) < float(drifted.view_colors[:, seen].mean(0).mean())
    assert common_colors(scene) is scene


def test_an_exported_view_has_its_colours(lit: tuple[Scene4D, torch.Tensor]) -> None:
    found = gathered(*lit)
    assert torch.equal(splats_at(found, 0, 2).colors, found.colors_in(2))
    assert torch.equal(splats_at(found, 0).colors, found.splats.colors)


def test_inputs_stay_and_selection_takes_colours_along(lit: tuple[Scene4D, torch.Tensor]) -> None:
    scene, frames = lit
    before = scene.splats.colors.clone(), frames.clone()
    found = gathered(scene, frames)
    assert torch.equal(scene.splats.colors, before[0]) and torch.equal(frames, before[1])
    keep = torch.arange(0, len(scene.splats), 3)
    assert torch.equal(found.select(keep).view_colors, found.view_colors[:, keep])
    with pytest.raises(InputError, match="fit them to the same splats"):
        replace(found, view_colors=found.view_colors[:, 1:])


def shown_by(scene: Scene4D, gain: float, bias: float) -> torch.Tensor:
    """The clip with another light in its last view."""
    frames = rendered_grid(scene)[:, 0].clone()
    frames[2] = gain * (frames[2] - 0.5) + 0.5 + bias
    return frames


def test_the_light_of_a_view_is_a_factor_and_an_addend(lit: tuple[Scene4D, torch.Tensor]) -> None:
    scene = replace(wall_scene(VIEWS), visible=lit[0].visible)
    light = view_appearance(scene, shown_by(scene, 0.8, 0.05)).light
    torch.testing.assert_close(light[2, 0], torch.full((3,), 0.8), rtol=0, atol=0.04)
    torch.testing.assert_close(light[2, 1], torch.full((3,), 0.15), rtol=0, atol=0.03)  # 0.5 - 0.8 * 0.5 + 0.05
    assert torch.equal(light[1], torch.tensor([[1.0, 1, 1], [0, 0, 0]]))  # the central view's is the common one


@pytest.mark.parametrize(("gain", "factor"), [(0.1, 0.5), (5.0, 2.0)])
def test_the_contrast_of_a_view_is_bounded(lit: tuple[Scene4D, torch.Tensor], gain: float, factor: float) -> None:
    scene = replace(wall_scene(VIEWS), visible=lit[0].visible)
    # the farther off the farther from robust: a tenth of the contrast is found to be less than a half all the same
    assert view_appearance(scene, shown_by(scene, gain, 0.0)).light[2, 0].tolist() == pytest.approx([factor] * 3)


def test_a_plain_scene_has_lights_that_only_add() -> None:
    scene = wall_scene(VIEWS)
    plain = replace(scene, splats=replace(scene.splats, colors=torch.full_like(scene.splats.colors, 0.6)))
    frames = torch.full((VIEWS, *SIZE, 3), 0.6)
    frames[2] = 0.4
    light = view_appearance(plain, frames).light[2]
    torch.testing.assert_close(light[0], torch.ones(3), rtol=0, atol=1e-3)
    torch.testing.assert_close(light[1], torch.full((3,), -0.2), rtol=0, atol=1e-3)


def test_a_few_points_make_no_light(lit: tuple[Scene4D, torch.Tensor]) -> None:
    scene = replace(wall_scene(VIEWS), visible=lit[0].visible)
    some = scene.visible.clone()
    some[2, scene.visible[2].nonzero()[40:, 0]] = False
    light = view_appearance(replace(scene, visible=some), shown_by(scene, 0.8, 0.05)).light
    assert torch.equal(light[2], torch.tensor([[1.0, 1, 1], [0, 0, 0]]))


def test_what_a_view_shows_in_addition_is_not_its_light(lit: tuple[Scene4D, torch.Tensor]) -> None:
    scene = replace(wall_scene(VIEWS), visible=lit[0].visible)
    frames = shown_by(scene, 0.9, 0.0)
    clean = view_appearance(scene, frames).light
    frames[2, 4:16, 4:16] = torch.tensor([1.0, 0.0, 1.0])  # a fifth of the picture
    torch.testing.assert_close(view_appearance(scene, frames).light, clean, rtol=0, atol=0.03)


def test_the_light_of_a_view_makes_no_seam_where_it_alone_sees() -> None:
    scene = wall_scene(VIEWS)
    n = len(scene.splats)
    visible = torch.ones(VIEWS, n, dtype=torch.bool)
    visible[:2, : n // 2] = False
    own = torch.zeros(VIEWS, n, 3)
    own[2] = -0.2
    grey = replace(scene.splats, colors=torch.full((n, 3), 0.5))
    split = common_colors(replace(scene, splats=grey, visible=visible, view_colors=own)).splats.colors
    assert float(split.max() - split.min()) < 0.02  # not the darkened 0.3 beside a mean of all


def test_a_view_keeps_its_texture_where_it_sees(lit: tuple[Scene4D, torch.Tensor]) -> None:
    scene, frames = lit
    frames[2] += 0.1 * torch.rand(frames[2].shape, generator=torch.Generator().manual_seed(0)) - 0.05
    appearance = view_appearance(scene, frames)
    found = gather_colors(scene, appearance)
    seen = appearance.seen[2]
    expected = appearance.shown[2].clamp(0, 1)
    torch.testing.assert_close(found.colors_in(2)[seen], expected[seen], rtol=0, atol=1e-6)
