"""Dense inverse depth of every view from flow and cameras.

Per pixel the flow to every other view gives one candidate inverse depth; each candidate is scored against all flows
(a sweep over candidates, not planes), the best is refined by reweighted least squares, and what is not confirmed is
completed along image edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..flow.edge_aware_filter import complete
from ..flow.flow_field import Flow, Mask, forward_backward_error, identity_map, warp
from .bundle_adjustment import Bundle

Map = NDArray[np.float32]
Real = NDArray[np.floating[Any]]

ROBUST_PX = 1.0
"""Width in pixels of Geman-McClure's loss in the refinement; twice that while candidates are scored."""
CONSISTENT_PX = 1.0
"""Forward-backward error in pixels at which a flow counts half."""
REFINEMENTS = 6
"""Reweighted least-squares steps."""
FULL_SUPPORT = 2.0
"""Sum of flow weights from which a pixel is fully supported."""
CONFIDENT_ERROR = 0.03
"""Relative standard error of inverse depth at which confidence has halved."""
LIGHT, STRONG = 4.0, 400.0
"""Smoothing strength where confident, and of the completion elsewhere (see edge_aware_filter.smooth)."""
EDGE = 0.08
"""Colour difference that stops smoothing."""


@dataclass(frozen=True)
class _PairTerm:
    """Linear constraint of one flow on inverse depth: ``(a + rho b) / (az + rho bz)`` pixels off, ``(H, W, 2)``."""

    a: Map
    b: Map
    az: Map
    bz: float
    weight: Map

    def depth_in_pair(self, rho: Real) -> Real:
        """Depth ``(H, W)`` in the other view, times ``rho``; points at or behind its camera are held in front."""
        z: Real = np.maximum(self.az + rho * self.bz, 1e-3)
        return z

    def residual(self, rho: Real) -> Real:
        off: Real = (self.a + rho[..., None] * self.b) / self.depth_in_pair(rho)[..., None]
        return off


def _pair_term(state: Bundle, flow: Flow, back: Flow, valid: Mask, pair: tuple[int, int]) -> _PairTerm:
    i, j = pair
    h, w = valid.shape
    here = identity_map((h, w)) - np.array([(w - 1) / 2, (h - 1) / 2], np.float32)
    rays = np.concatenate([here / state.focal_px, np.ones((h, w, 1))], -1)
    rot = state.rotations[j] @ state.rotations[i].T
    turned = rays @ rot.T
    t = state.translations[j] - rot @ state.translations[i]
    seen = here + flow
    a = state.focal_px * turned[..., :2] - seen * turned[..., 2:]
    b = state.focal_px * t[:2] - seen * t[2]
    error = forward_backward_error(flow, back)
    weight = 1.0 / (1.0 + (error / CONSISTENT_PX) ** 2)
    weight *= valid & (warp(valid.astype(np.float32), flow) > 0.99)
    f32 = np.float32
    return _PairTerm(a.astype(f32), b.astype(f32), turned[..., 2].astype(f32), float(t[2]), weight.astype(f32))


def _robust(residual: Real, width: float) -> tuple[Real, Real]:
    """Geman-McClure weight and cost ``(H, W)``: the influence of a wrong flow vanishes, whatever its size."""
    r2: Real = (residual**2).sum(-1) / width**2
    weight: Real = 1.0 / (1.0 + r2) ** 2
    return weight, r2 / (1.0 + r2)


def _total(maps: Sequence[Real]) -> Real:
    return reduce(np.add, maps)


def measure_inverse_depth(terms: list[_PairTerm], rho_range: tuple[float, float]) -> tuple[Real, Real, Real]:
    """Inverse depth of one view from its pair terms.

    Returns:
        Inverse depth ``(H, W)``, its standard error ``(H, W)``, and the share of the flows that agree ``(H, W)``.
    """
    shape = terms[0].az.shape
    best_cost: Real = np.full(shape, np.inf, np.float32)
    rho: Real = np.full(shape, 1.0, np.float32)
    for term in terms:
        candidate = -(term.a * term.b).sum(-1) / np.maximum((term.b**2).sum(-1), 1e-9)
        candidate = np.clip(candidate, *rho_range)
        cost = _total([t.weight * _robust(t.residual(candidate), 2 * ROBUST_PX)[1] for t in terms])
        take = cost < best_cost
        best_cost, rho = np.where(take, cost, best_cost), np.where(take, candidate, rho)
    for _ in range(REFINEMENTS):
        num, den = np.zeros_like(rho), np.full_like(rho, 1e-6)
        for t in terms:
            weight = t.weight * _robust(t.residual(rho), ROBUST_PX)[0] / t.depth_in_pair(rho) ** 2
            num -= weight * (t.a * t.b).sum(-1)
            den += weight * (t.b**2).sum(-1)
        rho = np.clip(num / den, *rho_range)
    agree = _total([t.weight * _robust(t.residual(rho), ROBUST_PX)[0] for t in terms])
    sigma: Real = ROBUST_PX / np.sqrt(den)
    return rho, sigma, agree / np.maximum(_total([t.weight for t in terms]), 1e-3)


def dense_depth(
    state: Bundle, flows: dict[tuple[int, int], Flow], view: int, frame: Map, valid: Mask
) -> tuple[Map, Map]:
    """Completed inverse depth and confidence of one view.

    Args:
        state: Cameras and sparse inverse depths.
        flows: Flow of every ordered pair of views that was measured.
        view: Which view.
        frame: ``(H, W, 3)`` its picture, the guide of the completion.
        valid: ``(H, W)`` pixels that show the scene.

    Returns:
        Inverse depth ``(H, W)`` in scene units, positive everywhere, and confidence ``(H, W)`` in ``[0, 1]``.
    """
    terms = [_pair_term(state, flows[i, j], flows[j, i], valid, (i, j)) for i, j in sorted(flows) if i == view]
    near, far = np.quantile(state.inv_depth, [0.999, 0.001])
    bounds = max(far / 4, 1e-3), near * 2
    rho, sigma, agree = measure_inverse_depth(terms, bounds)
    relative = sigma / np.maximum(rho, 1e-6)
    support = np.minimum(_total([t.weight for t in terms]) / FULL_SUPPORT, 1.0)
    confidence = agree**2 * support / (1.0 + (relative / CONFIDENT_ERROR) ** 2)
    confidence = confidence.astype(np.float32)
    filled, reached = complete(rho, confidence, frame, STRONG, EDGE)
    lightly, _ = complete(rho, confidence + np.float32(1e-6), frame, LIGHT, EDGE)
    mix = np.clip(confidence * 4, 0, 1)
    out = np.where(reached > 1e-7, mix * lightly + (1 - mix) * filled, np.median(rho))
    return out.astype(np.float32), confidence
