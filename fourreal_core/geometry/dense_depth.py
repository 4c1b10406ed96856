"""Dense inverse depth of every view from flow and cameras.

Per pixel the flow to every other view gives one candidate inverse depth; each candidate is scored against all flows
(the sweep), the best is refined by reweighted least squares, and what is not confirmed is completed along image edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..flow.edge_aware_filter import complete
from ..flow.flow_field import Flow, forward_backward_error, identity_map, warp
from .bundle_adjustment import Bundle

Map = NDArray[np.float32]


@dataclass(frozen=True)
class DepthOptions:
    """How depth is measured and completed.

    Attributes:
        huber_px: Residual in pixels at which a flow counts as an outlier.
        consistent_px: Forward-backward error at which a flow is half trusted.
        sigma_confident: Relative error of inverse depth below which a pixel is confident.
        light: Smoothing strength where confident.
        strong: Smoothing strength of the completion elsewhere.
        edge_sigma: Colour difference that stops smoothing.
    """

    huber_px: float = 1.0
    consistent_px: float = 1.0
    sigma_confident: float = 0.03
    light: float = 4.0
    strong: float = 400.0
    edge_sigma: float = 0.08


@dataclass(frozen=True)
class _PairTerm:
    """Linear constraint of one flow on inverse depth: ``(a + rho b) / (az + rho bz)`` pixels off, ``(H, W, 2)``."""

    a: Map
    b: Map
    az: Map
    bz: float
    weight: Map

    def residual(self, rho: Map) -> Map:
        z = np.maximum(self.az + rho * self.bz, 1e-3)
        return (self.a + rho[..., None] * self.b) / z[..., None]


def _pair_term(
    state: Bundle, flow: Flow, back: Flow, valid: NDArray[np.bool_], pair: tuple[int, int], options: DepthOptions
) -> _PairTerm:
    i, j = pair
    h, w = valid.shape
    here = identity_map((h, w)) - np.float32([(w - 1) / 2, (h - 1) / 2])
    rays = np.concatenate([here / state.focal_px, np.ones((h, w, 1))], -1)
    rot = state.rotations[j] @ state.rotations[i].T
    turned = rays @ rot.T
    t = state.translations[j] - rot @ state.translations[i]
    seen = here + flow
    a = state.focal_px * turned[..., :2] - seen * turned[..., 2:]
    b = state.focal_px * t[:2] - seen * t[2]
    error = forward_backward_error(flow, back)
    weight = 1.0 / (1.0 + (error / options.consistent_px) ** 2)
    weight *= valid & (warp(valid.astype(np.float32), flow) > 0.99)
    f32 = np.float32
    return _PairTerm(a.astype(f32), b.astype(f32), turned[..., 2].astype(f32), float(t[2]), weight.astype(f32))


def _robust(residual: Map, delta: float) -> tuple[Map, Map]:
    """Geman-McClure weight and cost ``(H, W)``: a wrong flow counts as nothing, whatever its size."""
    r2 = (residual**2).sum(-1) / delta**2
    return 1.0 / (1.0 + r2) ** 2, r2 / (1.0 + r2)


def measure_inverse_depth(
    terms: list[_PairTerm], rho_range: tuple[float, float], options: DepthOptions
) -> tuple[Map, Map, Map]:
    """Inverse depth of one view from its pair terms.

    Returns:
        Inverse depth ``(H, W)``, its standard error ``(H, W)``, and the share of the flows that agree ``(H, W)``.
    """
    low, high = rho_range
    best_cost, rho = np.full(terms[0].az.shape, np.inf, np.float32), np.full(terms[0].az.shape, 1.0, np.float32)
    for term in terms:
        candidate = -(term.a * term.b).sum(-1) / np.maximum((term.b**2).sum(-1), 1e-9)
        candidate = np.clip(candidate, low, high)
        cost = sum(t.weight * _robust(t.residual(candidate), 2 * options.huber_px)[1] for t in terms)
        cost = np.where(term.weight > 0.05, cost, np.inf)
        take = cost < best_cost
        best_cost, rho = np.where(take, cost, best_cost), np.where(take, candidate, rho)
    for _ in range(6):
        num, den = np.zeros_like(rho), np.full_like(rho, 1e-6)
        for t in terms:
            z = np.maximum(t.az + rho * t.bz, 1e-3)
            weight = t.weight * _robust(t.residual(rho), options.huber_px)[0] / z**2
            num -= weight * (t.a * t.b).sum(-1)
            den += weight * (t.b**2).sum(-1)
        rho = np.clip(num / den, low, high)
    agree = sum(t.weight * _robust(t.residual(rho), options.huber_px)[0] for t in terms)
    total = sum(t.weight for t in terms)
    return rho, options.huber_px / np.sqrt(den), agree / np.maximum(total, 1e-3)


def dense_depth(
    state: Bundle,
    flows: dict[tuple[int, int], Flow],
    view: int,
    frame: Map,
    valid: NDArray[np.bool_],
    options: DepthOptions,
) -> tuple[Map, Map]:
    """Completed inverse depth and confidence of one view.

    Args:
        state: Cameras and sparse inverse depths.
        flows: Flow of every ordered pair of views that was measured.
        view: Which view.
        frame: ``(H, W, 3)`` its picture, the guide of the completion.
        valid: ``(H, W)`` pixels that show the scene.
        options: See DepthOptions.

    Returns:
        Inverse depth ``(H, W)`` in scene units, positive everywhere, and confidence ``(H, W)`` in ``[0, 1]``.
    """
    terms = [_pair_term(state, flows[i, j], flows[j, i], valid, (i, j), options) for i, j in sorted(flows) if i == view]
    near, far = np.quantile(state.inv_depth, [0.999, 0.001])
    rho, sigma, agree = measure_inverse_depth(terms, (max(far / 4, 1e-3), near * 2), options)
    relative = sigma / np.maximum(rho, 1e-6)
    support = np.minimum(sum(t.weight for t in terms) / 2.0, 1.0)
    confidence = agree**2 * support / (1.0 + (relative / options.sigma_confident) ** 2) * valid
    confidence = confidence.astype(np.float32)
    filled, reached = complete(rho, confidence, frame, options.strong, options.edge_sigma)
    lit, _ = complete(rho, confidence + 1e-6, frame, options.light, options.edge_sigma)
    mix = np.clip(confidence * 4, 0, 1)
    out = np.where(reached > 1e-7, mix * lit + (1 - mix) * filled, np.median(rho))
    return np.clip(out, max(far / 4, 1e-3), near * 2).astype(np.float32), confidence
