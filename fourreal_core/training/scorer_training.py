"""Trains the scorer of candidates (proposals/candidate_scorer) on cells whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InputError
from ..proposals.candidate_features import OF_EACH, Features
from ..proposals.candidate_scorer import CandidateScorer
from ..proposals.cell_candidates import KINDS, CellCandidates
from ..proposals.image_filters import WIDTH_PX, Image, gaussian_blur

ERROR_PX, MOST_GRAY, LEAST_GRAY = 2.0, 80.0, 0.5
"""Window over which errors of colours are averaged (see WIDTH_PX), and the range they are cut to."""


@dataclass(frozen=True)
class ScorerOptions:
    """How the scorer is trained.

    Attributes:
        hidden: Units of both hidden layers.
        steps: Of Adam with one cycle of the learning rate.
        pixels: Of a step.
        learning_rate: The highest.
        calibration: Weight of scores being ``-2 log`` of the error, against the expected error of the weighted mean.
        seed: Of weights and samples.
    """

    hidden: int = 32
    steps: int = 3000
    pixels: int = 2048
    learning_rate: float = 3e-3
    calibration: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.hidden, self.steps, self.pixels) < 1 or self.learning_rate <= 0 or self.calibration < 0:
            raise InputError(f"{self}", "positive sizes and rates", "leave them at their defaults")


@dataclass(frozen=True)
class ScoredPixels:
    """Pixels of cells whose truth is known.

    Attributes:
        features: ``(K, N, F)``, see candidate_features.
        errors: ``(K, N)`` in grey levels of 255, by which each candidate's colour is off.
    """

    features: Features
    errors: Image

    def __post_init__(self) -> None:
        k, n = self.errors.shape
        if self.features.shape != (k, n, len(OF_EACH)) or k != len(KINDS):
            raise InputError(
                f"features of shape {self.features.shape} and errors of {self.errors.shape}",
                f"({len(KINDS)}, N, {len(OF_EACH)}) and ({len(KINDS)}, N)",
                "sample both from the same cells",
            )


def color_errors(candidates: CellCandidates, truth: Image) -> Image:
    """By how many grey levels ``(K, H, W)`` each candidate's colour is off, averaged over a window.

    Args:
        candidates: Of one cell.
        truth: ``(H, W, 3)`` in ``[0, 1]``.
    """
    off = np.minimum(255 * np.abs(candidates.colors - truth).mean(-1), MOST_GRAY)
    sigma = ERROR_PX * truth.shape[1] / WIDTH_PX
    return np.stack([gaussian_blur(each, sigma) for each in off])


def train_scorer(samples: Sequence[ScoredPixels], options: ScorerOptions | None = None) -> CandidateScorer:
    """A scorer that weighs candidates by how little their colours are off.

    The loss is the expected error of the softmax over scores, in tens of grey levels, and how far scores are from
    ``-2 log`` of the error.

    Args:
        samples: At least one.
        options: See ScorerOptions.
    """
    options = options or ScorerOptions()
    features = torch.from_numpy(np.concatenate([each.features for each in samples], 1)).float()
    errors = torch.from_numpy(np.concatenate([each.errors for each in samples], 1)).float()
    generator = torch.Generator().manual_seed(options.seed)
    mean, std = features.flatten(0, 1).mean(0), features.flatten(0, 1).std(0) + 1e-3
    net = _network(options.hidden, generator)
    kinds = torch.eye(len(KINDS))[:, None]
    optimizer = torch.optim.Adam(net.parameters(), options.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, options.learning_rate, total_steps=options.steps + 1)
    for _ in range(options.steps):
        chosen = torch.randint(features.shape[1], (options.pixels,), generator=generator)
        x = (features[:, chosen] - mean) / std
        scores = net(torch.cat([x, kinds.expand(-1, options.pixels, -1)], -1))[..., 0]
        loss = scorer_loss(scores, errors[:, chosen], options.calibration)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    layers = [layer for layer in net if isinstance(layer, nn.Linear)]
    return CandidateScorer(
        mean.numpy(),
        std.numpy(),
        tuple(layer.weight.detach().numpy().T.copy() for layer in layers),
        tuple(layer.bias.detach().numpy().copy() for layer in layers),
    )


def scorer_loss(scores: Tensor, errors: Tensor, calibration: float) -> Tensor:
    """Expected error in tens of grey levels, and how far scores ``(K, N)`` are from ``-2 log`` of errors ``(K, N)``."""
    expected = (torch.softmax(scores, 0) * errors).sum(0).mean() / 10
    return expected + calibration * (scores + 2 * torch.log(errors.clamp_min(LEAST_GRAY))).square().mean()


def _network(hidden: int, generator: torch.Generator) -> nn.Sequential:
    sizes = (len(OF_EACH) + len(KINDS), hidden, hidden, 1)
    layers: list[nn.Module] = []
    for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True):
        layer = nn.Linear(inputs, outputs)
        for parameter in (layer.weight, layer.bias):
            nn.init.uniform_(parameter, -(inputs**-0.5), inputs**-0.5, generator=generator)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])
