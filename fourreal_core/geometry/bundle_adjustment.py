"""Cameras and a shared focal length from flow between views: bundle adjustment over anchored inverse depths.

Every point is anchored at a pixel ``u`` of one view and has one unknown, its inverse depth ``rho`` there, so the whole
problem is ``6 V`` camera parameters, one log focal length and one number a point, and the points fall out by a scalar
Schur complement.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Observations:
    """Matches anchored in one view and seen in another, for every ordered pair of views.

    Attributes:
        pixels: ``(N, 2)`` anchor pixels, relative to the image centre.
        anchor: ``(N,)`` the view each point is anchored in.
        pairs: ``(i, j)`` to ``(index (M,), seen (M, 2), weight (M,))``: which points of view i are seen where in view j
            (relative to the image centre), and how much to trust it.
    """

    pixels: Array
    anchor: NDArray[np.int64]
    pairs: dict[tuple[int, int], tuple[NDArray[np.int64], Array, Array]]


@dataclass(frozen=True)
class Bundle:
    """A state of the adjustment.

    Attributes:
        rotations: ``(V, 3, 3)`` world to camera.
        translations: ``(V, 3)`` world to camera.
        inv_depth: ``(N,)`` of every point in its anchor view.
        focal_px: Shared focal length in pixels.
        cost: Robust cost per observation in squared pixels.
    """

    rotations: Array
    translations: Array
    inv_depth: Array
    focal_px: float
    cost: float = float("inf")

    @property
    def world_to_cam(self) -> Array:
        """``(V, 4, 4)``."""
        out = np.tile(np.eye(4), (len(self.rotations), 1, 1))
        out[:, :3, :3], out[:, :3, 3] = self.rotations, self.translations
        return out


def flat_start(obs: Observations, views: int, focal_px: float) -> Bundle:
    """All cameras in one place and every point at distance 1."""
    return Bundle(np.tile(np.eye(3), (views, 1, 1)), np.zeros((views, 3)), np.ones(len(obs.pixels)), focal_px)


def reproject(state: Bundle, obs: Observations, pair: tuple[int, int]) -> tuple[Array, Array, Array, Array]:
    """Points of view i in view j: ``Y (M, 3)`` up to scale, rays ``(M, 3)``, residual ``(M, 2)``, ``rho (M,)``."""
    i, j = pair
    index, seen, _ = obs.pairs[pair]
    rho = state.inv_depth[index]
    rays = np.column_stack([obs.pixels[index] / state.focal_px, np.ones(len(index))])
    rot = state.rotations[j] @ state.rotations[i].T
    y = rays @ rot.T + rho[:, None] * (state.translations[j] - rot @ state.translations[i])
    z = np.maximum(y[:, 2], 1e-3)
    return y, rays, state.focal_px * y[:, :2] / z[:, None] - seen, rho


def huber_weight(residual: Array, delta: float) -> tuple[Array, Array]:
    """Weights ``(M,)`` and costs ``(M,)`` of residuals ``(M, 2)`` under Huber's loss that bends at ``delta`` pixels."""
    norm = np.linalg.norm(residual, axis=1)
    weight = np.where(norm <= delta, 1.0, delta / np.maximum(norm, 1e-12))
    return weight, np.where(norm <= delta, norm**2, 2 * delta * norm - delta**2)


def total_cost(state: Bundle, obs: Observations, delta: float) -> float:
    """Weighted mean Huber cost in squared pixels."""
    cost, mass = 0.0, 0.0
    for pair, (_, _, weight) in obs.pairs.items():
        residual = reproject(state, obs, pair)[2]
        cost += float((weight * huber_weight(residual, delta)[1]).sum())
        mass += float(weight.sum())
    return cost / max(mass, 1e-12)


def _cross(a: Array) -> Array:
    out = np.zeros((len(a), 3, 3))
    out[:, 0, 1], out[:, 0, 2], out[:, 1, 2] = -a[:, 2], a[:, 1], -a[:, 0]
    return out - out.transpose(0, 2, 1)


def _jacobians(state: Bundle, obs: Observations, pair: tuple[int, int]) -> tuple[Array, Array, Array, Array]:
    """Residual ``(M, 2)``, its derivative by (pose i, pose j, log f) ``(M, 2, 13)`` and by rho ``(M, 2)``, index."""
    i, j = pair
    y, rays, residual, rho = reproject(state, obs, pair)
    rot = state.rotations[j] @ state.rotations[i].T
    z = np.maximum(y[:, 2], 1e-3)
    f = state.focal_px
    dp = np.zeros((len(y), 2, 3))
    dp[:, 0, 0] = dp[:, 1, 1] = f / z
    dp[:, :, 2] = -f * y[:, :2] / z[:, None] ** 2
    turn_i = rot[None] @ _cross(rays - rho[:, None] * state.translations[i])
    moved = y - rho[:, None] * state.translations[j]
    dy = np.concatenate(
        [turn_i, -rho[:, None, None] * rot[None], -_cross(moved), rho[:, None, None] * np.eye(3)[None]], 2
    )
    by_focal = dp @ (rot @ (rays * [-1.0, -1.0, 0.0]).T).T[:, :, None] + (f * y[:, :2] / z[:, None])[:, :, None]
    by_rho = dp @ (state.translations[j] - rot @ state.translations[i])
    return residual, np.concatenate([dp @ dy, by_focal], 2), by_rho, obs.pairs[pair][0]


def _normal_equations(state: Bundle, obs: Observations, delta: float) -> tuple[Array, Array, Array, Array, Array]:
    views, points = len(state.rotations), len(state.inv_depth)
    size = 6 * views + 1
    hcc, gc = np.zeros((size, size)), np.zeros(size)
    hpp, gp, hpc = np.zeros(points), np.zeros(points), np.zeros((points, size))
    for pair in obs.pairs:
        i, j = pair
        residual, jc, jp, index = _jacobians(state, obs, pair)
        weight = obs.pairs[pair][2] * huber_weight(residual, delta)[0]
        columns = np.r_[6 * i : 6 * i + 6, 6 * j : 6 * j + 6, size - 1]
        wjc = jc * weight[:, None, None]
        hcc[np.ix_(columns, columns)] += np.tensordot(wjc, jc, ([0, 1], [0, 1]))
        gc[columns] += np.tensordot(wjc, residual, ([0, 1], [0, 1]))
        hpp[index] += weight * (jp**2).sum(1)  # an index comes once a pair, so plain += is a true sum
        gp[index] += weight * (jp * residual).sum(1)
        hpc[np.ix_(index, columns)] += (wjc * jp[:, :, None]).sum(1)
    return hcc, gc, hpp, gp, hpc


def rotation_from_vector(w: Array) -> Array:
    """Rotation ``(3, 3)`` by the angle and about the axis of ``w (3,)`` (Rodrigues)."""
    angle = float(np.linalg.norm(w))
    if angle < 1e-12:
        return np.eye(3)
    k = _cross(w[None] / angle)[0]
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k


def _moved(state: Bundle, step_c: Array, step_p: Array) -> Bundle:
    views = len(state.rotations)
    poses = step_c[:-1].reshape(views, 6)
    rotations = np.stack([rotation_from_vector(w) @ r for w, r in zip(poses[:, :3], state.rotations, strict=True)])
    inv_depth = np.clip(state.inv_depth + step_p, 1e-3, 1e3)
    focal = state.focal_px * float(np.exp(np.clip(step_c[-1], -0.2, 0.2)))
    return Bundle(rotations, state.translations + poses[:, 3:], inv_depth, focal)


def adjust(
    state: Bundle,
    obs: Observations,
    fixed_view: int,
    iterations: int = 30,
    delta: float = 1.0,
    fix_focal: bool = False,
    turn_only: bool = False,
    focal_prior: tuple[float, float] | None = None,
    on_iteration: Callable[[], None] = lambda: None,
) -> Bundle:
    """Levenberg-Marquardt over cameras, inverse depths and the shared focal length.

    Args:
        state: Where to start.
        obs: Matches.
        fixed_view: The view whose camera is the world.
        iterations: At most this many steps.
        delta: Huber's bend in pixels.
        fix_focal: Keep the focal length of ``state``.
        turn_only: Keep its translations: what a camera that only turns can explain.
        focal_prior: ``(focal_px, strength)``: pulls the log focal length to a value, with a strength in squared pixels
            per observation, for scenes that say nothing about it.
        on_iteration: Called once an iteration; may raise to cancel.

    Returns:
        The best state, scaled so that the median inverse depth is 1.
    """
    views = len(state.rotations)
    held = list(range(6 * fixed_view, 6 * fixed_view + 6)) + ([6 * views] if fix_focal else [])
    held += [6 * v + k for v in range(views) for k in (3, 4, 5)] if turn_only else []
    free = np.setdiff1d(np.arange(6 * views + 1), held)
    mass = sum(float(w.sum()) for _, _, w in obs.pairs.values())

    def prior_cost(s: Bundle) -> float:
        return 0.0 if focal_prior is None else focal_prior[1] * float(np.log(s.focal_px / focal_prior[0])) ** 2

    state = replace(state, cost=total_cost(state, obs, delta) + prior_cost(state))
    damping = 1e-3
    for _ in range(iterations):
        on_iteration()
        hcc, gc, hpp, gp, hpc = _normal_equations(state, obs, delta)
        if focal_prior is not None:
            hcc[-1, -1] += mass * focal_prior[1]
            gc[-1] += mass * focal_prior[1] * np.log(state.focal_px / focal_prior[0])
        better = False
        for _ in range(6):
            inv = 1.0 / (hpp * (1 + damping) + 1e-9 * max(hpp.max(), 1e-12))
            schur = hcc - (hpc * inv[:, None]).T @ hpc
            schur[np.diag_indices_from(schur)] += damping * np.diag(hcc) + 1e-9 * np.trace(hcc) / len(hcc)
            rhs = gc - hpc.T @ (inv * gp)
            step_c = np.zeros(len(gc))
            step_c[free] = -np.linalg.solve(schur[np.ix_(free, free)], rhs[free])
            trial = _moved(state, step_c, -inv * (gp + hpc @ step_c))
            cost = total_cost(trial, obs, delta) + prior_cost(trial)
            if cost < state.cost:
                better = True
                break
            damping *= 8
        if not better:
            break
        gain = state.cost - cost
        state, damping = replace(trial, cost=cost), max(damping / 5, 1e-9)
        if gain < 1e-5 * cost:
            break
    return normalised(state)


def median_error(state: Bundle, obs: Observations) -> float:
    """Median distance in pixels between where points are seen and where the state puts them."""
    return float(np.median(np.concatenate([np.linalg.norm(reproject(state, obs, p)[2], axis=1) for p in obs.pairs])))


def normalised(state: Bundle) -> Bundle:
    """The same scene with a median inverse depth of 1: units in which depths are around one."""
    scale = float(np.median(state.inv_depth))
    return replace(state, inv_depth=state.inv_depth / scale, translations=state.translations * scale)
