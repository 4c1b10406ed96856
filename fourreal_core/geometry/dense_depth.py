"""Dense inverse depth of every view from flow and cameras.

Per pixel the flow to every other view gives one candidate inverse depth; each candidate is scored against all flows
(a sweep over candidates, not planes), the best is refined by reweighted least squares, and what is not confirmed is
completed along image edges.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ..flow.edge_aware_filter import complete
from ..flow.flow_field import Flow, Mask

Map = NDArray[np.float32]

ROBUST_PX = 1.0
"""Width in pixels of Geman-McClure's loss in the refinement; twice that while candidates are scored."""
CONSISTENT_PX = 1.0
"""Forward-backward error in pixels at which a flow counts half."""
LEAST_Z = 1e-3
"""Points at or behind another camera are held so far in front, in units of their distance from the own one."""
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


class Poses(Protocol):
    """Cameras that see one scene, and some points of it: a ``Bundle``, or given ones."""

    @property
    def inv_depth(self) -> NDArray[np.float64]:
        """``(N,)`` of points in the views they are anchored in."""

    @property
    def focal_px(self) -> float:
        """The focal length in pixels that ``relative`` is for."""

    def relative(self, i: int, j: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What takes rays of view i, and a point's inverse depth there, to view j: ``(3, 3)`` and ``(3,)``."""


class PairTerms(NamedTuple):
    """Linear constraints of a view's flows on inverse depth: ``(a + rho b) / (az + rho bz)`` pixels off, each.

    Attributes:
        values: ``(H, W, K, 6)``: a (x, y), b (x, y), az and the trust in the flow.
        bz: ``(K,)``.
    """

    values: Map
    bz: Map


class MeasuredDepth(NamedTuple):
    """What the flows of a view say.

    Attributes:
        rho: ``(H, W)`` inverse depth.
        sigma: ``(H, W)`` its standard error.
        agree: ``(H, W)`` the share of the flows that agree.
        support: ``(H, W)`` the sum of their trust.
    """

    rho: Map
    sigma: Map
    agree: Map
    support: Map


def pair_terms(state: Poses, flows: dict[tuple[int, int], Flow], view: int, valid: Mask) -> PairTerms:
    """The constraints of all flows that start in a view.

    A flow is trusted by its forward-backward error, and not at all where it leaves the picture or what is valid.
    """
    from .dense_depth_kernel import pair_term  # numba is loaded when the first depth is measured, not before

    others = [j for i, j in sorted(flows) if i == view]
    values, bz = np.empty((*valid.shape, len(others), 6), np.float32), np.empty(len(others), np.float32)
    for k, j in enumerate(others):
        rot, t = state.relative(view, j)
        pair_term(flows[view, j], flows[j, view], valid, (rot, t, float(state.focal_px)), values[:, :, k])
        bz[k] = t[2]
    return PairTerms(values, bz)


def measure_inverse_depth(terms: PairTerms, rho_range: tuple[float, float]) -> MeasuredDepth:
    """Inverse depth of one view from its constraints, within bounds.

    Geman-McClure's loss lets the influence of a wrong flow vanish, whatever its size.
    """
    from .dense_depth_kernel import search

    return MeasuredDepth(*search(terms, *(np.float32(bound) for bound in rho_range)))


def dense_depth(
    state: Poses, flows: dict[tuple[int, int], Flow], view: int, frame: Map, valid: Mask
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
    near, far = np.quantile(state.inv_depth, [0.999, 0.001])
    bounds = max(far / 4, 1e-3), near * 2
    rho, sigma, agree, support = measure_inverse_depth(pair_terms(state, flows, view, valid), bounds)
    relative = sigma / np.maximum(rho, 1e-6)
    confidence = agree**2 * np.minimum(support / FULL_SUPPORT, 1.0) / (1.0 + (relative / CONFIDENT_ERROR) ** 2)
    confidence = confidence.astype(np.float32)
    filled, reached = complete(rho, confidence, frame, STRONG, EDGE)
    lightly, _ = complete(rho, confidence + np.float32(1e-6), frame, LIGHT, EDGE)
    mix = np.clip(confidence * 4, 0, 1)
    out = np.where(reached > 1e-7, mix * lightly + (1 - mix) * filled, np.median(rho))
    return out.astype(np.float32), confidence
