"""A frame grid as one picture or one video: contact sheets and walls of small videos."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from .images import resize, to_float, to_uint8

GIVEN_COLOR = (0.98, 0.72, 0.15)
"""Frame colour of the cells that were given, in contact sheets."""
_BACKGROUND, _INK = 0.09, 0.85
_GAP = 4


def contact_sheet(frames: Tensor, known: Tensor, cell_width: int = 192) -> Tensor:
    """The whole grid as one picture: views downward, times to the right, given cells framed in orange.

    Args:
        frames: ``(V, T, H, W, 3)`` in ``[0, 1]``.
        known: ``(V, T)`` bool.
        cell_width: Width of a cell in pixels; smaller frames are not enlarged.

    Returns:
        ``(H', W', 3)`` in ``[0, 1]``.
    """
    v, t = frames.shape[:2]
    small = _shrink(frames, cell_width)
    h, w = small.shape[2:4]
    left, top = 34, 22
    sheet = torch.full((top + v * (h + _GAP) + _GAP, left + t * (w + _GAP) + _GAP, 3), _BACKGROUND)
    for i in range(v):
        for j in range(t):
            y, x = top + _GAP + i * (h + _GAP), left + _GAP + j * (w + _GAP)
            if bool(known[i, j]):
                sheet[y - 2 : y + h + 2, x - 2 : x + w + 2] = torch.tensor(GIVEN_COLOR)
            sheet[y : y + h, x : x + w] = small[i, j]
    labels = [(f"v{i}", 4, top + _GAP + i * (h + _GAP) + h // 2 + 5) for i in range(v)]
    labels += [(f"t{j}", left + _GAP + j * (w + _GAP) + w // 2 - 8, 16) for j in range(t)]
    return _write_labels(sheet, labels)


def grid_wall(frames: Tensor, width: int = 1280) -> Tensor:
    """The grid as a wall of small videos, one a view, all at the same moment.

    Args:
        frames: ``(V, T, H, W, 3)`` in ``[0, 1]``.
        width: Widest the wall may become in pixels; views are not enlarged.

    Returns:
        ``(T, H', W', 3)`` in ``[0, 1]``.
    """
    v, t, h, w = frames.shape[:4]
    columns = _columns(v, w / h)
    rows = math.ceil(v / columns)
    small = _shrink(frames, (width - _GAP) // columns - _GAP)
    h, w = small.shape[2:4]
    wall = torch.full((t, rows * (h + _GAP) + _GAP, columns * (w + _GAP) + _GAP, 3), _BACKGROUND)
    for i in range(v):
        y, x = _GAP + i // columns * (h + _GAP), _GAP + i % columns * (w + _GAP)
        wall[:, y : y + h, x : x + w] = small[i]
    return wall


def _columns(views: int, aspect: float) -> int:
    """Columns of a wall that leave few places empty and make it about as wide as a screen."""

    def cost(columns: int) -> float:
        rows = math.ceil(views / columns)
        shape = abs(math.log(columns / rows * aspect * 9 / 16))
        return (columns * rows - views) / views + 0.15 * shape

    return min(range(views, 0, -1), key=cost)  # of two equal ones the wider


def _shrink(frames: Tensor, width: int) -> Tensor:
    v, t, h, w = frames.shape[:4]
    if w <= width:
        return frames
    size = (max(1, round(h * width / w)), width)
    pictures = [resize(to_uint8(frame), size) for frame in frames.reshape(v * t, h, w, 3)]
    return to_float(np.stack(pictures)).reshape(v, t, *size, 3)


def _write_labels(sheet: Tensor, labels: list[tuple[str, int, int]]) -> Tensor:
    from ..needed.opencv import cv2

    picture = np.ascontiguousarray(to_uint8(sheet))
    ink = (int(_INK * 255),) * 3
    for text, x, y in labels:
        cv2.putText(picture, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.45, ink, 1, cv2.LINE_AA)
    return to_float(picture)
