"""The host's clips (IMAGE batches and VIDEO) and masks as the core's frames."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..fourreal_core.errors import InputError
from ..fourreal_core.grid import check_frame
from ..fourreal_core.media.frame_times import pick_evenly
from ..fourreal_core.media.framing import ASPECT_TOLERANCE

log = logging.getLogger(__name__)


def frames_of(clip: Any, name: str, at_most: int | None = None, longest_side: int = 0) -> Tensor:
    """Frames ``(F, H, W, 3)`` float32 in ``[0, 1]`` of an IMAGE batch or a VIDEO; the clip is left as it is.

    Args:
        clip: IMAGE ``(F, H, W, C)`` with 1, 3 or 4 channels (transparency is dropped), or a VIDEO.
        name: What to call it in an error ("freeze-time").
        at_most: Frames to keep, evenly spread with the first and the last; all when None.
        longest_side: Pixels of the longer side to resize to; 0 keeps the size.

    Raises:
        InputError: Not a batch of pictures, NaN, or values outside ``[0, 1]``.
    """
    images = clip.get_components().images if hasattr(clip, "get_components") else clip
    if not isinstance(images, Tensor) or images.ndim != 4 or images.shape[0] < 1 or images.shape[-1] not in (1, 3, 4):
        got = f"shape {tuple(images.shape)}" if isinstance(images, Tensor) else f"type {type(images).__name__}"
        raise InputError(
            f"the {name} clip has {got}",
            "a batch of pictures (frames, height, width, channels)",
            "connect an IMAGE batch or a VIDEO",
        )
    images = images[pick_evenly(images.shape[0], at_most)][..., :3].to("cpu", torch.float32)
    check_frame(images, f"the {name} clip")
    images = images.expand(*images.shape[:3], 3).clamp(0, 1)
    return resized(images, scaled_size(images.shape[1:3], longest_side))


def matching_clips(freeze_time: Tensor, fixed_view: Tensor) -> tuple[Tensor, Tensor]:
    """Both clips at the freeze-time clip's size; the fixed-view clip is resized with a warning.

    Raises:
        InputError: A clip of one frame, or aspect ratios too far apart to show one picture.
    """
    for name, clip, why in (
        ("freeze-time", freeze_time, "one view has no parallax"),
        ("fixed-view", fixed_view, "one moment has no motion"),
    ):
        if clip.shape[0] < 2:
            raise InputError(
                f"the {name} clip has 1 frame ({why})", "at least 2", "choose a longer clip in its 'Load Video'"
            )
    (h, w), (fh, fw) = freeze_time.shape[1:3], fixed_view.shape[1:3]
    if (h, w) == (fh, fw):
        return freeze_time, fixed_view
    if abs((fw / fh) / (w / h) - 1) > ASPECT_TOLERANCE:
        raise InputError(
            f"a freeze-time clip of {w} x {h} and a fixed-view clip of {fw} x {fh} pixels",
            f"aspect ratios within {ASPECT_TOLERANCE:.0%} of each other",
            "crop one of them before 'Frame Grid from Videos'",
        )
    log.warning(
        "the fixed-view clip is %d x %d pixels and the freeze-time clip %d x %d; the fixed-view clip is resized",
        fw,
        fh,
        w,
        h,
    )
    return freeze_time, resized(fixed_view, (h, w))


def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Pictures ``(F, H, W, 3)`` at another ``(height, width)``, antialiased when made smaller."""
    if tuple(images.shape[1:3]) == tuple(size):
        return images
    scaled = F.interpolate(images.movedim(-1, 1), size=size, mode="bicubic", antialias=True, align_corners=False)
    return scaled.movedim(1, -1).clamp(0, 1).contiguous()


def valid_pixels(ignore: Tensor | None, size: tuple[int, int]) -> Tensor | None:
    """Pixels to look at ``(H, W)`` bool, from a MASK ``(H, W)`` or ``(B, H, W)`` that is 1 where to ignore.

    A pixel is ignored when any picture of the mask, or any part of it before resizing, says so.

    Raises:
        InputError: A mask that leaves nothing to look at.
    """
    if ignore is None:
        return None
    hidden = ignore.reshape(-1, 1, *ignore.shape[-2:]).to("cpu", torch.float32).amax(0, keepdim=True)
    if tuple(hidden.shape[-2:]) != tuple(size):
        hidden = F.interpolate(hidden, size=size, mode="bilinear", antialias=True, align_corners=False)
    valid = hidden[0, 0] < 0.5 if tuple(ignore.shape[-2:]) == tuple(size) else hidden[0, 0] < 1e-3
    if not bool(valid.any()):
        raise InputError(
            "a mask that ignores every pixel",
            "some pixels that are 0",
            "mark only what should be ignored, or invert the mask",
        )
    return valid


def scaled_size(size: tuple[int, int], longest_side: int) -> tuple[int, int]:
    """A ``(height, width)`` with another longer side; the same where that is 0."""
    if longest_side <= 0 or max(size) == longest_side:
        return size[0], size[1]
    factor = longest_side / max(size)
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))
