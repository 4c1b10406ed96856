"""The compiled tridiagonal solvers of the edge-aware smoother."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled
from . import edge_aware_numpy

Map = NDArray[np.float32]


@compiled(edge_aware_numpy.solve_rows, fastmath=True)
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


@compiled(edge_aware_numpy.solve_columns, fastmath=True)
def solve_columns(values: Map, weights: Map, strength: np.float32) -> Map:
    """Solves ``(I + strength L_w) x = values`` along every column of values ``(H, W, C)``.

    ``weights[y, x]`` joins pixels y and y + 1. All columns take a step together, so memory is read as it lies.
    """
    h, w, channels = values.shape
    out, upper = np.empty_like(values), np.empty((h, w), np.float32)
    for y in range(h):
        for x in range(w):
            above = strength * weights[y - 1, x] if y > 0 else np.float32(0.0)
            below = strength * weights[y, x] if y < h - 1 else np.float32(0.0)
            before = upper[y - 1, x] if y > 0 else np.float32(0.0)
            share = np.float32(1.0) / (np.float32(1.0) + above + below + above * before)
            for c in range(channels):
                carried = above * out[y - 1, x, c] if y > 0 else np.float32(0.0)
                out[y, x, c] = (values[y, x, c] + carried) * share
            upper[y, x] = -below * share
    for y in range(h - 2, -1, -1):
        for x in range(w):
            for c in range(channels):
                out[y, x, c] -= upper[y, x] * out[y + 1, x, c]
    return out
