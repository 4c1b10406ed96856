"""The sums over matches of the bundle adjustment in plain NumPy: what ``bundle_kernel`` does faster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .bundle_adjustment import Matches, Unknowns

Array = NDArray[np.float64]
LEAST_Z = 1e-3
"""Points at or behind a camera are held so far in front, in units of their distance from the anchor view."""
OWN = 7
"""Unknowns that a match sums over: turn and translation of the view that sees it, and the log focal length."""


class _Seen(NamedTuple):
    """The matches of one pair of views, all at once.

    Attributes:
        views: i that anchors the points, j that sees them.
        points: ``(M,)`` which.
        weight: ``(M,)``.
        rho: ``(M,)`` inverse depth.
        pose: Rotation ``(3, 3)`` and translation ``(3,)`` from view i to view j.
        across: ``(3, M)`` the rays' first two coordinates, turned.
        at: ``(3, M)`` points in view j, up to scale; z is held in front.
        behind: ``(M,)`` z as it is.
        off: ``(2, M)`` residuals in pixels.
    """

    views: tuple[int, int]
    points: NDArray[np.int64]
    weight: Array
    rho: Array
    pose: tuple[Array, Array]
    across: Array
    at: Array
    behind: Array
    off: Array


def cost_sum(unknowns: Unknowns, matches: Matches, delta: float) -> float:
    """See ``bundle_kernel.cost_sum``."""
    total = 0.0
    for seen in _pairs(unknowns, matches):
        squared = (seen.off**2).sum(0)
        bent = np.where(squared > delta * delta, 2 * delta * np.sqrt(squared) - delta * delta, squared)
        total += float(seen.weight @ bent)
    return total


def normal_sums(unknowns: Unknowns, matches: Matches, delta: float) -> tuple[Array, Array, Array, Array, Array]:
    """See ``bundle_kernel.normal_sums``."""
    points, last = len(unknowns.inv_depth), 6 * len(unknowns.rotations)
    hcc, gc = np.zeros((last + 1, last + 1)), np.zeros(last + 1)
    hpp, gp, hpc = np.zeros(points), np.zeros(points), np.zeros((points, last + 1))
    for seen in _pairs(unknowns, matches):
        (i, j), (rot, _), n = seen.views, seen.pose, seen.points
        norm = np.sqrt((seen.off**2).sum(0))
        weight = seen.weight * np.where(norm <= delta, 1, delta / np.maximum(norm, delta))
        by_own, by_rho = _derivatives(seen, unknowns)
        weighted = weight * by_own
        mixed = np.einsum("krm,rm->mk", weighted, by_rho)
        np.add.at(hpp, n, weight * (by_rho**2).sum(0))
        np.add.at(gp, n, weight * (by_rho * seen.off).sum(0))
        by_camera = np.zeros((len(n), last + 1))
        by_camera[:, 6 * j : 6 * j + 6], by_camera[:, last] = mixed[:, :6], mixed[:, 6]
        by_camera[:, 6 * i : 6 * i + 3] = -mixed[:, :3] @ rot
        by_camera[:, 6 * i + 3 : 6 * i + 6] = -mixed[:, 3:6] @ rot
        np.add.at(hpc, n, by_camera)
        own = np.einsum("krm,qrm->kq", weighted, by_own)
        _add_pair((hcc, gc), own, np.einsum("krm,rm->k", weighted, seen.off), seen)
    return hcc, gc, hpp, gp, hpc


def _pairs(unknowns: Unknowns, matches: Matches) -> Iterator[_Seen]:
    rotations, translations, inv_depth, focal = unknowns
    for i, j, first, end in matches.pairs.tolist():
        rot = rotations[j] @ rotations[i].T
        t = translations[j] - rot @ translations[i]
        points = matches.points[first:end]
        rho = inv_depth[points]
        across = rot[:, :2] @ (matches.pixels[points] / focal).T
        at = across + rot[:, 2:] + rho * t[:, None]
        behind = at[2].copy()
        at[2] = np.maximum(behind, LEAST_Z)
        off = focal * at[:2] / at[2] - matches.seen[first:end].T
        yield _Seen((i, j), points, matches.weight[first:end], rho, (rot, t), across, at, behind, off)


def _derivatives(seen: _Seen, unknowns: Unknowns) -> tuple[Array, Array]:
    """Of the two coordinates, by the OWN unknowns ``(OWN, 2, M)`` and by inverse depth ``(2, M)``."""
    x, y, z = seen.at
    t, t_j = seen.pose[1], unknowns.translations[seen.views[1]]
    # a turn moves a point by turn x moved; rows of the projection's derivative are (a, 0, cx) and (0, a, cy)
    mx, my, mz = x - seen.rho * t_j[0], y - seen.rho * t_j[1], seen.behind - seen.rho * t_j[2]
    a = unknowns.focal_px / z
    px, py = a * x, a * y
    cx, cy = -px / z, -py / z
    sx, sy, sz = seen.across
    none = np.zeros_like(a)
    by_own = np.stack(
        [
            np.stack([cx * my, cy * my - a * mz]),
            np.stack([a * mz - cx * mx, -cy * mx]),
            np.stack([-a * my, a * mx]),
            np.stack([seen.rho * a, none]),
            np.stack([none, seen.rho * a]),
            np.stack([seen.rho * cx, seen.rho * cy]),
            np.stack([px - a * sx - cx * sz, py - a * sy - cy * sz]),
        ]
    )
    return by_own, np.stack([a * t[0] + cx * t[2], a * t[1] + cy * t[2]])


def _add_pair(sums: tuple[Array, Array], own: Array, slope: Array, seen: _Seen) -> None:
    """Adds a pair's sums, those by pose j and focal length, and what follows for pose i."""
    (hcc, gc), (i, j), rot = sums, seen.views, seen.pose[0]
    columns = np.array([*range(6 * j, 6 * j + 6), len(gc) - 1, *range(6 * i, 6 * i + 6)])
    turn = np.zeros((OWN, OWN + 6))  # from own unknowns to those and pose i's
    turn[:, :OWN] = np.eye(OWN)
    turn[:3, OWN : OWN + 3] = turn[3:6, OWN + 3 :] = -rot
    hcc[np.ix_(columns, columns)] += turn.T @ own @ turn
    gc[columns] += turn.T @ slope
