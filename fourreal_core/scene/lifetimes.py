"""When a splat is there: what enters the clip, is uncovered or changes shape lives for some time steps only."""

from __future__ import annotations

from torch import Tensor

FADE = 1.0
"""Time steps over which a splat comes before its first, and goes after its last."""


def presence(lifetimes: Tensor, time: float) -> Tensor:
    """How much of each splat is there ``(N,)``, by which its opacity is multiplied.

    Args:
        lifetimes: ``(N, 2)`` first and last time step at which the splat is whole.
        time: Time step, fractions allowed.

    Returns:
        1 from the first to the last, falling evenly to 0 at a distance of ``FADE``; splats of following steps so fade
        into each other.
    """
    first, last = lifetimes.unbind(-1)
    outside = (first - time).clamp_min(0) + (time - last).clamp_min(0)
    return (1 - outside / FADE).clamp_min(0)
