"""Edge-aware smoothing and completion of sparse maps, by separable weighted least squares.

The fast global smoother (Min et al. 2014): the 2D weighted-least-squares problem is replaced by alternating exact 1D
solves along rows and columns, each a tridiagonal system, so the cost is linear in pixels whatever the reach.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]
Real = NDArray[np.floating[Any]]
ROUNDS = 3
"""Passes over rows and columns; the strength is split over them so that streaks cancel."""


def edge_weights(guide: Map, sigma: float) -> tuple[Map, Map]:
    """Affinities between horizontal ``(H, W)`` and vertical neighbours from a guide ``(H, W, C)`` in ``[0, 1]``."""
    right = np.zeros(guide.shape[:2], np.float32)
    down = np.zeros(guide.shape[:2], np.float32)
    for channel in np.moveaxis(guide, -1, 0):  # numpy's sum along so short an axis is slow
        right[:, :-1] += np.abs(np.diff(channel, axis=1))
        down[:-1] += np.abs(np.diff(channel, axis=0))
    right[:, :-1] = np.exp(-right[:, :-1] / sigma)
    down[:-1] = np.exp(-down[:-1] / sigma)
    return right, down


def smooth(values: Real, guide: Map, strength: float, sigma: float) -> Map:
    """Edge-aware smoothing of ``values (H, W, C)``.

    Args:
        values: What to smooth.
        guide: ``(H, W, G)`` picture in ``[0, 1]`` whose edges stop the smoothing.
        strength: Weight of smoothness against the data; the reach in flat regions is about its square root in pixels.
        sigma: Colour difference (sum over channels) at which the coupling has fallen to 1/e.
    """
    # numba is loaded when the first map is smoothed, not before
    from .edge_aware_kernel import solve_columns, solve_rows

    right, down = edge_weights(guide, sigma)
    out = np.ascontiguousarray(values, np.float32)
    for k in range(ROUNDS):
        part = np.float32(1.5 * strength * 4.0 ** (ROUNDS - 1 - k) / (4.0**ROUNDS - 1))
        out = solve_columns(solve_rows(out, right, part), down, part)
    return out


def complete(values: Real, confidence: Real, guide: Map, strength: float, sigma: float) -> tuple[Map, Map]:
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
    filled: Map = np.divide(out[..., 0], np.maximum(out[..., 1], 1e-12))
    return filled, out[..., 1]
