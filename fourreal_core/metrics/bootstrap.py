"""How sure a mean over few scenes is: percentile intervals of the bootstrap (Efron 1979)."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InputError


def bootstrap_interval(
    values: Tensor, generator: torch.Generator, share: float = 0.95, draws: int = 4000
) -> tuple[float, float]:
    """The interval in which the mean lies with a given probability, as far as the values tell.

    Args:
        values: ``(N,)``, one a scene; pairs of methods are compared by the values' differences.
        generator: Source of the draws.
        share: Probability.
        draws: How often N values are drawn with replacement.

    Returns:
        Lower and upper end.

    Raises:
        InputError: No values, values that are not finite, or a share outside of (0, 1).
    """
    if values.ndim != 1 or len(values) < 1 or not bool(torch.isfinite(values).all()) or not 0 < share < 1:
        raise InputError(
            f"{tuple(values.shape)} values and a share of {share}",
            "finite values (N,), and a share in (0, 1)",
            "leave out what could not be measured",
        )
    chosen = torch.randint(len(values), (draws, len(values)), generator=generator)
    means = values.double()[chosen].mean(1)
    ends = torch.quantile(means, torch.tensor([(1 - share) / 2, (1 + share) / 2], dtype=torch.float64))
    return float(ends[0]), float(ends[1])
