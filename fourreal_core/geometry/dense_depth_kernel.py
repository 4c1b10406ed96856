"""The compiled search for every pixel's inverse depth: what the flows say, which candidate agrees, its refinement."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled
from . import dense_depth_numpy
from .dense_depth import CONSISTENT_PX, LEAST_Z, REFINEMENTS, ROBUST_PX, Map, PairTerms

_FAST = {"reassoc", "contract", "nsz", "arcp"}  # what is not finite stays what it is
_ONE, _LEAST_Z, _CONSISTENT2 = np.float32(1), np.float32(LEAST_Z), CONSISTENT_PX**2
_NARROW2, _WIDE2 = np.float32(ROBUST_PX**2), np.float32((2 * ROBUST_PX) ** 2)


@compiled(dense_depth_numpy.pair_term, _FAST)
def pair_term(
    flow: Map,
    back: Map,
    valid: NDArray[np.bool_],
    pose: tuple[NDArray[np.float64], NDArray[np.float64], float],
    out: Map,
) -> None:
    """What one flow says about inverse depth.

    Args:
        flow: ``(H, W, 2)`` to the other view.
        back: ``(H, W, 2)`` from there.
        valid: ``(H, W)`` pixels of either view that show the scene.
        pose: Rotation ``(3, 3)`` and translation ``(3,)`` to the other view, focal length in pixels.
        out: ``(H, W, 6)``, a row of PairTerms.
    """
    rot, t, focal = pose
    h, w = valid.shape
    for y in range(h):
        v = y - (h - 1) / 2
        for x in range(w):
            u = x - (w - 1) / 2
            fx, fy = float(flow[y, x, 0]), float(flow[y, x, 1])
            seen_x, seen_y = u + fx, v + fy
            depth = (rot[2, 0] * u + rot[2, 1] * v) / focal + rot[2, 2]
            out[y, x, 0] = rot[0, 0] * u + rot[0, 1] * v + rot[0, 2] * focal - seen_x * depth
            out[y, x, 1] = rot[1, 0] * u + rot[1, 1] * v + rot[1, 2] * focal - seen_y * depth
            out[y, x, 2] = focal * t[0] - seen_x * t[2]
            out[y, x, 3] = focal * t[1] - seen_y * t[2]
            out[y, x, 4] = depth
            out[y, x, 5] = 0
            to_x, to_y = x + fx, y + fy
            if not (valid[y, x] and to_x >= 0 and to_y >= 0 and to_x <= w - 1 and to_y <= h - 1):
                continue
            left, top = int(to_x), int(to_y)
            right, low = min(left + 1, w - 1), min(top + 1, h - 1)
            ax, ay = to_x - left, to_y - top
            shown = (1 - ay) * ((1 - ax) * valid[top, left] + ax * valid[top, right])
            shown += ay * ((1 - ax) * valid[low, left] + ax * valid[low, right])
            if shown <= 0.99:
                continue
            squared = 0.0
            for c in range(2):
                returned = (1 - ay) * ((1 - ax) * back[top, left, c] + ax * back[top, right, c])
                returned += ay * ((1 - ax) * back[low, left, c] + ax * back[low, right, c])
                squared += (flow[y, x, c] + returned) ** 2
            out[y, x, 5] = 1 / (1 + squared / _CONSISTENT2)


@compiled(dense_depth_numpy.search, _FAST)
def search(terms: PairTerms, lowest: np.float32, highest: np.float32) -> tuple[Map, Map, Map, Map]:
    """Every pixel's inverse depth, see measure_inverse_depth.

    Geman-McClure's loss of a squared distance d, with that in the other view's plane and its depth z: where
    ``d = off / z^2``, cost ``off / (off + z^2 w^2)`` and weight ``(z^2 w^2 / (off + z^2 w^2))^2``.
    """
    values, slope_z = terms
    h, w, count, _ = values.shape
    out = np.empty((4, h, w), np.float32)
    for y in range(h):
        for x in range(w):
            here = values[y, x]
            rho, least = _ONE, np.float32(np.inf)
            for k in range(count):
                a, b, c, d = here[k, 0], here[k, 1], here[k, 2], here[k, 3]
                trial = -(a * c + b * d) / max(c * c + d * d, np.float32(1e-9))
                trial = min(max(trial, lowest), highest)
                cost = np.float32(0)
                for m in range(count):
                    off_x, off_y = here[m, 0] + trial * here[m, 2], here[m, 1] + trial * here[m, 3]
                    z = max(here[m, 4] + trial * slope_z[m], _LEAST_Z)
                    off = off_x * off_x + off_y * off_y
                    cost += here[m, 5] * off / (off + _WIDE2 * z * z)
                if cost < least:
                    least, rho = cost, trial
            for step in range(REFINEMENTS + 1):
                num, den, agree, trust = np.float32(0), np.float32(1e-6), np.float32(0), np.float32(0)
                for m in range(count):
                    a, b, c, d = here[m, 0], here[m, 1], here[m, 2], here[m, 3]
                    off_x, off_y, z = a + rho * c, b + rho * d, max(here[m, 4] + rho * slope_z[m], _LEAST_Z)
                    inside = _NARROW2 * z * z
                    robust = inside / (off_x * off_x + off_y * off_y + inside)
                    robust *= robust * here[m, 5]
                    agree += robust
                    trust += here[m, 5]
                    robust /= z * z
                    num -= robust * (a * c + b * d)
                    den += robust * (c * c + d * d)
                if step < REFINEMENTS:
                    rho = min(max(num / den, lowest), highest)
                    slope = den
            out[0, y, x], out[1, y, x] = rho, np.float32(ROBUST_PX) / np.sqrt(slope)
            out[2, y, x], out[3, y, x] = agree / max(trust, np.float32(1e-3)), trust
    return out[0], out[1], out[2], out[3]
