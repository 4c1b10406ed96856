"""The message passing of coherent_choice in plain NumPy: what ``coherent_choice_kernel`` does faster.

A pixel waits for its left and its upper neighbour only, so all pixels of a diagonal take a step together.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]
Index = NDArray[np.int64]


def seams_between(colors: Map) -> Map:
    """See ``coherent_choice_kernel.seams_between``."""
    return np.asarray(np.abs(colors[:, :, :, None] - colors[:, :, None]).sum(-1), np.float32)


def pass_messages(costs: Map, seams: Map, rounds: int) -> Index:
    """See ``coherent_choice_kernel.pass_messages``."""
    h, w, _ = costs.shape
    messages = np.zeros((4, *costs.shape), np.float32)
    for sweep in range(2 * rounds):
        forth = sweep % 2 == 0
        step = 1 if forth else -1
        for y, x in _diagonals(h, w, forth):
            total = costs[y, x] + messages[:, y, x].sum(0)
            for axis, (to_y, to_x) in enumerate(((y, x + step), (y + step, x))):
                there = (to_y >= 0) & (to_y < h) & (to_x >= 0) & (to_x < w)
                at, to = (y[there], x[there]), (to_y[there], to_x[there])
                # without what the neighbour's own came here as
                here = np.float32(0.5) * total[there] - messages[(2 * axis + forth, *at)]
                sent = (here[:, :, None] + seams[at] + seams[to]).min(1)
                messages[(2 * axis + (not forth), *to)] = sent - sent.min(1, keepdims=True)
    return _labels(costs + messages[1] + messages[3], seams)


def _labels(costs: Map, seams: Map) -> Index:
    """The best label of each pixel, given those of its left and its upper neighbour."""
    h, w, _ = costs.shape
    labels = np.zeros((h, w), np.int64)
    for y, x in _diagonals(h, w, True):
        value = costs[y, x]
        for back_y, back_x in ((y, x - 1), (y - 1, x)):
            there = (back_y >= 0) & (back_x >= 0)
            at, back = (y[there], x[there]), (back_y[there], back_x[there])
            taken = labels[back]
            value[there] += seams[(*at, slice(None), taken)] + seams[(*back, slice(None), taken)]
        labels[y, x] = value.argmin(-1)
    return labels


def _diagonals(h: int, w: int, forth: bool) -> Iterator[tuple[Index, Index]]:
    """Rows and columns of the pixels of every diagonal, from the top left on or from the bottom right."""
    for d in range(h + w - 1) if forth else range(h + w - 2, -1, -1):
        y = np.arange(max(0, d - w + 1), min(h, d + 1))
        yield y, d - y
