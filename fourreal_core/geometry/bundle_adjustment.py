"""Cameras and a shared focal length from flow between views: bundle adjustment over anchored inverse depths.

Every point is anchored at a pixel ``u`` of one view and has one unknown, its inverse depth ``rho`` there, so the whole
problem is ``6 V`` camera parameters, one log focal length and one number a point, and the points fall out by a scalar
Schur complement.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .rotations import rotation_from_vector

Array = NDArray[np.float64]
FIRST_DAMPING, DAMPING_UP, DAMPING_DOWN = 1e-3, 8, 5
"""Levenberg-Marquardt's damping at the start, and its factors after a step that failed and one that did not."""
DAMPING_TRIES = 6
"""Steps that are tried in an iteration, each damped more."""
LEAST_GAIN = 1e-5
"""Share of its cost that a step must gain for another one to follow."""


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

    def relative(self, i: int, j: int) -> tuple[Array, Array]:
        """Rotation ``(3, 3)`` and translation ``(3,)`` from view i to view j."""
        rot = self.rotations[j] @ self.rotations[i].T
        return rot, self.translations[j] - rot @ self.translations[i]


def flat_start(obs: Observations, views: int, focal_px: float) -> Bundle:
    """All cameras in one place and every point at distance 1."""
    return Bundle(np.tile(np.eye(3), (views, 1, 1)), np.zeros((views, 3)), np.ones(len(obs.pixels)), focal_px)


def reproject(state: Bundle, obs: Observations, pair: tuple[int, int]) -> tuple[Array, Array, Array, Array]:
    """Points of view i in view j: ``Y (M, 3)`` up to scale, rays ``(M, 3)``, residual ``(M, 2)``, ``rho (M,)``."""
    i, j = pair
    index, seen, _ = obs.pairs[pair]
    rho = state.inv_depth[index]
    rays = np.column_stack([obs.pixels[index] / state.focal_px, np.ones(len(index))])
    rot, shift = state.relative(i, j)
    y = rays @ rot.T + rho[:, None] * shift
    z = np.maximum(y[:, 2], 1e-3)
    return y, rays, state.focal_px * y[:, :2] / z[:, None] - seen, rho


class Unknowns(NamedTuple):
    """A state as the compiled sums take it, see Bundle."""

    rotations: Array
    translations: Array
    inv_depth: Array
    focal_px: float

    @classmethod
    def of(cls, state: Bundle) -> Unknowns:
        rotations, translations, inv_depth = (
            np.ascontiguousarray(a, np.float64) for a in (state.rotations, state.translations, state.inv_depth)
        )
        return cls(rotations, translations, inv_depth, float(state.focal_px))


class Matches(NamedTuple):
    """Observations as the compiled sums take them, all pairs behind one another.

    Attributes:
        pixels: ``(N, 2)`` anchor pixels.
        pairs: ``(P, 4)``: views i and j, and from which match to before which one they share them.
        points: ``(M,)`` the point of every match.
        seen: ``(M, 2)`` where view j sees it.
        weight: ``(M,)`` how much to trust it.
    """

    pixels: Array
    pairs: NDArray[np.int64]
    points: NDArray[np.int64]
    seen: Array
    weight: Array

    @classmethod
    def of(cls, obs: Observations) -> Matches:
        ends = np.cumsum([0, *(len(weight) for _, _, weight in obs.pairs.values())])
        pairs = np.array([(*pair, *ends[k : k + 2]) for k, pair in enumerate(obs.pairs)], np.int64).reshape(-1, 4)
        points = np.concatenate([np.zeros(0, np.int64), *(index for index, _, _ in obs.pairs.values())])
        seen = np.concatenate([np.zeros((0, 2)), *(seen for _, seen, _ in obs.pairs.values())])
        weight = np.concatenate([np.zeros(0), *(weight for _, _, weight in obs.pairs.values())])
        return cls(np.ascontiguousarray(obs.pixels, np.float64), pairs, points, seen, weight)

    def cost(self, state: Bundle, delta: float) -> float:
        """Weighted mean Huber cost in squared pixels."""
        from .bundle_kernel import cost_sum  # numba is loaded when the first cameras are adjusted, not before

        return float(cost_sum(Unknowns.of(state), self, delta)) / max(float(self.weight.sum()), 1e-12)

    def normal_equations(self, state: Bundle, delta: float) -> NormalEquations:
        """Gauss-Newton's equations under Huber's weights."""
        from .bundle_kernel import normal_sums

        return NormalEquations(*normal_sums(Unknowns.of(state), self, delta))


class NormalEquations(NamedTuple):
    """Gauss-Newton's equations; a point has one unknown, so its block of the Hessian is a number.

    Attributes:
        hcc: ``(C, C)`` of the cameras.
        gc: ``(C,)`` their gradient.
        hpp: ``(N,)`` of the points.
        gp: ``(N,)`` their gradient.
        hpc: ``(N, C)`` between both.
    """

    hcc: Array
    gc: Array
    hpp: Array
    gp: Array
    hpc: Array

    def step(self, damping: float, free: NDArray[np.int64]) -> tuple[Array, Array]:
        """The damped step of cameras ``(C,)`` and points ``(N,)``, points eliminated by the Schur complement."""
        inv = 1.0 / (self.hpp * (1 + damping) + 1e-9 * max(self.hpp.max(), 1e-12))
        scaled = self.hpc * np.sqrt(inv)[:, None]
        schur = self.hcc - scaled.T @ scaled
        schur[np.diag_indices_from(schur)] += damping * np.diag(self.hcc) + 1e-9 * np.trace(self.hcc) / len(self.hcc)
        rhs = self.gc - self.hpc.T @ (inv * self.gp)
        step_c = np.zeros(len(self.gc))
        step_c[free] = -np.linalg.solve(schur[np.ix_(free, free)], rhs[free])
        return step_c, -inv * (self.gp + self.hpc @ step_c)


def _moved(state: Bundle, step_c: Array, step_p: Array) -> Bundle:
    views = len(state.rotations)
    poses = step_c[:-1].reshape(views, 6)
    rotations = np.stack([rotation_from_vector(w) @ r for w, r in zip(poses[:, :3], state.rotations, strict=True)])
    inv_depth = np.clip(state.inv_depth + step_p, 1e-3, 1e3)
    focal = state.focal_px * float(np.exp(np.clip(step_c[-1], -0.2, 0.2)))
    return Bundle(rotations, state.translations + poses[:, 3:], inv_depth, focal)


@dataclass(frozen=True)
class AdjustOptions:
    """What is adjusted, and how long.

    Attributes:
        fixed_view: The view whose camera is the world.
        iterations: At most this many steps.
        huber_px: Residual in pixels at which Huber's loss bends.
        fix_focal: Keep the focal length of the start.
        turn_only: Keep its translations: what a camera that only turns can explain.
        focal_prior: ``(focal_px, strength)``: a quadratic prior on the log focal length, its strength in squared pixels
            per observation, for scenes that leave it undetermined.
    """

    fixed_view: int
    iterations: int = 30
    huber_px: float = 1.0
    fix_focal: bool = False
    turn_only: bool = False
    focal_prior: tuple[float, float] | None = None

    def free(self, views: int) -> NDArray[np.int64]:
        """Which camera parameters (six a view, then the log focal length) are adjusted."""
        held = list(range(6 * self.fixed_view, 6 * self.fixed_view + 6)) + ([6 * views] if self.fix_focal else [])
        held += [6 * v + k for v in range(views) for k in (3, 4, 5)] if self.turn_only else []
        return np.setdiff1d(np.arange(6 * views + 1), held)

    def prior_cost(self, focal_px: float) -> float:
        """What a focal length costs by the prior, in squared pixels per observation."""
        if self.focal_prior is None:
            return 0.0
        return self.focal_prior[1] * float(np.log(focal_px / self.focal_prior[0])) ** 2


def adjust(
    state: Bundle, obs: Observations, options: AdjustOptions, on_iteration: Callable[[], None] = lambda: None
) -> Bundle:
    """Levenberg-Marquardt over cameras, inverse depths and the shared focal length.

    Args:
        state: Where to start.
        obs: Matches.
        options: See AdjustOptions.
        on_iteration: Called once an iteration; may raise to cancel.

    Returns:
        The best state, scaled so that the median inverse depth is 1.
    """
    free = options.free(len(state.rotations))
    matches = Matches.of(obs)
    mass = float(matches.weight.sum())

    def cost_of(s: Bundle) -> float:
        return matches.cost(s, options.huber_px) + options.prior_cost(s.focal_px)

    state = replace(state, cost=cost_of(state))
    damping = FIRST_DAMPING
    for _ in range(options.iterations):
        on_iteration()
        equations = matches.normal_equations(state, options.huber_px)
        if options.focal_prior is not None:
            equations.hcc[-1, -1] += mass * options.focal_prior[1]
            equations.gc[-1] += mass * options.focal_prior[1] * np.log(state.focal_px / options.focal_prior[0])
        for _ in range(DAMPING_TRIES):
            trial = _moved(state, *equations.step(damping, free))
            cost = cost_of(trial)
            if cost < state.cost:
                break
            damping *= DAMPING_UP
        else:
            break
        gain = state.cost - cost
        state, damping = replace(trial, cost=cost), max(damping / DAMPING_DOWN, 1e-9)
        if gain < LEAST_GAIN * cost:
            break
    return normalised(state)


def median_error(state: Bundle, obs: Observations) -> float:
    """Median distance in pixels between where points are seen and where the state puts them."""
    return float(np.median(np.concatenate([np.linalg.norm(reproject(state, obs, p)[2], axis=1) for p in obs.pairs])))


def normalised(state: Bundle) -> Bundle:
    """The same scene with a median inverse depth of 1: units in which depths are around one."""
    scale = float(np.median(state.inv_depth))
    return replace(state, inv_depth=state.inv_depth / scale, translations=state.translations * scale)
