"""The small filters that the proposals are made of: a Gaussian window, a logistic step, a median, an opening."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..flow.flow_field import Flow

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]
WIDTH_PX = 512
"""Width of the frames for which windows and distances are given; they scale with the width."""
LEAST_SIGMA_PX = 0.5
"""Smallest standard deviation of a window: narrower ones see single pixels, whose noise decides."""
_REGION_SOFT_PX = 1.5


def gaussian_blur(values: Image, sigma_px: float) -> Image:
    """A map ``(H, W[, C])`` averaged over a Gaussian window of at least LEAST_SIGMA_PX."""
    from ..needed.opencv import cv2

    blurred = cv2.GaussianBlur(values.astype(np.float32), (0, 0), max(sigma_px, LEAST_SIGMA_PX))
    return np.asarray(blurred, np.float32)


def resized(values: Image, size: tuple[int, int]) -> Image:
    """A map ``(H, W[, C])`` in another size: averaged over squares where that is smaller, bilinear where larger."""
    from ..needed.opencv import cv2

    if values.shape[:2] == size:
        return values
    how = cv2.INTER_AREA if size[1] < values.shape[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(values, np.float32), size[::-1], interpolation=how))


def logistic_step(values: Image, half: float, softness: float) -> Image:
    """A step ``(H, W)`` from 0 to 1: one half at ``half``, steeper where ``softness`` is smaller."""
    return np.asarray(1 / (1 + np.exp(np.clip((half - values) / softness, -30, 30))), np.float32)


def median_flow(flow: Flow, side_px: int) -> Flow:
    """Each component of a flow ``(H, W, 2)`` as the median of a square window; a side of 0 leaves it as it is."""
    from ..needed.opencv import cv2

    if side_px == 0:
        return flow
    return np.stack([cv2.medianBlur(np.ascontiguousarray(flow[..., axis]), side_px) for axis in (0, 1)], -1)


def open_regions(share: Image, side_px: int) -> Image:
    """A share ``(H, W)`` without regions narrower than ``side_px``, with soft outlines; 0 leaves it as it is."""
    from ..needed.opencv import cv2

    if side_px == 0:
        return share
    opened = cv2.morphologyEx(share, cv2.MORPH_OPEN, np.ones((side_px, side_px), np.uint8))
    return gaussian_blur(np.asarray(opened, np.float32), _REGION_SOFT_PX)
