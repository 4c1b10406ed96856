"""Velocity matching backwards: from noise at level 1, or a proposal at some level, to clean latents at level 0.

``x_s = (1 - s) x + s e`` and the velocity is ``e - x``, so that ``dx_s / ds = velocity``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError
from ..progress import OnStep, no_progress
from .known_cells import KnownCells

Velocity = Callable[[Tensor, Tensor], Tensor]
"""Velocities ``(B, V, T, C, h, w)`` of latents of that shape at noise levels ``(B, V, T)``."""


@dataclass(frozen=True)
class SamplingOptions:
    """How noise becomes a grid.

    Attributes:
        steps: Euler steps from the first level to 0, each one call of the model.
        shift: Above 1 more of the steps are spent at high noise.
        start: Noise level at which the sampling starts; below 1 it starts from a proposal.
    """

    steps: int = 12
    shift: float = 1.0
    start: float = 1.0

    def __post_init__(self) -> None:
        if self.steps < 1 or not self.shift > 0 or not 0 < self.start <= 1:
            raise InputError(
                f"{self.steps} steps, shift {self.shift}, start at level {self.start}",
                "steps of at least 1, a shift above 0, a start in (0, 1]",
                "choose other values",
            )


def shifted(level: Tensor, shift: float) -> Tensor:
    """Levels in ``[0, 1]`` drawn towards 1: ``shift s / (1 + (shift - 1) s)``."""
    return shift * level / (1 + (shift - 1) * level)


def schedule(options: SamplingOptions) -> Tensor:
    """The ``steps + 1`` noise levels from ``start`` down to 0, float64."""
    first = options.start / (options.shift - (options.shift - 1) * options.start)
    levels = shifted(torch.linspace(first, 0, options.steps + 1, dtype=torch.float64), options.shift)
    levels[0] = options.start
    return levels


def draw_noise(shape: tuple[int, ...], generator: torch.Generator, like: Tensor | None = None) -> Tensor:
    """Standard normal noise, drawn on the generator's device in float32, so that a seed means the same everywhere.

    Args:
        shape: Of the noise.
        generator: Source of it.
        like: Gives type and device of what comes back.
    """
    noise = torch.randn(shape, generator=generator, device=generator.device)
    return noise if like is None else noise.to(like)


def start_latents(noise: Tensor, start: float, proposal: Tensor | None) -> Tensor:
    """Latents at the first level: ``(1 - s) proposal + s noise``.

    Raises:
        InputError: A start below 1 without a proposal, or a proposal of another size.
    """
    if start == 1:
        return noise
    if proposal is None:
        raise InputError(
            f"a start at noise level {start} without a proposal",
            "something to start from",
            "give a proposal, or start at level 1",
        )
    if proposal.shape != noise.shape:
        raise InputError(
            f"a proposal of shape {tuple(proposal.shape)}", str(tuple(noise.shape)), "encode it like the grid"
        )
    return torch.lerp(proposal.to(noise), noise, start)


def integrate(
    velocity: Velocity,
    latents: Tensor,
    levels: Tensor,
    known: KnownCells,
    on_step: OnStep = no_progress,
) -> Tensor:
    """Follows the velocity through the levels; known cells are exactly what was given after every step.

    Args:
        velocity: The model.
        latents: ``(B, V, T, C, h, w)`` at the first level.
        levels: Noise levels from schedule, falling.
        known: What is held.
        on_step: Called after every step.

    Returns:
        ``(B, V, T, C, h, w)`` at the last level.

    Raises:
        InputError: The model gives NaN or infinite values.
    """
    x, steps = known.hold(latents), len(levels) - 1
    for k in range(steps):
        level, after = float(levels[k]), float(levels[k + 1])
        x = known.hold(x + (after - level) * velocity(x, known.levels(level)))
        if not bool(torch.isfinite(x).all()):
            raise InputError(
                f"NaN or infinite latents after step {k + 1} of {steps}",
                "finite values",
                "use float32 in place of half precision, or another checkpoint",
            )
        on_step(k + 1, steps)
    return x
