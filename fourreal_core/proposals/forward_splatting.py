"""Carries maps forward along a flow: what lands where, the nearest in front, narrow gaps closed.

Reading a picture back along a flow needs the flow at the pixels that it leads to. Where only the flow at its start is
known, its pixels are carried there instead (forward warping, or splatting, as in Niklaus and Liu, CVPR 2020; here the
nearest wins and nothing is blended).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ..flow.flow_field import Flow
from ..media.hole_filling import fill_holes
from .image_filters import Image, Mask

TEAR_PX = 1.0
"""Difference of the flows of two neighbours from which on nothing is drawn between them."""


def splat_forward(
    moves: Flow, nearness: Image, values: NDArray[np.float32], usable: Mask, gap_px: int
) -> tuple[NDArray[np.float32], Mask]:
    """Carries a map along a flow.

    The map is read at twice its density, so that what spreads by less than two leaves no holes.

    Args:
        moves: ``(H, W, 2)`` in pixels, from where a value is to where it lands.
        nearness: ``(H, W)`` positive; of several that land in one pixel the largest stays. An inverse depth.
        values: ``(H, W, C)``.
        usable: ``(H, W)`` bool; the rest isn't carried.
        gap_px: Gaps up to this width are closed.

    Returns:
        The carried map ``(H, W, C)``, extended smoothly over what nothing landed in, and where something landed, gaps
        closed, ``(H, W)`` bool.
    """
    from ..needed.opencv import cv2
    from .forward_splatting_kernel import splat  # numba is loaded when the first map is carried, not before

    out, nearest = np.zeros(values.shape, np.float32), np.zeros(nearness.shape, np.float32)
    moves, nearness, values = (np.ascontiguousarray(each, np.float32) for each in (moves, nearness, values))
    splat(moves, nearness, values, np.ascontiguousarray(usable), TEAR_PX, out, nearest)
    landed = nearest > 0
    side = max(gap_px, 1) + 1 - max(gap_px, 1) % 2
    closed = cv2.morphologyEx(landed.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((side, side), np.uint8)) > 0
    filled = fill_holes(torch.from_numpy(out), torch.from_numpy(landed)).numpy()
    return filled, closed
