"""The algebra on flow fields: warp, chain, inversion, forward-backward error.

A flow field from frame a to frame b is ``(H, W, 2)`` (dx, dy) in pixels: the point at pixel x of a is at ``x + flow``
in b. Here pixel centres are whole numbers, as in OpenCV; elsewhere the first one is at (0.5, 0.5).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Flow = NDArray[np.float32]
Gray = NDArray[np.uint8]
Image = NDArray[np.float32]
Mask = NDArray[np.bool_]
INVERSIONS = 6
"""Fixed-point steps that invert a flow; each shortens what is left by the flow's own steepness."""


def to_gray(frames: Tensor) -> list[Gray]:
    """8-bit luma ``(H, W)`` of every frame of ``(F, H, W, 3)`` in ``[0, 1]`` (BT.601, as OpenCV)."""
    luma = frames.float() @ torch.tensor([0.299, 0.587, 0.114], device=frames.device)
    return list((luma.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy())


def identity_map(shape: tuple[int, ...]) -> Flow:
    """Pixel indices ``(H, W, 2)`` (x, y), read-only, the map that ``warp`` adds a flow to."""
    return _identity(shape[0], shape[1])


@lru_cache(maxsize=4)
def _identity(height: int, width: int) -> Flow:
    ys, xs = np.mgrid[:height, :width].astype(np.float32)
    grid: Flow = np.stack([xs, ys], -1)
    grid.flags.writeable = False
    return grid


def warp(image: NDArray[Any], flow: Flow) -> NDArray[Any]:
    """Samples ``image (H, W[, C])`` at ``x + flow(x)`` bilinearly; outside, the border repeats."""
    from ..needed.opencv import cv2

    at = identity_map(flow.shape[:2]) + flow
    # one map of both coordinates; OpenCV's stubs have it that there must be a second one
    sampled: NDArray[Any] = cv2.remap(  # type: ignore[call-overload]
        image, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return sampled


def on_picture(flow: Flow) -> Mask:
    """Where ``(H, W)`` a flow leads onto the picture."""
    h, w = flow.shape[:2]
    at = identity_map((h, w)) + flow
    inside: Mask = (at[..., 0] >= 0) & (at[..., 0] <= w - 1) & (at[..., 1] >= 0) & (at[..., 1] <= h - 1)
    return inside


def chain(ab: Flow, bc: Flow) -> Flow:
    """The flow a to c through b."""
    flow: Flow = ab + warp(bc, ab)
    return flow


def invert_flow(flow: Flow, steps: int = INVERSIONS) -> Flow:
    """The backward flow ``(H, W, 2)`` at the pixels that a flow leads to: the fixed point of ``b(y) = -f(y + b(y))``.

    Args:
        flow: ``(H, W, 2)`` in pixels.
        steps: Of the iteration.
    """
    back = -flow
    for _ in range(steps):
        back = -warp(flow, back)
    return back


def forward_backward_error(ab: Flow, ba: Flow) -> Image:
    """How far ``(H, W)`` in pixels a point of a is from itself after going to b and back; infinite when it leaves b."""
    miss = ab + warp(ba, ab)
    error: Image = np.sqrt(miss[..., 0] ** 2 + miss[..., 1] ** 2)  # numpy's norm along so short an axis is slow
    return np.where(on_picture(ab), error, np.float32(np.inf))
