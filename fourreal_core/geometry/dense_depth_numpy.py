"""The search for every pixel's inverse depth in plain NumPy: what ``dense_depth_kernel`` does faster."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .dense_depth import CONSISTENT_PX, LEAST_Z, REFINEMENTS, ROBUST_PX, Map, PairTerms

Grid = NDArray[np.float64]
_NARROW2, _WIDE2 = np.float32(ROBUST_PX**2), np.float32((2 * ROBUST_PX) ** 2)


def pair_term(
    flow: Map,
    back: Map,
    valid: NDArray[np.bool_],
    pose: tuple[NDArray[np.float64], NDArray[np.float64], float],
    out: Map,
) -> None:
    """See ``dense_depth_kernel.pair_term``."""
    rot, t, focal = pose
    h, w = valid.shape
    y, x = np.mgrid[:h, :w].astype(np.float64)
    u, v = x - (w - 1) / 2, y - (h - 1) / 2
    seen_x, seen_y = u + flow[..., 0], v + flow[..., 1]
    depth = (rot[2, 0] * u + rot[2, 1] * v) / focal + rot[2, 2]
    out[..., 0] = rot[0, 0] * u + rot[0, 1] * v + rot[0, 2] * focal - seen_x * depth
    out[..., 1] = rot[1, 0] * u + rot[1, 1] * v + rot[1, 2] * focal - seen_y * depth
    out[..., 2] = focal * t[0] - seen_x * t[2]
    out[..., 3] = focal * t[1] - seen_y * t[2]
    out[..., 4] = depth
    to_x, to_y = x + flow[..., 0], y + flow[..., 1]
    counts = valid & (to_x >= 0) & (to_y >= 0) & (to_x <= w - 1) & (to_y <= h - 1)
    at = np.where(counts, to_x, 0), np.where(counts, to_y, 0)
    counts &= _bilinear(valid.astype(np.float64), *at) > 0.99
    squared = sum((flow[..., c] + _bilinear(back[..., c], *at)) ** 2 for c in range(2))
    out[..., 5] = np.where(counts, 1 / (1 + squared / CONSISTENT_PX**2), 0)


def search(terms: PairTerms, lowest: np.float32, highest: np.float32) -> tuple[Map, Map, Map, Map]:
    """See ``dense_depth_kernel.search``."""
    a, b, c, d, depth, trust = np.ascontiguousarray(np.moveaxis(terms.values, (3, 2), (0, 1)), np.float32)
    slope_z = terms.bz.astype(np.float32)[:, None, None]
    shape = terms.values.shape[:2]
    rho, least = np.ones(shape, np.float32), np.full(shape, np.inf, np.float32)
    for k in range(len(a)):
        trial = -(a[k] * c[k] + b[k] * d[k]) / np.maximum(c[k] ** 2 + d[k] ** 2, np.float32(1e-9))
        trial = np.clip(trial, lowest, highest)
        off = (a + trial * c) ** 2 + (b + trial * d) ** 2
        z = np.maximum(depth + trial * slope_z, np.float32(LEAST_Z))
        cost = (trust * off / (off + _WIDE2 * z * z)).sum(0)
        better = cost < least
        rho, least = np.where(better, trial, rho), np.where(better, cost, least)
    whole, slope = trust.sum(0), np.zeros(shape, np.float32)
    for step in range(REFINEMENTS + 1):
        z = np.maximum(depth + rho * slope_z, np.float32(LEAST_Z))
        inside = _NARROW2 * z * z
        robust = (inside / ((a + rho * c) ** 2 + (b + rho * d) ** 2 + inside)) ** 2 * trust
        agree = robust.sum(0)
        robust /= z * z
        if step < REFINEMENTS:
            slope = (robust * (c * c + d * d)).sum(0) + np.float32(1e-6)
            rho = np.clip(-(robust * (a * c + b * d)).sum(0) / slope, lowest, highest)
    sigma, share = np.float32(ROBUST_PX) / np.sqrt(slope), agree / np.maximum(whole, np.float32(1e-3))
    return np.asarray(rho, np.float32), np.asarray(sigma, np.float32), np.asarray(share, np.float32), whole


def _bilinear(picture: NDArray[np.floating], x: Grid, y: Grid) -> Grid:
    """A map ``(H, W)`` read at places inside of it."""
    h, w = picture.shape
    left, top = x.astype(np.int64), y.astype(np.int64)
    right, low = np.minimum(left + 1, w - 1), np.minimum(top + 1, h - 1)
    ax, ay = x - left, y - top
    above = (1 - ax) * picture[top, left] + ax * picture[top, right]
    below = (1 - ax) * picture[low, left] + ax * picture[low, right]
    return np.asarray((1 - ay) * above + ay * below)
