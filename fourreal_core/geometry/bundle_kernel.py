"""The compiled sums over matches of the bundle adjustment: its cost and its normal equations.

Derivatives are by a turn on the left of a view's rotation, by its translation, by the log focal length and by inverse
depth. With ``R`` from view i to view j, those by pose i are minus those by pose j times ``R``, both of turn and
translation, so a match adds to sums of pose j and focal length only, and pose i's follow once a pair.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled, part
from . import bundle_numpy
from .bundle_adjustment import Matches, Unknowns
from .bundle_numpy import LEAST_Z, OWN

Array = NDArray[np.float64]


@part
def _product(a: Array, b: Array) -> Array:
    """A matrix product; numba's own one needs scipy."""
    out = np.zeros((a.shape[0], b.shape[1]))
    for k in range(a.shape[0]):
        for m in range(a.shape[1]):
            for q in range(b.shape[1]):
                out[k, q] += a[k, m] * b[m, q]
    return out


@part
def _between(rotations: Array, translations: Array, i: int, j: int) -> tuple[Array, Array]:
    """Rotation and translation from view i to view j."""
    rot, t = _product(rotations[j], rotations[i].T), translations[j].copy()
    for k in range(3):
        for q in range(3):
            t[k] -= rot[k, q] * translations[i, q]
    return rot, t


@compiled(bundle_numpy.cost_sum)
def cost_sum(unknowns: Unknowns, matches: Matches, delta: float) -> float:
    """Weighted sum of Huber's costs, with a loss that bends at ``delta`` pixels."""
    rotations, translations, inv_depth, focal = unknowns
    pixels, pairs, index, seen, weight = matches
    total = 0.0
    for p in range(len(pairs)):
        i, j = pairs[p, 0], pairs[p, 1]
        rot, t = _between(rotations, translations, i, j)
        for m in range(pairs[p, 2], pairs[p, 3]):
            n = index[m]
            u, v, rho = pixels[n, 0] / focal, pixels[n, 1] / focal, inv_depth[n]
            x = rot[0, 0] * u + rot[0, 1] * v + rot[0, 2] + rho * t[0]
            y = rot[1, 0] * u + rot[1, 1] * v + rot[1, 2] + rho * t[1]
            z = max(rot[2, 0] * u + rot[2, 1] * v + rot[2, 2] + rho * t[2], LEAST_Z)
            rx, ry = focal * x / z - seen[m, 0], focal * y / z - seen[m, 1]
            squared = rx * rx + ry * ry
            if squared > delta * delta:
                squared = 2 * delta * np.sqrt(squared) - delta * delta
            total += weight[m] * squared
    return total


@compiled(bundle_numpy.normal_sums)
def normal_sums(unknowns: Unknowns, matches: Matches, delta: float) -> tuple[Array, Array, Array, Array, Array]:
    """Gauss-Newton's equations under Huber's weights, in the order of NormalEquations."""
    rotations, translations, inv_depth, focal = unknowns
    pixels, pairs, index, seen, weight = matches
    points, last = len(inv_depth), 6 * len(rotations)
    hcc, gc = np.zeros((last + 1, last + 1)), np.zeros(last + 1)
    hpp, gp, hpc = np.zeros(points), np.zeros(points), np.zeros((points, last + 1))
    jx, jy, mixed = np.empty(OWN), np.empty(OWN), np.empty(OWN)
    own, slope = np.empty((OWN, OWN)), np.empty(OWN)
    for p in range(len(pairs)):
        i, j = pairs[p, 0], pairs[p, 1]
        rot, t = _between(rotations, translations, i, j)
        t_j = translations[j]
        own[:], slope[:] = 0.0, 0.0
        for m in range(pairs[p, 2], pairs[p, 3]):
            n = index[m]
            u, v, rho = pixels[n, 0] / focal, pixels[n, 1] / focal, inv_depth[n]
            sx, sy, sz = rot[0, 0] * u + rot[0, 1] * v, rot[1, 0] * u + rot[1, 1] * v, rot[2, 0] * u + rot[2, 1] * v
            x, y, z = sx + rot[0, 2] + rho * t[0], sy + rot[1, 2] + rho * t[1], sz + rot[2, 2] + rho * t[2]
            mx, my, mz = x - rho * t_j[0], y - rho * t_j[1], z - rho * t_j[2]
            z = max(z, LEAST_Z)
            a = focal / z
            px, py = a * x, a * y
            cx, cy = -px / z, -py / z
            rx, ry = px - seen[m, 0], py - seen[m, 1]
            norm = np.sqrt(rx * rx + ry * ry)
            w = weight[m] if norm <= delta else weight[m] * delta / norm
            # rows of the projection's derivative are (a, 0, cx) and (0, a, cy); a turn moves a point by turn x moved
            jx[0], jx[1], jx[2] = cx * my, a * mz - cx * mx, -a * my
            jy[0], jy[1], jy[2] = cy * my - a * mz, -cy * mx, a * mx
            jx[3], jx[4], jx[5], jx[6] = rho * a, 0.0, rho * cx, px - a * sx - cx * sz
            jy[3], jy[4], jy[5], jy[6] = 0.0, rho * a, rho * cy, py - a * sy - cy * sz
            bx, by = a * t[0] + cx * t[2], a * t[1] + cy * t[2]
            for k in range(OWN):
                wx, wy = w * jx[k], w * jy[k]
                mixed[k] = wx * bx + wy * by
                slope[k] += wx * rx + wy * ry
                for q in range(k + 1):
                    own[k, q] += wx * jx[q] + wy * jy[q]
            hpp[n] += w * (bx * bx + by * by)
            gp[n] += w * (bx * rx + by * ry)
            for k in range(6):
                hpc[n, 6 * j + k] += mixed[k]
            hpc[n, last] += mixed[6]
            for k in range(3):
                hpc[n, 6 * i + k] -= mixed[0] * rot[0, k] + mixed[1] * rot[1, k] + mixed[2] * rot[2, k]
                hpc[n, 6 * i + 3 + k] -= mixed[3] * rot[0, k] + mixed[4] * rot[1, k] + mixed[5] * rot[2, k]
        for k in range(OWN):
            for q in range(k):
                own[q, k] = own[k, q]
        _add_pair(hcc, gc, own, slope, rot, i, j)
    return hcc, gc, hpp, gp, hpc


@part
def _add_pair(hcc: Array, gc: Array, own: Array, slope: Array, rot: Array, i: int, j: int) -> None:
    """Adds a pair's sums, those by pose j and focal length, and what follows for pose i."""
    columns = np.empty(OWN + 6, np.int64)
    for k in range(6):
        columns[k], columns[OWN + k] = 6 * j + k, 6 * i + k
    columns[6] = len(gc) - 1
    turn = np.zeros((OWN, OWN + 6))  # from own unknowns to those and pose i's
    for k in range(OWN):
        turn[k, k] = 1.0
    for k in range(3):
        for q in range(3):
            turn[k, OWN + q] = turn[3 + k, OWN + 3 + q] = -rot[k, q]
    across = _product(own, turn)
    both = _product(turn.T, across)
    for k in range(OWN + 6):
        for q in range(OWN + 6):
            hcc[columns[k], columns[q]] += both[k, q]
        for q in range(OWN):
            gc[columns[k]] += turn[q, k] * slope[q]
