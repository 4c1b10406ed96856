"""Floors and figures: simple rules do what they say, and the figures are what a reader would compute."""

from __future__ import annotations

import pytest
import torch

from fourreal_core.model.model4d import Model4D
from fourreal_core.proposals.baselines import floors
from fourreal_core.synthetic.scene import to_float
from fourreal_core.training.averaging import Average, learning_rate
from fourreal_core.training.data.cache import CachedGrids
from fourreal_core.training.validation import first_guess, validate


def test_floors_look_only_at_the_first_row_and_column(pictures):
    frames = pictures(9, 32, 32).reshape(3, 3, 32, 32, 3)
    hidden = frames.clone()
    hidden[1:, 1:] = 0
    seen, blind = floors(frames), floors(hidden)
    assert all(torch.equal(seen[name], blind[name]) for name in seen)
    assert torch.equal(seen["copy"][2, 1], frames[2, 0])
    assert torch.equal(seen["additive"][1, 2], (frames[1, 0] + frames[0, 2] - frames[0, 0]).clamp(0, 1))
    torch.testing.assert_close(seen["mean of flows"][:, 0], (frames[:, 0] + seen["flow in view"][:, 0]) / 2)


def test_flow_carries_a_motion_over_to_other_views(pictures):
    wide = pictures(1, 40, 80)[0]
    views = torch.stack([wide, wide.flip(0), 1 - wide])
    frames = torch.stack([views.roll(3 * t, 2) for t in range(3)], 1)
    moved = floors(frames)["flow in time"]
    inner = (slice(None), slice(None), slice(8, -8), slice(16, -16))
    error = (moved[inner] - frames[inner])[1:, 1:].abs().mean()
    still = (frames[:, :1] - frames)[inner][1:, 1:].abs().mean()
    assert float(error) < 0.35 * float(still)


def test_a_first_guess_keeps_known_cells_and_is_seeded(tiny, tiny_cache):
    model = Model4D(tiny("finetune4d").model).eval()
    truth = to_float(CachedGrids(tiny_cache).read(0)[0])
    known = torch.zeros(3, 3, dtype=torch.bool)
    known[0] = known[:, 0] = True
    made = first_guess(model, truth, known)
    torch.testing.assert_close(made[known], truth[known], rtol=0, atol=1e-6)  # to [-1, 1] and back in float32
    assert torch.equal(made, first_guess(model, torch.where(known[..., None, None, None], truth, 0.3), known))


@pytest.mark.parametrize("stage", ["base", "finetune4d"])
def test_figures_are_means_over_unknown_cells(tiny, tiny_cache, stage):
    config = tiny(stage)
    model = Model4D(config.model).eval()
    figures, (made, known, truth) = validate(config, model, CachedGrids(tiny_cache, "validation"), 5)
    mse = ((made - truth) ** 2)[~known].flatten(1).mean(1)
    # one grid is held out, so its mean is the mean
    assert figures["psnr"] == pytest.approx(float((-10 * torch.log10(mse)).mean()), abs=1e-3)
    assert set(figures) == {"psnr", "subject_psnr"}


def test_the_learning_rate_warms_up_and_falls(tiny):
    options = tiny("base", train__steps=100, train__warm_up=10, train__last_rate=0.1).train
    rates = [learning_rate(options, step) for step in range(100)]
    assert rates[0] == pytest.approx(options.learning_rate / 10) and max(rates) == rates[10] == options.learning_rate
    assert all(a > b for a, b in zip(rates[10:], rates[11:], strict=False))
    assert learning_rate(options, 100) == pytest.approx(0.1 * options.learning_rate)


def test_the_average_follows_and_settles():
    weight = {"w": torch.zeros(1)}
    average = Average(0.9, weight)
    weight["w"] = torch.ones(1)
    average.update(weight, 0)
    assert float(average.weights["w"]) == pytest.approx(0.9)  # early on it keeps (1 + 0) / (10 + 0) of the start
    for step in range(1000, 1050):
        average.update(weight, step)
    assert float(average.weights["w"]) == pytest.approx(1 - 0.1 * 0.9**50, abs=1e-5)
