"""How good 3D tracks are, by the measures of TAPVid-3D (Koppula et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError

THRESHOLDS_PX = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Pixels of a picture whose shorter side is 256, put back into space at the true point's depth."""
_SHORT_SIDE = 256


@dataclass(frozen=True)
class TrackQuality:
    """Measures between 0 and 1; more is better.

    Attributes:
        average_jaccard: True positives over true positives, false positives and false negatives, mean of the
            thresholds: a point is right where it is near and rightly said to be visible.
        within: Share of the truly visible points that are near, by threshold, whatever is said of visibility.
        jaccard: By threshold.
        occlusion_accuracy: Share of points and frames whose visibility is right.
        scale: What the predictions were multiplied by.
    """

    average_jaccard: float
    within: tuple[float, ...]
    jaccard: tuple[float, ...]
    occlusion_accuracy: float
    scale: float

    @property
    def apd(self) -> float:
        """APD_3D, the average of ``within``."""
        return sum(self.within) / len(self.within)


def track_quality(
    positions: Tensor,
    visible: Tensor,
    true_positions: Tensor,
    true_visible: Tensor,
    focal_px: Tensor,
    size: tuple[int, int],
    rescale: bool = True,
) -> TrackQuality:
    """Compares tracks with the truth, point by point.

    Args:
        positions: ``(F, N, 3)`` in every frame's camera space.
        visible: ``(F, N)`` bool.
        true_positions: ``(F, N, 3)``.
        true_visible: ``(F, N)`` bool.
        focal_px: ``(F,)`` true focal lengths in pixels.
        size: ``(height, width)`` of the frames.
        rescale: Multiply all predictions by one number so that the median distances of the points visible in both
            agree, since a video leaves its scale open.

    Raises:
        InputError: Shapes that don't fit, nothing truly visible, or predictions that are not finite.
    """
    shapes = [tuple(x.shape) for x in (positions, visible, true_positions, true_visible, focal_px)]
    frames, points = shapes[1] if visible.ndim == 2 else (-1, -1)
    expected = [(frames, points, 3), (frames, points), (frames, points, 3), (frames, points), (frames,)]
    if shapes != expected or points < 1 or not bool(true_visible.any()):
        raise InputError(
            f"tracks of shapes {shapes} with {int(true_visible.sum())} visible truths",
            f"{expected} with at least one",
            "compare tracks of the same points",
        )
    if not bool(torch.isfinite(positions).all()):
        raise InputError("tracks with NaN or infinite positions", "finite ones", "find the step that divides by zero")
    found, truth = positions.double(), true_positions.double()
    both = visible & true_visible
    scale = 1.0
    if rescale and bool(both.any()):
        scale = float(truth[both].norm(dim=-1).median() / found[both].norm(dim=-1).median().clamp_min(1e-12))
    distance = (scale * found - truth).norm(dim=-1)
    pixel = truth[..., 2] / (focal_px.double() * _SHORT_SIDE / min(size))[:, None]
    within, jaccard = [], []
    for threshold in THRESHOLDS_PX:
        near = distance < threshold * pixel
        hits = int((near & both).sum())
        wrong = int((visible & ~(near & true_visible)).sum())
        within.append(float((near & true_visible).sum() / true_visible.sum()))
        jaccard.append(hits / (int(true_visible.sum()) + wrong))
    return TrackQuality(
        sum(jaccard) / len(jaccard),
        tuple(within),
        tuple(jaccard),
        float((visible == true_visible).float().mean()),
        scale,
    )
