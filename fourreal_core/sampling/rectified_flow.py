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

SOLVERS = ("euler", "heun")

Velocity = Callable[[Tensor, Tensor], Tensor]
"""Velocities ``(B, V, T, C, h, w)`` of latents of that shape at noise levels ``(B, V, T)``."""
Picture = Callable[[Tensor], Tensor]
"""A picture ``(H, W, 3)`` in ``[0, 1]`` of clean latents ``(B, V, T, C, h, w)``, for previews."""


@dataclass(frozen=True)
class SamplingOptions:
    """How noise becomes a grid.

    Attributes:
        steps: Steps from the first level to 0.
        solver: ``euler``, one call of the model a step, or ``heun``, two and of second order.
        shift: Above 1 more of the steps are spent at high noise.
        start: Noise level at which the sampling starts; below 1 it starts from a proposal.
        guidance: How far to go along the difference that the condition makes; 1 is no guidance.
    """

    steps: int = 12
    solver: str = "euler"
    shift: float = 1.0
    start: float = 1.0
    guidance: float = 1.0

    def __post_init__(self) -> None:
        if self.solver not in SOLVERS:
            raise InputError(f"a solver {self.solver!r}", "one of " + ", ".join(SOLVERS), "choose one of them")
        if self.steps < 1 or not self.shift > 0 or not 0 < self.start <= 1 or not self.guidance >= 0:
            raise InputError(
                f"{self.steps} steps, shift {self.shift}, start at level {self.start}, guidance {self.guidance}",
                "steps of at least 1, a shift above 0, a start in (0, 1], guidance of at least 0",
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


def guided(conditional: Velocity, unconditional: Velocity, guidance: float) -> Velocity:
    """Classifier-free guidance: ``u + guidance (c - u)``; at 1 the unconditional model isn't called."""
    if guidance == 1:
        return conditional

    def velocity(latents: Tensor, level: Tensor) -> Tensor:
        without = unconditional(latents, level)
        return without + guidance * (conditional(latents, level) - without)

    return velocity


def integrate(
    velocity: Velocity,
    latents: Tensor,
    levels: Tensor,
    known: KnownCells,
    solver: str = "euler",
    on_step: OnStep = no_progress,
    picture: Picture | None = None,
) -> Tensor:
    """Follows the velocity through the levels; known cells are exactly what was given after every step.

    Args:
        velocity: The model.
        latents: ``(B, V, T, C, h, w)`` at the first level.
        levels: Noise levels from schedule, falling.
        known: What is held.
        solver: One of SOLVERS.
        on_step: Called after every step, with a picture of the clean latents expected so far.
        picture: Makes that picture.

    Returns:
        ``(B, V, T, C, h, w)`` at the last level.

    Raises:
        InputError: The model gives NaN or infinite values.
    """
    x, steps = known.hold(latents), len(levels) - 1
    for k in range(steps):
        level, after = float(levels[k]), float(levels[k + 1])
        slope = velocity(x, known.levels(level))
        expected = x - level * slope if picture is not None else None
        if solver == "heun" and after > 0:
            ahead = known.hold(x + (after - level) * slope)
            slope = (slope + velocity(ahead, known.levels(after))) / 2
        x = known.hold(x + (after - level) * slope)
        if not bool(torch.isfinite(x).all()):
            raise InputError(
                f"NaN or infinite latents after step {k + 1} of {steps}",
                "finite values",
                "use float32 in place of half precision, or another checkpoint",
            )
        on_step(k + 1, steps, preview=None if expected is None else picture(known.hold(expected)))
    return x
