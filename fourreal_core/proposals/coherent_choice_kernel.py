"""The compiled message passing of coherent_choice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled
from . import coherent_choice_numpy

Map = NDArray[np.float32]
_FAST = {"reassoc", "contract", "nsz", "nnan"}  # infinities stay what they are


@compiled(coherent_choice_numpy.seams_between, _FAST)
def seams_between(colors: Map) -> Map:
    """What a seam between two labels costs in each pixel ``(H, W, K, K)``: the sum of differences over channels."""
    h, w, count, channels = colors.shape
    out = np.zeros((h, w, count, count), np.float32)
    for y in range(h):
        for x in range(w):
            for j in range(count):
                for k in range(j):
                    apart = np.float32(0)
                    for c in range(channels):
                        apart += abs(colors[y, x, j, c] - colors[y, x, k, c])
                    out[y, x, j, k] = apart
                    out[y, x, k, j] = apart
    return out


@compiled(coherent_choice_numpy.pass_messages, _FAST)
def pass_messages(costs: Map, seams: Map, rounds: int) -> NDArray[np.int64]:
    """Labels ``(H, W)`` of low cost by sequential tree-reweighted message passing (see coherent_choice).

    ``messages[d, y, x]`` come to a pixel from its left, right, upper and lower neighbour. ``seams`` are weighted; a
    seam between two pixels costs what it does in both.
    """
    h, w, count = costs.shape
    messages = np.zeros((4, h, w, count), np.float32)
    here, sent = np.empty(count, np.float32), np.empty(count, np.float32)
    for sweep in range(2 * rounds):
        forth = sweep % 2 == 0
        step = 1 if forth else -1
        for row in range(h):
            y = row if forth else h - 1 - row
            for column in range(w):
                x = column if forth else w - 1 - column
                for axis in range(2):
                    to_y, to_x = (y, x + step) if axis == 0 else (y + step, x)
                    if to_y < 0 or to_y >= h or to_x < 0 or to_x >= w:
                        continue
                    replied = 2 * axis + (1 if forth else 0)  # what the neighbour's own came here as
                    for j in range(count):
                        total = costs[y, x, j] + messages[0, y, x, j] + messages[1, y, x, j]
                        total += messages[2, y, x, j] + messages[3, y, x, j]
                        here[j] = np.float32(0.5) * total - messages[replied, y, x, j]
                    for k in range(count):
                        sent[k] = np.float32(np.inf)
                    for j in range(count):
                        for k in range(count):  # seams are symmetric; so the inner loop is one of the processor's steps
                            sent[k] = min(sent[k], here[j] + seams[y, x, j, k] + seams[to_y, to_x, j, k])
                    least = np.float32(np.inf)
                    for k in range(count):
                        least = min(least, sent[k])
                    comes = 2 * axis + (0 if forth else 1)  # as what it comes to the neighbour
                    for k in range(count):
                        messages[comes, to_y, to_x, k] = sent[k] - least
    labels = np.zeros((h, w), np.int64)
    for y in range(h):
        for x in range(w):
            least = np.float32(np.inf)
            for j in range(count):
                value = costs[y, x, j] + messages[1, y, x, j] + messages[3, y, x, j]
                if x > 0:
                    value += seams[y, x, j, labels[y, x - 1]] + seams[y, x - 1, j, labels[y, x - 1]]
                if y > 0:
                    value += seams[y, x, j, labels[y - 1, x]] + seams[y - 1, x, j, labels[y - 1, x]]
                if value < least:
                    least = value
                    labels[y, x] = j
    return labels
