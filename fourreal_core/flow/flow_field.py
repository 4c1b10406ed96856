"""2D optical flow behind one interface, and the small algebra on flow fields: warp, chain, forward-backward check.

A flow field from frame a to frame b is ``(H, W, 2)`` (dx, dy) in pixels: the point at pixel x of a is at ``x + flow``
in b.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError
from ..progress import OnStep, no_progress

Flow = NDArray[np.float32]
Gray = NDArray[np.uint8]
INVERSIONS = 6
"""Fixed-point steps by which a flow is turned around; each shortens what is left by the flow's own steepness."""


class FlowEngine(Protocol):
    """Anything that measures the flow between two frames."""

    def __call__(self, a: Gray, b: Gray, init: Flow | None = None) -> Flow:
        """Flow ``(H, W, 2)`` in pixels from grey frame ``a (H, W)`` to ``b``, started from ``init`` where it can be."""


class DisFlow:
    """Dense inverse search (Kroeger et al. 2016) of OpenCV: fast, no weights, good to about 20 pixels of motion."""

    def __init__(self) -> None:
        import cv2

        # OpenCV's object remembers the last start it was given and uses it again when it is given none
        self._free, self._started = (cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM) for _ in range(2))
        for dis in (self._free, self._started):
            dis.setFinestScale(0)

    def __call__(self, a: Gray, b: Gray, init: Flow | None = None) -> Flow:
        """See FlowEngine; frames smaller than the coarsest patches give zero flow where the search finds nothing."""
        if min(a.shape) < 16:
            raise InputError(f"frames of {a.shape[1]} x {a.shape[0]} pixels", "at least 16 x 16", "use larger clips")
        return self._free.calc(a, b, None) if init is None else self._started.calc(a, b, init.copy())


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
    h, w = ab.shape[:2]
    error = np.linalg.norm(ab + warp(ba, ab), axis=-1)
    at = identity_map((h, w)) + ab
    outside = (at[..., 0] < 0) | (at[..., 0] > w - 1) | (at[..., 1] < 0) | (at[..., 1] > h - 1)
    return np.where(outside, np.float32(np.inf), error)


def pair_flows(
    grays: list[Gray], reach: int, engine: FlowEngine, on_step: OnStep = no_progress
) -> dict[tuple[int, int], Flow]:
    """Flows between all ordered pairs of frames at most ``reach`` apart.

    Farther pairs start from the chain over their neighbours and are then measured directly, so the start carries over
    large motion and the direct measurement removes the drift of the chain.

    Args:
        grays: F frames ``(H, W)``.
        reach: Largest distance in frames.
        engine: Measures one pair.
        on_step: Progress.
    """
    count = len(grays)
    flows: dict[tuple[int, int], Flow] = {}
    pairs = [(i, j) for gap in range(1, reach + 1) for i in range(count) for j in (i - gap, i + gap) if 0 <= j < count]
    for done, (i, j) in enumerate(pairs, 1):
        step = 1 if j > i else -1
        init = None if abs(j - i) == 1 else chain(flows[i, j - step], flows[j - step, j])
        flows[i, j] = engine(grays[i], grays[j], init)
        on_step(done, len(pairs))
    return flows
