"""The host's clips (IMAGE batches, lists of images, and VIDEO) and masks as the core's frames."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..fourreal_core.errors import InputError
from ..fourreal_core.grid import check_frame
from ..fourreal_core.media import read_clip
from ..fourreal_core.media.frame_times import pick_evenly
from ..fourreal_core.media.framing import FIT_WORDS, Placement, check_fit, place, same_shape

log = logging.getLogger(__name__)

_OVERSHOOT = 0.5
"""Bicubic resizing leaves [0, 1] by less than this at the worst edge, in both directions at once."""
_A_TICK = 1e-6


def frames_of(clip: Any, name: str, at_most: int | None = None, longest_side: int = 0) -> Tensor:
    """Frames ``(F, H, W, 3)`` float32 in ``[0, 1]`` of pictures or a VIDEO; the clip is left as it is.

    Of a VIDEO that has a source of its own, a file or bytes, only the frames that are kept come into memory.

    Args:
        clip: IMAGE ``(F, H, W, C)`` with 1, 3 or 4 channels (transparency is laid over black), a list of such, or a
            VIDEO. Values a little outside ``[0, 1]``, which bicubic resizing makes, are clamped.
        name: What to call it in an error ("freeze-time").
        at_most: Frames to keep, evenly spread with the first and the last; all when None.
        longest_side: Pixels of the longer side to resize to; 0 keeps the size.

    Raises:
        InputError: No pictures, pictures of several sizes, NaN, or values far outside ``[0, 1]``.
    """
    if hasattr(clip, "get_components"):
        frames = _of_video(clip, name, at_most)
    else:
        frames = _of_pictures(clip if isinstance(clip, (list, tuple)) else [clip], name, at_most)
    return resized(frames, scaled_size((frames.shape[1], frames.shape[2]), longest_side))


def one_clip(clips: Any, name: str) -> Any:
    """The clip of an input that the host gives as a list: its only element, or single pictures that make up one clip.

    Raises:
        InputError: Several clips.
    """
    if not isinstance(clips, list):
        return clips
    if len(clips) == 1:
        return clips[0]
    if any(hasattr(c, "get_components") or (isinstance(c, Tensor) and c.ndim == 4 and len(c) > 1) for c in clips):
        raise InputError(
            f"a list of {len(clips)} {name} clips", "one clip, or a list of single pictures", "connect one at a time"
        )
    return clips


def matching_clips(freeze_time: Tensor, fixed_view: Tensor, fit: str = "crop") -> tuple[Tensor, Tensor, Tensor]:
    """Both clips at the freeze-time clip's size; the fixed-view clip is brought to it with a warning.

    Args:
        freeze_time: ``(V, H, W, 3)``.
        fixed_view: ``(T, H', W', 3)``.
        fit: What to do with a fixed-view clip of another shape: ``crop``, ``pad`` or ``stretch``.

    Returns:
        The clips, and the pixels ``(H, W)`` bool that show both of them.

    Raises:
        InputError: A clip of one frame, or another fit.
    """
    check_fit(fit)
    for name, clip, why in (
        ("freeze-time", freeze_time, "one view has no parallax"),
        ("fixed-view", fixed_view, "one moment has no motion"),
    ):
        if clip.shape[0] < 2:
            raise InputError(
                f"the {name} clip has 1 frame ({why})", "at least 2", "choose a longer clip in its 'Load Video'"
            )
    (h, w), (fh, fw) = freeze_time.shape[1:3], fixed_view.shape[1:3]
    placed = place((fh, fw), (h, w), fit)
    if (h, w) != (fh, fw):
        log.warning(
            "the fixed-view clip is %d x %d pixels and the freeze-time clip %d x %d; the fixed-view clip is %s",
            *(fw, fh, w, h),
            "resized" if same_shape((h, w), (fh, fw)) else FIT_WORDS[fit],
        )
    return freeze_time, framed(fixed_view, placed), torch.from_numpy(placed.inside())


def framed(images: Tensor, placed: Placement) -> Tensor:
    """Pictures ``(F, H, W, 3)`` where they lie in frames of another shape; what they leave is black."""
    top, left, height, width = placed.taken
    part = resized(images[:, top : top + height, left : left + width], placed.put[2:])
    if placed.put[2:] == placed.frame:
        return part
    frames = part.new_zeros(len(part), *placed.frame, part.shape[-1])
    top, left, height, width = placed.put
    frames[:, top : top + height, left : left + width] = part
    return frames


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
    """A ``(height, width)`` with another longer side; the same where that is 0.

    Both sides become even, as encoders of videos want them, the host's 'Save Video' among them.
    """
    if longest_side <= 0 or max(size) == longest_side:
        return size[0], size[1]
    factor = longest_side / max(size)
    height, width = (max(2, 2 * round(side * factor / 2)) for side in size)
    return height, width


def _of_video(video: Any, name: str, at_most: int | None) -> Tensor:
    source = _own_source(video)
    if source is not None:
        file = "" if isinstance(source, io.BytesIO) else f" ({Path(source).name})"
        return read_clip(source, at_most=at_most, span=_trim(video), name=f"the {name} clip{file}")
    components = video.get_components()
    alpha = getattr(components, "alpha", None)
    images = components.images
    if isinstance(alpha, Tensor) and isinstance(images, Tensor) and images.ndim == 4 and images.shape[-1] == 3:
        images = torch.cat([images, alpha.reshape(*images.shape[:3], 1).to(images)], -1)
    return _of_pictures([images], name, at_most)


def _own_source(video: Any) -> str | io.BytesIO | None:
    """The file or the bytes that a VIDEO was loaded from; None where it holds its frames, which a source would encode.

    The host's base class makes a source of any VIDEO by encoding it; only one that comes with the class that also
    decodes the frames, or a later one, is the VIDEO's own.
    """
    order = type(video).__mro__
    decodes = next((i for i, c in enumerate(order) if "get_components" in vars(c)), len(order))
    gives = next((i for i, c in enumerate(order) if "get_stream_source" in vars(c)), len(order))
    if gives > decodes or gives == len(order):
        return None
    if hasattr(video, "as_trimmed") and not hasattr(video, "get_active_trim_window"):
        return None  # a host between the versions that trim and those that tell by how much
    source = video.get_stream_source()
    if isinstance(source, io.BytesIO) or (isinstance(source, str) and Path(source).is_file()):
        return source
    return None


def _trim(video: Any) -> tuple[float, float] | None:
    """From when to when a VIDEO plays, in seconds of its file; None for all of it."""
    start, duration = video.get_active_trim_window() if hasattr(video, "get_active_trim_window") else (0.0, 0.0)
    if not start and not duration:
        return None
    return start - _A_TICK, start + duration - _A_TICK if duration else float("inf")


def _of_pictures(batches: Sequence[Any], name: str, at_most: int | None) -> Tensor:
    pictures: list[Tensor] = []
    for batch in batches:
        if isinstance(batch, Tensor) and batch.ndim == 3 and len(batches) > 1:
            batch = batch[None]
        if not isinstance(batch, Tensor) or batch.ndim != 4 or batch.shape[-1] not in (1, 3, 4):
            got = f"shape {tuple(batch.shape)}" if isinstance(batch, Tensor) else f"type {type(batch).__name__}"
            raise InputError(
                f"the {name} clip has {got}",
                "a batch of pictures (frames, height, width, channels)",
                "connect an IMAGE batch or a VIDEO",
            )
        pictures += batch.unbind(0)
    if not pictures:
        raise InputError(f"the {name} clip has no pictures", "at least one", "connect an IMAGE batch or a VIDEO")
    kept = [pictures[i] for i in pick_evenly(len(pictures), at_most)]
    sizes = {(p.shape[1], p.shape[0]) for p in kept}
    if len(sizes) > 1:
        some = " and ".join(f"{w} x {h}" for w, h in sorted(sizes)[:2])
        raise InputError(f"the {name} clip has pictures of {some} pixels", "one size", "scale them to one size")
    return torch.stack([_rgb(p, name) for p in kept])


def _rgb(picture: Tensor, name: str) -> Tensor:
    """One picture ``(H, W, C)`` as RGB in ``[0, 1]``, transparency laid over black."""
    picture = picture.to("cpu", torch.float32)
    low, high = float(picture.amin()), float(picture.amax())
    if not (low >= -_OVERSHOOT and high <= 1 + _OVERSHOOT):
        check_frame(picture, f"the {name} clip")
    picture = picture.clamp(0, 1)
    if picture.shape[-1] == 4:
        picture = picture[..., :3] * picture[..., 3:]
    return picture.expand(*picture.shape[:2], 3)
