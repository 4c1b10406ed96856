"""The fit to a completed grid follows what is sure, leaves the rest, and can be left away."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.grid import FrameGrid
from fourreal_core.metrics import psnr
from fourreal_core.proposals.complete_grid import completion
from fourreal_core.reconstruction.refit import DOUBT_GRAY, RefitOptions, refit_scene, trust_in
from fourreal_core.scene.render import render_cell
from fourreal_core.scene.to_device import scene_to

from ..scene.scenes import known_cross, rendered_grid, sliding, wall_scene

VIEWS, TIMES = 3, 3


def scene():
    return wall_scene(VIEWS, TIMES, sliding(TIMES, (4.0, 2.0)))


@pytest.fixture(scope="module")
def darker() -> FrameGrid:
    """Its missing cells are darker than the scene; so are they in the completed grid."""
    frames = rendered_grid(scene())
    grid = known_cross(frames)
    return grid.filled(frames * 0.6)


def refitted(grid: FrameGrid, error_gray: float, **options) -> torch.Tensor:
    """Cell [2, 2] after the fit."""
    errors = torch.full(grid.frames.shape[:4], error_gray)
    fitted = refit_scene(scene(), grid, errors, RefitOptions(steps=options.pop("steps", 36), **options))
    return render_cell(fitted, 2, 2).image.detach()


def test_it_follows_completed_cells_that_are_sure(darker: FrameGrid) -> None:
    before = render_cell(scene(), 2, 2).image
    sure, doubtful = (refitted(darker, error) for error in (0.0, 1e4))
    truth, valid = darker.frames[2, 2], darker.valid
    assert psnr(sure, truth, valid) > psnr(before, truth, valid) + 1
    assert abs(float((before - doubtful).mean())) < 0.2 * float((before - sure).mean())


def test_known_cells_are_sure_whatever_is_said_of_them(darker: FrameGrid) -> None:
    dark = replace(darker, frames=darker.frames * 0.6, known=torch.ones_like(darker.known))
    before = render_cell(scene(), 2, 2).image
    assert float((before - refitted(dark, 1e4)).mean()) > 0.02


def test_trust_by_hand() -> None:
    assert trust_in(DOUBT_GRAY * torch.tensor([0.0, 1.0, 2.0])).tolist() == pytest.approx([1, 0.5, 0.2])


def test_no_steps_leave_the_scene(darker: FrameGrid) -> None:
    start = scene()
    assert refit_scene(start, darker, torch.zeros(darker.frames.shape[:4]), RefitOptions(steps=0)) is start


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_grid_on_the_gpu_is_completed_and_fitted_there(darker: FrameGrid) -> None:
    known = darker.known[:, :, None, None, None]
    grid = replace(darker, frames=torch.where(known, darker.frames, 0.0).cuda(), known=darker.known.cuda())
    there = scene_to(scene(), torch.device("cuda"))
    made = completion(there, replace(grid, valid=darker.valid.cuda()), flows=None)
    assert made.error_gray.device == made.grid.frames.device == grid.frames.device
    fitted = refit_scene(there, made.grid, made.error_gray, RefitOptions(steps=2))
    assert fitted.splats.colors.is_cuda and bool(fitted.splats.colors.isfinite().all())


def test_what_does_not_fit_is_refused(darker: FrameGrid) -> None:
    with pytest.raises(InputError, match="no negative steps"):
        RefitOptions(steps=-1)
    with pytest.raises(InputError, match="as the scene"):
        refit_scene(scene(), darker, torch.zeros(2, 2, 3, 3))
