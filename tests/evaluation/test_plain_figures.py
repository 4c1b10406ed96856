"""Figures that need no weights, on a world whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fourreal_core.errors import InputError
from fourreal_core.evaluation.evaluate import Evaluator
from fourreal_core.evaluation.figures import PLAIN_FIGURES, SceneFigures
from fourreal_core.evaluation.grids import EvaluatedGrid
from fourreal_core.evaluation.picture_figures import flicker
from fourreal_core.metrics import psnr, ssim
from fourreal_core.metrics.consistency import change_psnr

from .conftest import TIMES, VIEWS


def figures_of(frames: Tensor, truth: Tensor | None = None) -> SceneFigures:
    true = None if truth is None else EvaluatedGrid.of_frames("truth", truth)
    return Evaluator()(EvaluatedGrid.of_frames("made", frames), true)


@pytest.fixture(scope="module")
def of_truth(true_frames: Tensor) -> SceneFigures:
    return figures_of(true_frames)


@pytest.fixture(scope="module")
def of_frozen(true_frames: Tensor, frozen_frames: Tensor) -> SceneFigures:
    return figures_of(frozen_frames, true_frames)


def test_a_true_world_agrees_with_itself(of_truth: SceneFigures) -> None:
    """All of it is one scene: matches lie within a fraction of a pixel, as those of the given clip do."""
    assert of_truth.values["reprojection"] < 0.3 and of_truth.values["match_share"] > 55
    assert of_truth.values["reprojection"] == pytest.approx(of_truth.reference["reprojection"], abs=0.1)
    assert of_truth.values["match_share"] == pytest.approx(of_truth.reference["match_share"], abs=8)
    assert of_truth.values["motion"] == pytest.approx(1, abs=0.1)
    assert of_truth.values["sharpness"] == pytest.approx(1, abs=0.1)
    for name in ("warp_time", "warp_view"):
        assert of_truth.values[name] == pytest.approx(of_truth.reference[name], rel=0.4)
    assert not {"psnr", "ssim", "temporal_psnr", "view_psnr"} & set(of_truth.values)


def test_a_world_that_stands_still_is_found_out_by_its_motion(of_frozen: SceneFigures, of_truth: SceneFigures) -> None:
    assert of_frozen.values["warp_time"] == 0 and of_frozen.values["flicker"] == 0
    assert of_frozen.values["motion"] == 0 and of_frozen.values["sharpness"] == 1
    # all views but the first are those of the given clip; the row that moves fits them no longer
    assert of_frozen.values["reprojection"] == pytest.approx(of_truth.reference["reprojection"], abs=0.05)
    assert of_frozen.values["match_share"] < of_truth.reference["match_share"]


def test_figures_against_the_truth_are_those_of_the_metrics(
    of_frozen: SceneFigures, true_frames: Tensor, frozen_frames: Tensor
) -> None:
    cells = [(v, t) for v in range(1, VIEWS) for t in range(1, TIMES)]
    by_hand = [psnr(frozen_frames[c], true_frames[c]) for c in cells]
    assert of_frozen.values["psnr"] == pytest.approx(sum(by_hand) / len(by_hand))
    assert list(of_frozen.cells["psnr"].values()) == pytest.approx(by_hand)
    assert of_frozen.cells["ssim"][2, 3] == ssim(frozen_frames[2, 3], true_frames[2, 3])
    made = ~EvaluatedGrid.of_frames("x", true_frames).given
    for name, axis in (("temporal_psnr", "time"), ("view_psnr", "view")):
        expected = float(change_psnr(frozen_frames, true_frames, axis, made).mean())
        assert of_frozen.values[name] == pytest.approx(expected)


def test_views_that_slip_are_no_scene(of_truth: SceneFigures, true_frames: Tensor) -> None:
    """Every other view slips two pixels down after time 0: no depth explains that, most of it shows."""
    slipped = true_frames.clone()
    slipped[1::2, 1:] = true_frames[1::2, 1:].roll(2, dims=2)
    found = figures_of(slipped)
    assert found.values["reprojection"] > of_truth.values["reprojection"] + 0.5
    assert found.values["match_share"] < of_truth.values["match_share"] - 15
    assert found.reference == pytest.approx(of_truth.reference)  # the given cells are as they were
    assert set(found.cells["reprojection"]) == {(v, t) for v in range(VIEWS) for t in range(1, TIMES)}


def test_jitter_costs_in_time(of_truth: SceneFigures, true_frames: Tensor) -> None:
    noisy = true_frames.clone()
    noise = torch.randn(noisy[1:, 1:].shape, generator=torch.Generator().manual_seed(0))
    noisy[1:, 1:] = (noisy[1:, 1:] + 0.05 * noise).clamp(0, 1)
    found = figures_of(noisy)
    assert found.values["warp_time"] > 1.5 * of_truth.values["warp_time"]
    assert found.values["warp_view"] > 1.2 * of_truth.values["warp_view"]
    assert found.values["sharpness"] > 1.1


def test_blurred_cells_are_less_sharp(true_frames: Tensor) -> None:
    blurred = true_frames.clone()
    flat = blurred[1:, 1:].reshape(-1, 72, 120, 3).permute(0, 3, 1, 2)
    soft = torch.nn.functional.avg_pool2d(flat, 5, 1, 2, count_include_pad=False)
    blurred[1:, 1:] = soft.permute(0, 2, 3, 1).reshape(blurred[1:, 1:].shape)
    assert figures_of(blurred).values["sharpness"] < 0.6


def test_flicker_by_hand() -> None:
    """Luma 100, 110, 100, 100: second differences -20 and 10, whose mean size is 15; captions don't count."""
    luma = torch.tensor([100.0, 110.0, 100.0, 100.0]) / 255
    rows = luma[None, :, None, None, None].expand(1, 4, 64, 64, 3).clone()
    rows[..., :8, :, :] = torch.rand(4, 8, 64, 3, generator=torch.Generator().manual_seed(0))
    valid = torch.ones(64, 64, dtype=torch.bool)
    valid[:8] = False
    assert flicker(rows, valid) == pytest.approx(15, abs=0.01)
    assert flicker(rows[:, :2], valid) is None and flicker(rows, torch.zeros_like(valid)) is None


def test_a_grid_without_a_freeze_time_clip_has_no_cameras(true_frames: Tensor) -> None:
    grid = EvaluatedGrid.of_frames("x", true_frames, torch.zeros(VIEWS, TIMES, dtype=torch.bool))
    found = Evaluator()(grid)
    assert "reprojection" not in found.values and found.values["warp_view"] > 0 and not found.reference


def test_cells_that_are_not_there_are_left_out(true_frames: Tensor, frozen_frames: Tensor) -> None:
    truth = EvaluatedGrid.of_frames("t", true_frames)
    there = truth.there.clone()
    there[1, 1] = there[3, 2] = False
    found = Evaluator()(EvaluatedGrid.of_frames("m", frozen_frames), replace(truth, there=there))
    assert (1, 1) not in found.cells["psnr"] and len(found.cells["psnr"]) == (VIEWS - 1) * (TIMES - 1) - 2
    with pytest.raises(InputError, match="no cell to score"):
        Evaluator()(replace(truth, scored=torch.zeros_like(there)))
    with pytest.raises(InputError, match="a grid of 4 x 4 cells"):
        Evaluator()(EvaluatedGrid.of_frames("m", frozen_frames[:4]), truth)


def test_every_figure_says_what_it_is(of_frozen: SceneFigures) -> None:
    assert list(of_frozen.values) == list(PLAIN_FIGURES)
    assert all(figure.what.endswith(".") and figure.maker for figure in PLAIN_FIGURES.values())
