"""The compiled message passing of coherent_choice."""

from __future__ import annotations

import hashlib

import numpy as np
from numba import njit
from numpy.typing import NDArray

Map = NDArray[np.float32]


def _pass_messages(costs: Map, colors: Map, weight: float, rounds: int) -> NDArray[np.int64]:
    """Labels ``(H, W)`` of low cost by sequential tree-reweighted message passing (see coherent_choice).

    ``messages[d, y, x]`` come to a pixel from its left, right, upper and lower neighbour.
    """
    h, w, count = costs.shape
    channels = colors.shape[3]
    messages = np.zeros((4, h, w, count), np.float32)
    here, seam = np.empty(count, np.float32), np.empty((count, count), np.float32)
    sent = np.empty(count, np.float32)
    for sweep in range(2 * rounds):
        forth = sweep % 2 == 0
        step = 1 if forth else -1
        for row in range(h):
            y = row if forth else h - 1 - row
            for column in range(w):
                x = column if forth else w - 1 - column
                for j in range(count):
                    total = costs[y, x, j] + messages[0, y, x, j] + messages[1, y, x, j]
                    here[j] = np.float32(0.5) * (total + messages[2, y, x, j] + messages[3, y, x, j])
                    for k in range(j):
                        apart = np.float32(0)
                        for c in range(channels):
                            apart += abs(colors[y, x, j, c] - colors[y, x, k, c])
                        seam[j, k] = seam[k, j] = apart
                    seam[j, j] = 0
                for axis in range(2):
                    to_y, to_x = (y, x + step) if axis == 0 else (y + step, x)
                    if to_y < 0 or to_y >= h or to_x < 0 or to_x >= w:
                        continue
                    comes = 2 * axis + (0 if forth else 1)  # as what it comes to the neighbour
                    replied = 2 * axis + (1 if forth else 0)  # as what the neighbour's own came here
                    least = np.float32(np.inf)
                    for k in range(count):
                        best = np.float32(np.inf)
                        for j in range(count):
                            apart = seam[j, k]
                            for c in range(channels):
                                apart += abs(colors[to_y, to_x, j, c] - colors[to_y, to_x, k, c])
                            value = here[j] - messages[replied, y, x, j] + weight * apart
                            if value < best:
                                best = value
                        sent[k] = best
                        if best < least:
                            least = best
                    for k in range(count):
                        messages[comes, to_y, to_x, k] = sent[k] - least
    labels = np.zeros((h, w), np.int64)
    for y in range(h):
        for x in range(w):
            least = np.float32(np.inf)
            for j in range(count):
                value = costs[y, x, j] + messages[1, y, x, j] + messages[3, y, x, j]
                for axis in range(2):
                    at_y, at_x = (y, x - 1) if axis == 0 else (y - 1, x)
                    if at_y < 0 or at_x < 0:
                        continue
                    k = labels[at_y, at_x]
                    for c in range(channels):
                        value += weight * abs(colors[y, x, j, c] - colors[y, x, k, c])
                        value += weight * abs(colors[at_y, at_x, j, c] - colors[at_y, at_x, k, c])
                if value < least:
                    least = value
                    labels[y, x] = j
    return labels


# numba names its cached files after the function but remembers the package inside them; the host imports this package
# under another name than the command line does, so the name takes part in the function's
_pass_messages.__qualname__ += "_" + hashlib.sha256(__name__.encode()).hexdigest()[:12]
pass_messages = njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})(
    _pass_messages
)
