"""What a known row says about a flow: whether what it takes for one point looks the same there at both times.

A cell ``[v, t]`` is made from a known cell ``[v, s]``; a flow says from where. A row r that is known at both times is a
witness: the match between ``[v, s]`` and ``[r, s]`` leads there, and the flow is right where ``[r, t]`` and ``[r, s]``
show the same colour at the two ends. Views and times may trade places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..flow.flow_field import Flow, identity_map, warp

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Witness:
    """A row that is known at the time of a cell and at the time of its source.

    Attributes:
        match: ``(H, W, 2)`` in pixels, from the source to the row at the source's time.
        now: ``(H, W, 3)`` the row at the cell's time, in ``[0, 1]``.
        then: ``(H, W, 3)`` the row at the source's time.
    """

    match: Flow
    now: Image
    then: Image

    def apart(self, flow: Flow) -> Image:
        """How differently ``(H, W)`` the row shows what a flow takes for one point, in grey levels of 255."""
        across = warp(self.match, flow)
        return 255 * np.abs(warp(self.now, across) - warp(self.then, flow + across)).mean(-1)

    def toned(self, flow: Flow, color: Image, sigma: float) -> tuple[Image, Flow]:
        """What the row shows at the cell's time, in the tone of the view, and where in the row that is.

        Args:
            flow: ``(H, W, 2)`` from the cell to the source.
            color: ``(H, W, 3)`` read from the source by it.
            sigma: Standard deviation in pixels of the window over which tones are compared.
        """
        across = warp(self.match, flow)
        return warp(self.now, across) + blurred(color - warp(self.then, flow + across), sigma), across


def best_candidate(candidates: Sequence[Flow], costs: Sequence[Image]) -> tuple[Flow, Image, NDArray[np.int_]]:
    """Each pixel's cheapest flow ``(H, W, 2)``, its cost ``(H, W)``, and which one it is."""
    stacked = np.stack(costs)
    choice = stacked.argmin(0)
    flow = np.take_along_axis(np.stack(candidates), choice[None, ..., None], 0)[0]
    return flow, stacked.min(0), choice


def without_specks(flow: Flow) -> Flow:
    """A flow ``(H, W, 2)`` whose every pixel is the median of its 5 x 5 window: choices a pixel wide are chance."""
    import cv2

    return np.stack([cv2.medianBlur(np.ascontiguousarray(flow[..., axis]), 5) for axis in (0, 1)], -1)


def whole_regions(share: Image, side: int = 5, soft_px: float = 1.5) -> Image:
    """A share ``(H, W)`` without what is narrower than ``side`` pixels, and with soft outlines."""
    import cv2

    return blurred(cv2.morphologyEx(share, cv2.MORPH_OPEN, np.ones((side, side), np.uint8)), soft_px)


def disocclusion_probability(cost: Image, new_gray: float, new_soft: float) -> Image:
    """How surely a pixel ``(H, W)`` shows what no candidate explains: 0 to 1, one half at ``new_gray`` grey levels."""
    return soft_step(cost, new_gray, new_soft)


def soft_step(values: Image, half: float, softness: float) -> Image:
    """A logistic step ``(H, W)`` from 0 to 1: one half at ``half``, steeper where ``softness`` is smaller."""
    return (1 / (1 + np.exp(np.clip((half - values) / softness, -30, 30)))).astype(np.float32)


def on_picture(flow: Flow) -> NDArray[np.bool_]:
    """Where ``(H, W)`` a flow leads onto the picture."""
    h, w = flow.shape[:2]
    at = identity_map((h, w)) + flow
    return (at[..., 0] >= 0) & (at[..., 0] <= w - 1) & (at[..., 1] >= 0) & (at[..., 1] <= h - 1)


def blurred(values: Image, sigma: float) -> Image:
    """A map ``(H, W[, C])`` averaged over a Gaussian window of at least half a pixel."""
    import cv2

    return cv2.GaussianBlur(values.astype(np.float32), (0, 0), max(sigma, 0.5))
