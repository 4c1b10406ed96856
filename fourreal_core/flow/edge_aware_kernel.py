"""The compiled tridiagonal solver of the edge-aware smoother."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled

Map = NDArray[np.float32]


@compiled(fastmath=True)
def solve_rows(values: Map, weights: Map, strength: np.float32) -> Map:
    """Solves ``(I + strength L_w) x = values`` along every row of values ``(H, W, C)``.

    ``weights[y, x]`` joins pixels x and x + 1; the system is tridiagonal, so one sweep forth and one back solve it.
    """
    h, w, channels = values.shape
    out = np.empty_like(values)
    for y in range(h):
        upper = np.empty(w, np.float32)
        prev = np.float32(0.0)
        for x in range(w):
            left = strength * weights[y, x - 1] if x > 0 else np.float32(0.0)
            right = strength * weights[y, x] if x < w - 1 else np.float32(0.0)
            pivot = np.float32(1.0) + left + right + left * prev  # prev = upper[x-1] is negative
            for c in range(channels):
                before = out[y, x - 1, c] if x > 0 else np.float32(0.0)
                out[y, x, c] = (values[y, x, c] + left * before) / pivot
            prev = -right / pivot
            upper[x] = prev
        for x in range(w - 2, -1, -1):
            for c in range(channels):
                out[y, x, c] -= upper[x] * out[y, x + 1, c]
    return out
