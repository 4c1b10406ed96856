"""The videos of a job, which is not stopped by a missing encoder: an animated WebP takes their place."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from ..needed import MissingPackage
from .animation import write_webp
from .video import write_video

log = logging.getLogger(__name__)


def write_film(
    frames: Tensor, path: Path, fps: float = 8.0, crf: int | None = None, order: Sequence[int] | None = None
) -> Path:
    """Writes a video, or an animated WebP of the same name where videos can't be written here, which is said once.

    Args:
        frames: ``(F, H, W, 3)`` in ``[0, 1]``.
        path: The video file.
        fps: Frames a second.
        crf: The video's quality, see write_video.
        order: Which frames to show in turn; every one once when None.

    Returns:
        The file that was written.

    Raises:
        InputError: No frames, or the folder can't be written or is full.
    """
    try:
        return write_video(frames, path, fps, crf, order)
    except MissingPackage as error:
        _warn(str(error))
        return write_webp(frames if order is None else frames[list(order)], path.with_suffix(".webp"), fps)


@functools.cache
def _warn(why: str) -> None:
    log.warning("videos are written as animated WebP pictures: %s", why.rstrip("."))
