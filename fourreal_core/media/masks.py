"""Masks of pixels to look at, drawn on a frame of a clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from .framing import place, same_shape
from .images import read_image


def read_mask(
    path: Path | str, size: tuple[int, int], fit: str = "crop", shown: tuple[int, int] | None = None
) -> Tensor:
    """Reads a mask of pixels to look at, ``(H, W)`` bool: true where the picture is not black.

    Args:
        path: A picture; black hides pixels.
        size: ``(height, width)`` of the frames. A mask of another size is resized, and a pixel of which any part is
            hidden is hidden.
        fit: How the clip came into the frames, see ``read_clip``; a mask that was drawn on the clip goes the same way.
        shown: ``(height, width)`` of the clip; the frames' when None.

    Raises:
        InputError: Not a picture, of another aspect ratio, or with nothing left to look at.
    """
    valid = (read_image(path) > 0).any(-1)
    h, w = valid.shape
    if not any(same_shape((h, w), shape) for shape in (size, shown or size)):
        of_clip = "" if shown is None or same_shape(shown, size) else f", or of the clip, {shown[1]} x {shown[0]}"
        raise InputError(
            f"the mask {path} of {w} x {h} pixels",
            f"the aspect ratio of the frames, {size[1]} x {size[0]}{of_clip}",
            "draw it on a frame of the clip",
        )
    if (h, w) != size:
        valid = _framed(valid, size, fit)
    if not bool(valid.any()):
        raise InputError(
            f"the mask {path} hides every pixel",
            "some pixels that are not black",
            "paint black only what should be ignored",
        )
    return valid


def _framed(valid: Tensor, size: tuple[int, int], fit: str) -> Tensor:
    from ..needed.opencv import cv2

    placed = place((valid.shape[0], valid.shape[1]), size, fit)
    top, left, height, width = placed.taken
    area = cv2.resize(
        valid[top : top + height, left : left + width].numpy().astype(np.float32),
        placed.put[:1:-1],
        interpolation=cv2.INTER_AREA if height > placed.put[2] else cv2.INTER_LINEAR,
    )
    framed = torch.ones(size, dtype=torch.bool)
    top, left, height, width = placed.put
    framed[top : top + height, left : left + width] = torch.from_numpy(area > 1 - 1e-3)
    return framed
