"""Dust3R-confidence, on hand-made maps with a known answer and through the networks' interfaces."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from fourreal_core.errors import InputError
from fourreal_core.evaluation.confidence import (
    MultiViewConfidence,
    PairConfidence,
    confidence_entries,
    confidence_figures,
    confidence_shares,
)
from fourreal_core.evaluation.evaluate import Evaluator
from fourreal_core.evaluation.grids import EvaluatedGrid
from fourreal_core.evaluation.models import JudgeModels, judge_models
from fourreal_core.geometry.multi_view_models import MultiViewPoints
from fourreal_core.geometry.pair_models import PairPoints


def test_shares_by_hand() -> None:
    """Of ten pixels two don't count; of the eight, 6, 4 and 1 exceed the thresholds. Equal is not more."""
    maps = torch.tensor([[2.0, 2.1, 2.6, 2.6, 9.0], [1.0, 2.1, 2.5, 3.0, 3.1]])[None]
    valid = torch.ones(2, 5, dtype=torch.bool)
    valid[0, 4] = valid[1, 0] = False
    assert confidence_shares(maps, valid) == [100 * 7 / 8, 100 * 4 / 8, 100 * 1 / 8]


@dataclass
class ByBrightness:
    """A network that is as sure of a picture as it is bright, and half as sure of the second one."""

    name: str = "dust3r"
    asked: list[tuple[float, float]] = field(default_factory=list)

    def __call__(self, first: Tensor, second: Tensor) -> PairPoints:
        self.asked.append((float(first.mean()), float(second.mean())))
        points = torch.zeros_like(first)
        return PairPoints(points, points, first[..., 0] * 10, second[..., 0] * 5)


def grey_grid(levels: list[list[float]]) -> EvaluatedGrid:
    frames = torch.tensor(levels)[..., None, None, None].expand(-1, -1, 8, 8, 3).contiguous()
    return EvaluatedGrid.of_frames("grey", frames)


def test_every_time_pairs_its_views_each_with_each() -> None:
    """Three views of 0.26, 0.3 and 0.9: sure of 2.6, 3 and 9 as first ones, 1.3, 1.5 and 4.5 as second ones."""
    grid, model = grey_grid([[0.1, 0.26], [0.1, 0.3], [0.1, 0.9]]), ByBrightness()
    values, reference = confidence_figures(grid, PairConfidence(model))
    pairs = [(round(a, 2), round(b, 2)) for a, b in model.asked]
    assert sorted(pairs[6:]) == sorted([(0.26, 0.3), (0.3, 0.26), (0.26, 0.9), (0.9, 0.26), (0.3, 0.9), (0.9, 0.3)])
    # of the twelve maps six are first ones, all above 2 and 2.5; of the second ones only the two of 4.5
    assert values == pytest.approx(
        {
            "dust3r_confidence_2.0": 100 * 8 / 12,
            "dust3r_confidence_2.5": 100 * 8 / 12,
            "dust3r_confidence_3.0": 100 * 4 / 12,  # 10 * 0.3 is 3.0, and not more
        },
        abs=1e-4,
    ) or values["dust3r_confidence_3.0"] == pytest.approx(100 * 6 / 12)  # 10 * float32(0.3) rounds to just above 3
    assert reference == {f"dust3r_confidence_{tau}": 0.0 for tau in (2.0, 2.5, 3.0)}


def test_reach_leaves_far_pairs_out() -> None:
    model = ByBrightness()
    assert len(PairConfidence(model, reach=1).confidence(torch.rand(4, 8, 8, 3))) == 2 * 6
    assert len(model.asked) == 6
    with pytest.raises(InputError, match="at least two to pair"):
        PairConfidence(model).confidence(torch.rand(1, 8, 8, 3))


def test_networks_of_many_views_give_one_map_a_view() -> None:
    class Network:
        name = "vggt"

        def __call__(self, frames: Tensor) -> MultiViewPoints:
            one = frames[..., 0] * 10
            return MultiViewPoints(
                one, torch.eye(3).expand(len(frames), 3, 3), torch.eye(4).expand(len(frames), 4, 4), one
            )

    model = MultiViewConfidence(Network())
    values, _ = confidence_figures(grey_grid([[0.1, 0.26], [0.1, 0.1]]), model)
    assert values == {"vggt_confidence_2.0": 50.0, "vggt_confidence_2.5": 50.0, "vggt_confidence_3.0": 0.0}
    assert [f.label for f in confidence_entries(model)][0] == "vggt-confidence > 2.0"
    assert confidence_entries(PairConfidence(ByBrightness()))[2].label == "Dust3R-confidence > 3.0"


def test_it_is_one_of_the_figures(true_frames: Tensor) -> None:
    evaluator = Evaluator(JudgeModels(confidence=(PairConfidence(ByBrightness(), reach=1),)))
    found = evaluator(EvaluatedGrid.of_frames("x", true_frames[:3, :3]))
    share = found.values["dust3r_confidence_2.0"]
    bright = true_frames[:3, 1:3, ..., 0].double()
    inner = 2 * (bright[1] * 10 > 2).double().mean() + (bright[[0, 2]] * 10 > 2).double().mean() * 2
    second = 2 * (bright[1] * 5 > 2).double().mean() + (bright[[0, 2]] * 5 > 2).double().mean() * 2
    assert share == pytest.approx(float(100 * (inner + second) / 8), abs=1e-3)


def test_unknown_networks_are_named() -> None:
    with pytest.raises(InputError, match="the model 'best'; expected one of lpips, stlpips, clip"):
        judge_models(["best"])
    with pytest.raises(InputError, match="'dust3r' without a checkpoint"):
        judge_models(["dust3r"])
