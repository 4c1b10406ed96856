"""Figures of whole grids: changes along an axis, intervals of means, and what a table row says."""

from __future__ import annotations

import math

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.metrics import psnr
from fourreal_core.metrics.consistency import change_psnr
from fourreal_core.metrics.grid_quality import FIGURES, grid_quality


@pytest.fixture
def truth(pictures) -> torch.Tensor:
    return pictures(12, 16, 24).reshape(3, 4, 16, 24, 3)


def test_a_constant_error_changes_nothing_along_an_axis(truth):
    brighter = truth * 0.9 + 0.1  # changes shrink by a tenth
    expected = -10 * torch.log10(((0.1 * truth.diff(dim=1)) ** 2).flatten(2).mean(-1)).flatten()
    # float32 differences of numbers near 0.5 carry 1e-7, changes are near 0.1: 1e-3 dB is far above that
    torch.testing.assert_close(change_psnr(brighter, truth, "time"), expected, atol=1e-3, rtol=0)
    assert bool((change_psnr(truth + 0.0, truth, "view") == 100).all())


def test_flicker_costs_in_time_and_not_in_a_column_of_its_own(truth):
    flicker = truth.clone()
    flicker[:, 1::2] = (flicker[:, 1::2] + 0.05).clamp(0, 1)  # every second time is brighter, in all views alike
    in_time, across = change_psnr(flicker, truth, "time"), change_psnr(flicker, truth, "view")
    assert float(in_time.max()) < -20 * math.log10(0.04)  # a change is wrong by 0.05, but for the few clamped pixels
    assert float(across.mean()) > float(in_time.mean()) + 10


def test_only_cells_that_count_are_scored(truth):
    wrong = truth.clone()
    wrong[0, 1] = 0
    counted = torch.ones(3, 4, dtype=torch.bool)
    counted[0] = False
    assert change_psnr(wrong, truth, "time", counted).shape == (2 * 3,)
    assert bool((change_psnr(wrong, truth, "time", counted) == 100).all())  # row 0 doesn't count
    assert not bool((change_psnr(wrong, truth, "view", counted) == 100).all())  # row 0 is before row 1


@pytest.mark.parametrize("axis, shape", [("depth", (3, 4, 16, 24, 3)), ("time", (3, 4, 16, 23, 3))])
def test_changes_of_other_grids_are_refused(truth, axis, shape):
    with pytest.raises(InputError):
        change_psnr(torch.zeros(shape), truth, axis)


def test_a_row_of_the_table_is_the_mean_over_cells_not_given(truth, generator):
    made = (truth + 0.1 * torch.rand(truth.shape, generator=generator)).clamp(0, 1)
    known = torch.zeros(3, 4, dtype=torch.bool)
    known[0] = known[:, 0] = True
    subject = torch.zeros(3, 4, 16, 24, dtype=torch.bool)
    subject[1, 2, 4:8, 4:8] = True
    found = grid_quality(made, truth, subject, known)
    assert set(found) == set(FIGURES)
    cells = [(v, t) for v in (1, 2) for t in (1, 2, 3)]
    assert found["psnr"] == pytest.approx(sum(psnr(made[c], truth[c]) for c in cells) / 6)
    assert found["subject_psnr"] == pytest.approx(psnr(made[1, 2], truth[1, 2], subject[1, 2]))
    assert "subject_psnr" not in grid_quality(made, truth, torch.zeros_like(subject), known)
    with pytest.raises(InputError):
        grid_quality(made, truth, subject, torch.ones(3, 4, dtype=torch.bool))
