"""Intervals of a mean over scenes, and of a share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import InputError

RESAMPLES = 4000


def mean_interval(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of a mean: percentiles of the bootstrap (Efron 1979); of one value, that value.

    Args:
        values: Of independent scenes, at least one.
        seed: Of the resampling.

    Raises:
        InputError: No scipy.
    """
    if len(values) < 2:
        return float(values[0]), float(values[0])
    require_scipy()
    from scipy.stats import bootstrap

    source = np.random.default_rng(seed)
    data = np.asarray(values, np.float64)
    if float(np.ptp(data)) == 0.0:
        return float(data[0]), float(data[0])
    found = bootstrap((data,), np.mean, n_resamples=RESAMPLES, method="percentile", rng=source)
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def share_interval(count: int, total: int) -> tuple[float, float]:
    """The exact 95 % interval of a share (Clopper and Pearson 1934); 0 to 1 where nothing was counted.

    Raises:
        InputError: No scipy.
    """
    if total == 0:
        return 0.0, 1.0
    require_scipy()
    from scipy.stats import binomtest

    found = binomtest(count, total).proportion_ci(0.95, "exact")
    return float(found.low), float(found.high)


def require_scipy() -> None:
    """Raises InputError where scipy is not installed; for callers who need intervals of what takes long to measure."""
    try:
        import scipy  # noqa: F401
    except ImportError as err:
        raise InputError(
            "no package scipy", "what intervals are worked out with", "install it: python -m pip install scipy"
        ) from err
