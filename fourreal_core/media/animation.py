"""Animated WebP, which pages and chats play without a player, and which may be transparent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

from ..errors import InputError
from .files import write_bytes
from .images import to_uint8

_QUALITY = 90


def write_webp(frames: Tensor, path: Path | str, fps: float = 8.0) -> Path:
    """Writes ``(F, H, W, 3)`` or ``(F, H, W, 4)`` in ``[0, 1]`` as a WebP that plays for ever, whole or not at all.

    Colours lose a little (quality 90), alpha loses nothing. A frame lasts whole milliseconds; the rounding does not
    add up.

    Args:
        frames: The frames, alpha straight.
        path: File to write.
        fps: Frames a second.

    Raises:
        InputError: No frames, or the folder can't be written or is full.
    """
    if frames.ndim != 4 or frames.shape[0] < 1 or frames.shape[-1] not in (3, 4):
        raise InputError(
            f"an animation of shape {tuple(frames.shape)}", "(frames, height, width, 3 or 4)", "give at least one frame"
        )
    from ..needed.pictures import iio

    ends = np.round(np.arange(len(frames) + 1) * 1000 / fps).astype(int)
    data = iio.imwrite(
        "<bytes>",
        to_uint8(frames),
        extension=".webp",
        plugin="pillow",
        duration=np.diff(ends).tolist(),
        loop=0,
        quality=_QUALITY,
        method=4,
    )
    return write_bytes(path, data)
