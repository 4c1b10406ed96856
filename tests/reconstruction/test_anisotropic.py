"""Stretched splats drawn as round ones: the picture of the Gaussian they stand for, and gradients to its axis."""

from __future__ import annotations

import math

import pytest
import torch

from fourreal_core.cameras import intrinsics_from_focal
from fourreal_core.rasterizer import RasterOptions, rasterize
from fourreal_core.reconstruction.anisotropic import draw_stretched, round_splats
from fourreal_core.reconstruction.rendering_fit import RenderingFitOptions, fit_rendering

from ..scene.scenes import known_cross, psnr, rendered_grid, wall_scene

SIZE, FOCAL, DEPTH = (40, 60), 100.0, 10.0
EXACT = RasterOptions(low_pass=0.0, min_alpha=1e-4)


def drawn(axis: tuple[float, float, float], opacity: float = 0.05) -> torch.Tensor:
    point = torch.tensor([[0.0, 0.0, DEPTH]])
    parts = draw_stretched(point, torch.tensor([0.3]), torch.tensor([opacity]), torch.tensor([axis]))
    return rasterize(*parts, None, intrinsics_from_focal(FOCAL, SIZE), SIZE, None, EXACT).alpha


@pytest.mark.parametrize("turn", [0.0, 0.7, 1.5])
def test_it_has_the_moments_of_the_gaussian(turn: float) -> None:
    axis = 0.4 * math.cos(turn), 0.4 * math.sin(turn), 0.0
    alpha = drawn(axis)
    ys, xs = torch.meshgrid(torch.arange(SIZE[0]) + 0.5 - 20, torch.arange(SIZE[1]) + 0.5 - 30, indexing="ij")
    along = xs * math.cos(turn) + ys * math.sin(turn)
    across = ys * math.cos(turn) - xs * math.sin(turn)
    mass = alpha.sum()
    # three per cent: faint splats add up but for the square of their alpha, and the tails end at 1e-4
    assert float((alpha * along**2).sum() / mass) == pytest.approx(3.0**2 + 4.0**2, rel=0.03)
    assert float((alpha * across**2).sum() / mass) == pytest.approx(3.0**2, rel=0.03)
    assert float(mass) == pytest.approx(0.05 * 2 * math.pi * 3 * 5, rel=0.03)


@pytest.mark.parametrize("opacity", [0.05, 0.5, 0.95])
def test_without_an_axis_it_is_the_round_splat(opacity: float) -> None:
    point = torch.tensor([[0.0, 0.0, DEPTH]])
    one = rasterize(
        point, torch.tensor([0.3]), torch.tensor([opacity]), None, intrinsics_from_focal(FOCAL, SIZE), SIZE, None, EXACT
    ).alpha
    centre = drawn((0.0, 0.0, 0.0), opacity)[20, 30]
    # exact at its very middle; half a pixel beside it three fall off a little less than one
    assert float(centre) == pytest.approx(float(one[20, 30]), abs=0.02)


def test_gradients_reach_the_axis() -> None:
    generator = torch.Generator().manual_seed(0)
    points, axes = (torch.randn(4, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    scales = torch.tensor([0.5, 0.8, 1.0, 0.6], dtype=torch.float64)
    opacities = torch.tensor([0.2, 0.4, 0.3, 0.1], dtype=torch.float64)
    inputs = [x.requires_grad_() for x in (points, scales, opacities, 0.3 * axes.detach())]
    assert torch.autograd.gradcheck(draw_stretched, inputs)


def test_a_fitted_scene_renders_as_it_was_fitted() -> None:
    scene = wall_scene(2, 2)
    grid = known_cross(rendered_grid(scene))
    found = fit_rendering(scene, grid, 12, RenderingFitOptions(stretch_rate=0.1))
    assert len(found.splats) == 3 * len(scene.splats)
    assert psnr(rendered_grid(found)[grid.known], grid.frames[grid.known]) > 25
    assert len(round_splats(scene, torch.zeros_like(scene.splats.means)).splats) == 3 * len(scene.splats)
