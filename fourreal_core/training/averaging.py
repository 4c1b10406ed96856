"""The learning rate over a run, and the running average of the weights."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from .options import TrainOptions


def learning_rate(options: TrainOptions, step: int) -> float:
    """Linear warm-up, then a cosine down to ``last_rate`` of the peak; ``step`` counts from 0."""
    if step < options.warm_up:
        return options.learning_rate * (step + 1) / options.warm_up
    part = (step - options.warm_up) / max(1, options.steps - options.warm_up)
    cosine = 0.5 + 0.5 * math.cos(math.pi * min(1.0, part))
    return options.learning_rate * (options.last_rate + (1 - options.last_rate) * cosine)


class Average:
    """An exponential moving average of the trained weights.

    Early on it forgets faster, so that the random first weights don't stay in it.

    Args:
        decay: Share that is kept a step, at most.
        weights: By name; the average starts there.
    """

    def __init__(self, decay: float, weights: Mapping[str, Tensor]) -> None:
        self.decay = decay
        self.weights = {name: w.detach().clone().float() for name, w in weights.items()}

    @torch.no_grad()
    def update(self, weights: Mapping[str, Tensor], step: int) -> None:
        """Takes in the weights after a step; ``step`` counts from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, kept in self.weights.items():
            kept.lerp_(weights[name].detach().float(), 1 - decay)

    @torch.no_grad()
    def set(self, weights: Mapping[str, Tensor]) -> None:
        """Goes on from an average that was saved; here it may be spread over processes."""
        for name, kept in self.weights.items():
            if hasattr(kept, "device_mesh"):
                from torch.distributed.tensor import DTensor, distribute_tensor

                assert isinstance(kept, DTensor)  # nothing else has a mesh
                kept.copy_(distribute_tensor(weights[name].to(kept.device), kept.device_mesh, kept.placements))
            else:
                kept.copy_(weights[name])
