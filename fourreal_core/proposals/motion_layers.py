"""Flow of the subject and of the ground as two layers, each extrapolated to where none was measured.

Thin limbs that swing fast lose their flow, and warping flows from clip to clip tears them. But a subject's parallax
changes little from limb to limb, and the ground behind it has its own: so the flow of each layer, extended beyond where
it could be measured, still shows limbs whole, if slightly misplaced. The paper has nothing of the kind; layers of
smooth motion are as in Wang and Adelson, "Representing moving images with layers" (1994).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..flow.flow_cache import MeasuredFlow
from ..flow.flow_field import Flow, warp
from .image_filters import Image, logistic_step

NEAR_PX, FAR_PX, GROUND_PX = 3.0, 8.0, 4.0
"""Standard deviations over which the subject's flow is extended, twice, and the ground's; for pictures of SIZE_PX."""
SIZE_PX = 64
LAYER_KINDS = ("subject_near", "subject_far", "subject_affine", "ground")
"""Flows of a cell by layers: the subject's, extended near and far and as an affine motion; the ground's."""
MOVES_PX, MOVES_SOFT_PX = 0.8, 0.15
"""Pixels of motion through a clip at which something counts as moving by one half, and the softness of that."""
MISS_PX = 2.0
"""Forward-backward error at which a flow counts 1/e as much."""
_LEAST = 0.02
_ROUNDS, _OUTLIER_PX = 8, 1.0


@dataclass(frozen=True)
class LayeredFlow:
    """A cell's flow by layers, each ``(H, W, 2)`` in pixels and everywhere.

    Attributes:
        near: Of what moves, extended over NEAR_PX.
        far: The same, over FAR_PX.
        affine: The affine motion that most of it follows.
        ground: Of what stands.
    """

    near: Flow
    far: Flow
    affine: Flow
    ground: Flow


def motion_probability(flows: Sequence[Flow]) -> Image:
    """Which pixels ``(H, W)`` move, 0 to 1.

    Args:
        flows: ``(H, W, 2)`` in pixels, from one frame of a camera that stands to others.
    """
    return logistic_step(np.max([np.linalg.norm(flow, axis=-1) for flow in flows], 0), MOVES_PX, MOVES_SOFT_PX)


def layered_flow(flow: MeasuredFlow, moving: Image) -> LayeredFlow:
    """A measured flow by layers; where it misses its start it counts little.

    Args:
        flow: At a cell's pixels.
        moving: ``(H, W)`` share of what moves of itself in the same pixels, 0 to 1.
    """
    scale = moving.shape[1] / SIZE_PX
    sure = np.exp(-flow.error / MISS_PX).astype(np.float32)
    subject = moving * sure
    near, far = (normalized_convolution(flow.best, subject, sigma * scale) for sigma in (NEAR_PX, FAR_PX))
    ground = normalized_convolution(flow.best, (1 - moving) * sure, GROUND_PX * scale)
    return LayeredFlow(near, far, affine_flow(flow.best, subject), ground)


def layer_candidates(match: LayeredFlow, back: LayeredFlow) -> dict[str, Flow]:
    """Flows ``(H, W, 2)`` from a cell to its source, by the names of LAYER_KINDS.

    A cell's pixel is looked up in the reference by its layer's match; from there the layer's flow leads to the source's
    time or view.

    Args:
        match: From the source to the reference at the source's time.
        back: The reference's flow from the cell's time to the source's.
    """
    subject = [warp(flow, match.far) for flow in (back.near, back.far, back.affine)]
    return dict(zip(LAYER_KINDS, [*subject, warp(back.ground, match.ground)], strict=True))


def normalized_convolution(flow: Flow, weight: Image, sigma: float) -> Flow:
    """A flow ``(H, W, 2)`` averaged over a Gaussian window, each pixel by its weight; far from all, their mean.

    Normalized convolution (Knutsson and Westin, 1993).

    Args:
        flow: ``(H, W, 2)``.
        weight: ``(H, W)``, not negative.
        sigma: Standard deviation of the window in pixels.
    """
    from ..needed.opencv import cv2

    def spread(values: Image) -> Image:
        return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT), np.float32)

    weighted = (flow * weight[..., None]).astype(np.float32)
    mean = weighted.sum((0, 1)) / (weight.sum() + 1e-6)
    spread_weight = spread(weight.astype(np.float32)) + _LEAST
    return np.asarray((spread(weighted) + _LEAST * mean) / spread_weight[..., None])


def affine_flow(flow: Flow, weight: Image) -> Flow:
    """The affine motion ``(H, W, 2)`` that most of a flow follows, by iteratively reweighted least squares.

    Args:
        flow: ``(H, W, 2)`` in pixels.
        weight: ``(H, W)``, not negative; where there is none at all every pixel counts alike.
    """
    height, width = weight.shape
    y, x = np.mgrid[:height, :width].astype(np.float64)
    terms = np.stack([np.ones_like(x), x / width - 0.5, y / height - 0.5], -1).reshape(-1, 3)
    aim, given = flow.reshape(-1, 2).astype(np.float64), weight.reshape(-1) + 1e-8
    # of the sum of weights: slopes that nothing tells stay 0, and those over a whole picture lose a tenth
    steadying = np.diag([1e-3, 1e-2, 1e-2])
    counts = given
    for _ in range(_ROUNDS):
        weighted = terms.T * counts
        found = np.linalg.solve(weighted @ terms + steadying * counts.sum(), weighted @ aim)
        away = np.linalg.norm(aim - terms @ found, axis=1)
        counts = given / (1 + (away / _OUTLIER_PX) ** 2)
    return (terms @ found).reshape(flow.shape).astype(np.float32)
