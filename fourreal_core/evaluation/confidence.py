"""Dust3R-confidence (supplement, Table 1), and the same figure of other networks under their own names.

The share of pixels, in percent, whose confidence exceeds a threshold. The paper leaves open how views are paired, at
what size, whether both point maps of a pair count, and whether the given cells do. Here every time's views are paired
each with each in both orders, as DUSt3R's own demo does by default; both maps of a pair count; the mean is over all
pixels of all pairs of a time, then over the times. Times at which every cell was given are left out of the value and
make the reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Protocol

import torch
from torch import Tensor

from ..errors import InputError
from ..geometry.multi_view_models import MultiViewModel
from ..geometry.pair_models import PairModel
from ..progress import OnStep, no_progress
from .figures import Figure
from .flow_figures import whole_columns
from .grids import EvaluatedGrid

THRESHOLDS = (2.0, 2.5, 3.0)


class ConfidenceModel(Protocol):
    """Anything that says of the views of one time how surely they are one scene."""

    @property
    def name(self) -> str:
        """As figures carry it."""

    def confidence(self, views: Tensor) -> Tensor:
        """Maps ``(N, H, W)`` of views ``(V, H, W, 3)`` in ``[0, 1]``."""


@dataclass(frozen=True)
class PairConfidence:
    """The maps of a network for two pictures: of every ordered pair of views both.

    Attributes:
        model: The network.
        reach: Largest distance between paired views; any when None.
    """

    model: PairModel
    reach: int | None = None

    @property
    def name(self) -> str:
        """See ConfidenceModel."""
        return self.model.name

    def confidence(self, views: Tensor) -> Tensor:
        """See ConfidenceModel."""
        maps: list[Tensor] = []
        for i, j in permutations(range(len(views)), 2):
            if self.reach is None or abs(i - j) <= self.reach:
                points = self.model(views[i], views[j])
                maps += [points.first_confidence, points.second_confidence]
        if not maps:
            raise InputError(f"{len(views)} view", "at least two to pair", "evaluate a grid with more views")
        return torch.stack(maps)


@dataclass(frozen=True)
class MultiViewConfidence:
    """The maps of a network for many pictures: one a view.

    Attributes:
        model: The network.
    """

    model: MultiViewModel

    @property
    def name(self) -> str:
        """See ConfidenceModel."""
        return self.model.name

    def confidence(self, views: Tensor) -> Tensor:
        """See ConfidenceModel."""
        return self.model(views).confidence


def confidence_shares(maps: Tensor, valid: Tensor) -> list[float]:
    """Percent of the valid pixels of maps ``(N, H, W)`` that exceed each threshold."""
    counted = maps[:, valid]
    return [100.0 * float((counted > tau).double().mean()) for tau in THRESHOLDS]


def confidence_figures(
    grid: EvaluatedGrid, model: ConfidenceModel, on_step: OnStep = no_progress
) -> tuple[dict[str, float], dict[str, float]]:
    """Values and reference of ``NAME_confidence_2.0`` and so on, over the times at which every view is there."""
    made: list[list[float]] = []
    given: list[list[float]] = []
    times = whole_columns(grid)
    for done, t in enumerate(times, start=1):
        shares = confidence_shares(model.confidence(grid.frames[:, t]), grid.valid)
        (given if bool(grid.given[:, t].all()) else made).append(shares)
        on_step(done, len(times))
    names = [figure.name for figure in confidence_entries(model)]
    return _means(names, made), _means(names, given)


def confidence_entries(model: ConfidenceModel, source: str = "") -> list[Figure]:
    """What the figures of a network are."""
    label = {"dust3r": "Dust3R"}.get(model.name, model.name)
    return [
        Figure(
            f"{model.name}_confidence_{tau}",
            f"{label}-confidence > {tau}",
            "%",
            "higher",
            "Share of pixels whose confidence exceeds the threshold; every two views of a time are paired.",
            f"{model.name} {source}".strip(),
            1,
        )
        for tau in THRESHOLDS
    ]


def _means(names: list[str], shares: list[list[float]]) -> dict[str, float]:
    if not shares:
        return {}
    return {name: sum(row[k] for row in shares) / len(shares) for k, name in enumerate(names)}
