"""What keeps a fitted motion plausible: neighbours keep their distance, paths are smooth, what stands stays."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError
from .trained_motion import TrainedMotion


@dataclass(frozen=True)
class MotionRegularizers:
    """Weights beside the rendering loss; lengths are in units of the distance to the camera.

    Attributes:
        rigidity: Of the change of distance between neighbours, relative to that distance.
        smoothness: Of the change of velocity from knot to knot.
        standing: Of displacement itself, which leaves alone what no cell asks to move.
        samples: Moving splats that are drawn for every step.
        neighbours: Of each of them, among those that were drawn.
    """

    rigidity: float = 0.0
    smoothness: float = 0.0
    standing: float = 0.0
    samples: int = 1024
    neighbours: int = 4

    def __post_init__(self) -> None:
        if min(self.rigidity, self.smoothness, self.standing) < 0 or self.samples < 2 or self.neighbours < 1:
            raise InputError(
                f"weights {self.rigidity}, {self.smoothness}, {self.standing} with {self.neighbours} of "
                f"{self.samples} samples",
                "no negative weight, 2 samples, 1 neighbour",
                "leave them at their defaults",
            )


def motion_penalty(motion: TrainedMotion, options: MotionRegularizers, generator: torch.Generator) -> Tensor:
    """The weighted sum over a random sample of what moves; a plain zero where nothing is asked for.

    Args:
        motion: What is trained.
        options: See MotionRegularizers.
        generator: Of the sample.
    """
    count = len(motion.index)
    if count < 2 or not max(options.rigidity, options.smoothness, options.standing) > 0:
        return torch.zeros((), device=motion.out.device)
    chosen = torch.randperm(count, generator=generator)[: options.samples].to(motion.index.device)
    start = motion.start[chosen]
    moved = motion.at_knots(chosen)
    unit = start[:, 2:, None].clamp_min(1e-2)
    total = options.standing * (moved / unit).abs().mean()
    if options.smoothness > 0:
        path = torch.cat([torch.zeros_like(moved[:, :1]), moved], 1) / unit
        if path.shape[1] > 2:
            total = total + options.smoothness * (path[:, 2:] - 2 * path[:, 1:-1] + path[:, :-2]).abs().mean()
    if options.rigidity > 0:
        total = total + options.rigidity * stretch(start, moved, options.neighbours).abs().mean()
    return total


def stretch(start: Tensor, moved: Tensor, neighbours: int) -> Tensor:
    """By what share of it the distance to each near neighbour changes, ``(K, neighbours, knots)``.

    Args:
        start: ``(K, 3)`` places at time 0.
        moved: ``(K, knots, 3)`` displacements at the knots.
        neighbours: How many of each; at most K - 1 are there.
    """
    with torch.no_grad():
        near = torch.cdist(start, start).topk(min(neighbours, len(start) - 1) + 1, largest=False).indices[:, 1:]
    before = start[near] - start[:, None]
    after = before[:, :, None] + moved[near] - moved[:, None]
    length = before.norm(dim=-1).clamp_min(1e-6)[..., None]
    return (after.square().sum(-1) + 1e-12).sqrt() / length - 1
