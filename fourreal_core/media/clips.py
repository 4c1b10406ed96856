"""Clips in: a video file, an animated picture or a folder of pictures, as one tensor of frames."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from torch import Tensor

from ..errors import InputError
from .images import IMAGE_SUFFIXES, check_readable, natural_key, read_pictures, resize, to_float
from .video import decode_video, pick_evenly

log = logging.getLogger(__name__)

ASPECT_TOLERANCE = 0.02
"""Two clips whose aspect ratios differ by more than this don't show the same picture."""


def read_clip(
    path: Path | str, size: tuple[int, int] | None = None, frames: int | None = None, at_most: int | None = None
) -> Tensor:
    """Reads a clip as ``(F, H, W, 3)`` float32 RGB in ``[0, 1]``.

    Args:
        path: A video file, an animated WebP or GIF, or a folder of images in natural order.
        size: ``(height, width)`` to resize every frame to.
        frames: How many frames to keep, evenly spread, the first and the last among them; all when None.
        at_most: Where ``frames`` is None: keep so many if the clip has more.

    Raises:
        InputError: Missing, empty or unreadable; images of different sizes; fewer frames than asked for.
    """
    path = Path(path)
    count = at_most if frames is None else frames
    if path.is_dir():
        pictures = _read_folder(path, size, count)
    else:
        check_readable(path)
        if path.suffix.lower() in IMAGE_SUFFIXES | {".gif", ".apng"}:
            found = read_pictures(path)
            pictures = [resize(found[i], size) for i in pick_evenly(len(found), count)]
        else:
            pictures = decode_video(path, size, count)
    if not pictures:
        raise InputError(f"{path} has no frames", "a clip with pictures", "choose another clip")
    if frames is not None and len(pictures) < frames:
        raise InputError(
            f"{path} has {_frames(len(pictures))}",
            f"the {frames} that were asked for",
            "ask for fewer or choose a longer clip",
        )
    if any(p.shape != pictures[0].shape for p in pictures):
        raise InputError(f"{path} has frames of different sizes", "one size", "resize them or say a size")
    return to_float(np.stack(pictures))


def read_clip_pair(
    freeze_time: Path | str,
    fixed_view: Path | str,
    size: tuple[int, int] | None = None,
    views: int | None = None,
    times: int | None = None,
    at_most: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Reads the two clips of the main job at one size.

    The fixed-view clip is resized to the freeze-time clip's size with a warning when they differ.

    Args:
        freeze_time: Clip in which the camera moves around a stopped scene.
        fixed_view: Clip in which the camera stands and time runs.
        size: ``(height, width)`` for both; the freeze-time clip's own when None.
        views: Frames to keep of the freeze-time clip.
        times: Frames to keep of the fixed-view clip.
        at_most: Frames to keep at most of a clip for which no number is said.

    Returns:
        ``(V, H, W, 3)`` and ``(T, H, W, 3)``, float32 RGB in ``[0, 1]``.

    Raises:
        InputError: What ``read_clip`` refuses, a clip of one frame, or aspect ratios more than 2 % apart.
    """
    for option, count in (("views", views), ("times", times)):
        if count is not None and count < 2:
            raise InputError(f"{count} {option}", "at least 2", "ask for more")
    freeze = read_clip(freeze_time, size, views, at_most)
    fixed = read_clip(fixed_view, size, times, at_most)
    for name, clip, why in (
        ("freeze-time", freeze, "one view has no parallax"),
        ("fixed-view", fixed, "one moment has no motion"),
    ):
        if clip.shape[0] < 2:
            raise InputError(f"the {name} clip has 1 frame ({why})", "at least 2", "choose a longer clip")
    if freeze.shape[1:3] != fixed.shape[1:3]:
        h, w = freeze.shape[1:3]
        fh, fw = fixed.shape[1:3]
        if abs((fw / fh) / (w / h) - 1) > ASPECT_TOLERANCE:
            raise InputError(
                f"a freeze-time clip of {w} x {h} and a fixed-view clip of {fw} x {fh} pixels",
                "aspect ratios within 2 % of each other",
                "crop one of them, or say a size for both",
            )
        log.warning(
            "the fixed-view clip is %d x %d pixels and the freeze-time clip %d x %d; the fixed-view clip is resized",
            fw,
            fh,
            w,
            h,
        )
        fixed = read_clip(fixed_view, (h, w), times, at_most)
    return freeze, fixed


def _read_folder(path: Path, size: tuple[int, int] | None, frames: int | None) -> list[np.ndarray]:
    files = sorted(
        (p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")),
        key=natural_key,
    )
    if not files:
        raise InputError(
            f"the folder {path} has no images",
            "PNG, JPEG, WebP, BMP or TIFF files",
            "choose the folder that holds the frames",
        )
    chosen = [files[i] for i in pick_evenly(len(files), frames)]
    for file in chosen:
        check_readable(file)
    return [resize(read_pictures(file)[0], size) for file in chosen]


def _frames(count: int) -> str:
    return "1 frame" if count == 1 else f"{count} frames"
