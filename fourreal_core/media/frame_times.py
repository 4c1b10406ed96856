"""Which frames of a clip to keep: evenly spread, by number where the rate is constant and in time where it varies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_UNEVEN = 0.25
"""A frame that lies farther from its place in an even clip than this share of the interval makes the rate a varying
one: containers round times to their ticks, which is less."""


def pick_evenly(total: int, count: int | None) -> list[int]:
    """Indices of ``count`` of ``total`` frames, evenly spread, the first and the last among them."""
    if count is None or count >= total:
        return list(range(total))
    return [round(i) for i in np.linspace(0, total - 1, count)]


def rate_varies(times: Sequence[float]) -> bool:
    """Whether frames at these times, in seconds and in order, are not evenly spaced.

    Times that do not rise say nothing: they count as even.
    """
    at = np.asarray(times, np.float64)
    if len(at) < 3 or not bool((np.diff(at) > 0).all()):
        return False
    even = np.linspace(at[0], at[-1], len(at))
    tick = 1.5e-3  # of containers that count milliseconds, such as WebM
    return bool((np.abs(at - even) > _UNEVEN * (even[1] - even[0]) + tick).any())


def pick_in_time(times: Sequence[float], count: int | None) -> list[int]:
    """Indices of ``count`` frames, evenly spread in time, the first and the last among them, none of them twice.

    At a constant rate this is ``pick_evenly``. Where the rate varies, it is the frame nearest to each moment, or the
    next that is left where frames are scarce.

    Args:
        times: When each frame is shown, in seconds.
        count: How many; all when None.
    """
    total = len(times)
    if count is None or count >= total or count < 2 or not rate_varies(times):
        return pick_evenly(total, count)
    at = np.asarray(times, np.float64)
    moments = np.linspace(at[0], at[-1], count)
    nearest = np.abs(at[None] - moments[:, None]).argmin(1)
    chosen: list[int] = []
    for k, index in enumerate(nearest.tolist()):
        lowest = chosen[-1] + 1 if chosen else 0
        chosen.append(min(max(index, lowest), total - count + k))
    return chosen
