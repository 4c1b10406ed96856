"""The algebra on flow fields: warp, chain, inversion, forward-backward error.

A flow field from frame a to frame b is ``(H, W, 2)`` (dx, dy) in pixels: the point at pixel x of a is at ``x + flow``
in b.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Flow = NDArray[np.float32]
Gray = NDArray[np.uint8]
INVERSIONS = 6
"""Fixed-point steps by which a flow is turned around; each shortens what is left by the flow's own steepness."""


def to_gray(frames: Tensor) -> list[Gray]:
    """8-bit luma ``(H, W)`` of every frame of ``(F, H, W, 3)`` in ``[0, 1]`` (BT.601, as OpenCV)."""
    luma = frames.float() @ torch.tensor([0.299, 0.587, 0.114], device=frames.device)
    return list((luma.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy())


def identity_map(shape: tuple[int, int]) -> Flow:
    """Pixel indices ``(H, W, 2)`` (x, y), the map that ``warp`` adds a flow to."""
    ys, xs = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    return np.stack([xs, ys], -1)


def warp(image: NDArray, flow: Flow) -> NDArray:
    """Samples ``image (H, W[, C])`` at ``x + flow(x)`` bilinearly; outside, the border repeats."""
    import cv2

    at = identity_map(flow.shape[:2]) + flow
    return cv2.remap(image, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def on_picture(flow: Flow) -> NDArray[np.bool_]:
    """Where ``(H, W)`` a flow leads onto the picture."""
    h, w = flow.shape[:2]
    at = identity_map((h, w)) + flow
    return (at[..., 0] >= 0) & (at[..., 0] <= w - 1) & (at[..., 1] >= 0) & (at[..., 1] <= h - 1)


def chain(ab: Flow, bc: Flow) -> Flow:
    """The flow a to c through b."""
    return ab + warp(bc, ab)


def invert_flow(flow: Flow) -> Flow:
    """The backward flow ``(H, W, 2)`` at the pixels that a flow leads to, by fixed-point iteration."""
    back = -flow
    for _ in range(INVERSIONS):
        back = -warp(flow, back)
    return back


def forward_backward_error(ab: Flow, ba: Flow) -> NDArray[np.float32]:
    """How far ``(H, W)`` in pixels a point of a is from itself after going to b and back; infinite when it leaves b."""
    error = np.linalg.norm(ab + warp(ba, ab), axis=-1)
    return np.where(on_picture(ab), error, np.float32(np.inf))
