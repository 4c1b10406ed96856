"""Edge-aware smoothing and completion of sparse maps, by separable weighted least squares.

The fast global smoother (Min et al. 2014): the 2D weighted-least-squares problem is replaced by alternating exact 1D
solves along rows and columns, each a tridiagonal system, so the cost is linear in pixels whatever the reach.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

Map = NDArray[np.float32]


@njit(cache=True, parallel=True, fastmath=True)
def _solve_rows(values: Map, weights: Map, strength: float) -> Map:
    """Solves ``(I + strength L_w) x = values`` along every row; ``weights[y, x]`` joins x and x + 1. Values (H, W, C)."""
    h, w, channels = values.shape
    out = np.empty_like(values)
    for y in prange(h):
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


def edge_weights(guide: Map, sigma: float) -> tuple[Map, Map]:
    """Affinities between horizontal ``(H, W)`` and vertical neighbours from a guide ``(H, W, C)`` in ``[0, 1]``."""
    right = np.zeros(guide.shape[:2], np.float32)
    down = np.zeros(guide.shape[:2], np.float32)
    right[:, :-1] = np.exp(-np.abs(np.diff(guide, axis=1)).sum(-1) / sigma)
    down[:-1] = np.exp(-np.abs(np.diff(guide, axis=0)).sum(-1) / sigma)
    return right, down


def smooth(values: Map, guide: Map, strength: float, sigma: float, rounds: int = 3) -> Map:
    """Edge-aware smoothing of ``values (H, W, C)``.

    Args:
        values: What to smooth.
        guide: ``(H, W, G)`` picture in ``[0, 1]`` whose edges stop the smoothing.
        strength: Weight of smoothness against the data; the reach in flat regions is about its square root in pixels.
        sigma: Colour difference (sum over channels) at which the coupling has fallen to 1/e.
        rounds: Row and column passes; the strength is split over them so that streaks cancel.
    """
    right, down = edge_weights(guide, sigma)
    down_t = np.ascontiguousarray(down.T)
    out = np.ascontiguousarray(values, np.float32)
    for k in range(rounds):
        part = np.float32(1.5 * strength * 4.0 ** (rounds - 1 - k) / (4.0**rounds - 1))
        out = _solve_rows(out, right, part)
        out = np.ascontiguousarray(_solve_rows(np.ascontiguousarray(out.transpose(1, 0, 2)), down_t, part)
                                   .transpose(1, 0, 2))
    return out


def complete(values: Map, confidence: Map, guide: Map, strength: float, sigma: float) -> tuple[Map, Map]:
    """Fills a map where it is not trusted from where it is, along the guide's regions.

    Normalised convolution with the smoother as kernel: ``smooth(c x) / smooth(c)``.

    Args:
        values: ``(H, W)`` the map; arbitrary where the confidence is 0.
        confidence: ``(H, W)`` trust, not negative.
        guide: ``(H, W, G)`` in ``[0, 1]``.
        strength: See smooth.
        sigma: See smooth.

    Returns:
        The filled map ``(H, W)`` and the confidence that reached every pixel ``(H, W)``.
    """
    stack = np.stack([np.where(confidence > 0, values, 0) * confidence, confidence], -1).astype(np.float32)
    out = smooth(stack, guide, strength, sigma)
    return out[..., 0] / np.maximum(out[..., 1], 1e-12), out[..., 1]
