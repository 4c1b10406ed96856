"""Clips in: a video file, an animated picture or a folder of pictures, as one tensor of frames."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from .frame_times import pick_evenly, pick_in_time, rate_varies
from .framing import FIT_WORDS, Placement, check_fit, place, same_shape, shown_size, tell_fit
from .images import IMAGE_SUFFIXES, check_readable, natural_key, to_float
from .picture_files import first_picture, read_animation
from .sources import ClipSource
from .video_reader import VideoFrames, counted, packet_times, read_video

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClipPair:
    """The two clips of the main job at one size.

    Attributes:
        freeze_time: ``(V, H, W, 3)`` float32 RGB in ``[0, 1]``.
        fixed_view: ``(T, H, W, 3)`` float32 RGB in ``[0, 1]``.
        inside: ``(H, W)`` bool, pixels that show a picture in both; false on the bars of the fit ``pad``.
        shown: ``(height, width)`` at which a player shows the freeze-time clip; the shape of masks drawn on it.
    """

    freeze_time: Tensor
    fixed_view: Tensor
    inside: Tensor
    shown: tuple[int, int]


def read_clip(
    path: Path | str | io.BytesIO,
    size: tuple[int, int] | None = None,
    frames: int | None = None,
    at_most: int | None = None,
    fit: str = "crop",
    strict: bool = False,
    span: tuple[float, float] | None = None,
    name: str | None = None,
) -> Tensor:
    """Reads a clip as ``(F, H, W, 3)`` float32 RGB in ``[0, 1]``, as a player shows it.

    Colours become BT.709, transparency is laid over black, pixels that aren't square are enlarged to square ones, turns
    and mirrors of the container are applied, interlaced frames are deinterlaced. Where the frame rate varies, frames
    are spread evenly in time.

    Args:
        path: A video file, an animated WebP, GIF or APNG, a folder of images in natural order, or the bytes of a file.
        size: ``(height, width)`` of the frames; the clip's own when None.
        frames: How many frames to keep, evenly spread, the first and the last among them; all when None.
        at_most: Where ``frames`` is None: keep so many if the clip has more.
        fit: What to do with a clip of another shape than ``size``: ``crop`` keeps its centre, ``pad`` all of it between
            black bars, ``stretch`` distorts it. The first two are told by a warning.
        strict: Refuse a file that is damaged or ends early, of which otherwise what can be read is, with a warning.
        span: Only frames shown from the first of these times to before the second, in seconds of the file.
        name: What to call the clip in a sentence; its path when None.

    Raises:
        InputError: Missing, empty or unreadable; images of different sizes; fewer frames than asked for.
    """
    return _read(path, _Wanted(size, frames, at_most, fit, strict, span, name)).frames


def read_pair(
    freeze_time: Path | str,
    fixed_view: Path | str,
    size: tuple[int, int] | None = None,
    views: int | None = None,
    times: int | None = None,
    at_most: int | None = None,
    fit: str = "crop",
    strict: bool = False,
) -> ClipPair:
    """Reads the two clips of the main job at one size.

    The fixed-view clip is brought to the freeze-time clip's size with a warning when they differ.

    Args:
        freeze_time: Clip in which the camera moves around a stopped scene.
        fixed_view: Clip in which the camera stands and time runs.
        size: ``(height, width)`` for both; the freeze-time clip's own when None.
        views: Frames to keep of the freeze-time clip.
        times: Frames to keep of the fixed-view clip.
        at_most: Frames to keep at most of a clip for which no number is said.
        fit: What to do with a clip of another shape than the frames: see ``read_clip``.
        strict: Refuse damaged files.

    Raises:
        InputError: What ``read_clip`` refuses, or a clip of one frame.
    """
    for option, count in (("views", views), ("times", times)):
        if count is not None and count < 2:
            raise InputError(f"{count} {option}", "at least 2", "ask for more")
    freeze = _read(freeze_time, _Wanted(size, views, at_most, fit, strict))
    fixed = _read(fixed_view, _Wanted(size, times, at_most, fit, strict))
    for name, clip, why in (
        ("freeze-time", freeze, "one view has no parallax"),
        ("fixed-view", fixed, "one moment has no motion"),
    ):
        if len(clip.frames) < 2:
            raise InputError(f"the {name} clip has 1 frame ({why})", "at least 2", "choose a longer clip")
    (h, w), (fh, fw) = freeze.frames.shape[1:3], fixed.frames.shape[1:3]
    if (h, w) != (fh, fw):
        log.warning(
            "the fixed-view clip is %d x %d pixels and the freeze-time clip %d x %d; the fixed-view clip is %s",
            *(fw, fh, w, h),
            "resized" if same_shape((h, w), (fh, fw)) else FIT_WORDS[fit],
        )
        fixed = _read(fixed_view, _Wanted((h, w), times, at_most, fit, told=True))
    return ClipPair(freeze.frames, fixed.frames, freeze.inside & fixed.inside, freeze.shown)


def read_clip_pair(
    freeze_time: Path | str,
    fixed_view: Path | str,
    size: tuple[int, int] | None = None,
    views: int | None = None,
    times: int | None = None,
    at_most: int | None = None,
    fit: str = "crop",
    strict: bool = False,
) -> tuple[Tensor, Tensor]:
    """The two clips of ``read_pair``, ``(V, H, W, 3)`` and ``(T, H, W, 3)``, float32 RGB in ``[0, 1]``."""
    pair = read_pair(freeze_time, fixed_view, size, views, times, at_most, fit, strict)
    return pair.freeze_time, pair.fixed_view


def shown_times(path: Path | str) -> list[float]:
    """When each frame of a file is shown, in seconds, without decoding a video.

    Raises:
        InputError: Not a clip.
    """
    source = ClipSource.of(path)
    if source.is_picture():
        with source.open() as file:
            return read_animation(source.name, file, lambda times: [])[1]
    return packet_times(source)


@dataclass(frozen=True)
class _Wanted:
    """Arguments of ``read_clip``; ``told`` where the user has read all warnings of this clip before."""

    size: tuple[int, int] | None = None
    frames: int | None = None
    at_most: int | None = None
    fit: str = "crop"
    strict: bool = False
    span: tuple[float, float] | None = None
    name: str | None = None
    told: bool = False

    @property
    def count(self) -> int | None:
        return self.at_most if self.frames is None else self.frames

    def pick(self, times: list[float]) -> list[int]:
        """Indices of the frames to keep."""
        start, end = self.span or (float("-inf"), float("inf"))
        inside = [i for i, time in enumerate(times) if start <= time < end]
        return [inside[k] for k in pick_in_time([times[i] for i in inside], self.count)]


class _Shaper:
    """Brings pictures to the size of the frames and remembers how the first one lay."""

    def __init__(self, wanted: _Wanted) -> None:
        self.wanted = wanted
        self.first: Placement | None = None
        self.shown = (0, 0)

    def __call__(self, picture: np.ndarray, pixel_aspect: float = 1.0) -> np.ndarray:
        placed = place(picture.shape[:2], self.wanted.size, self.wanted.fit, pixel_aspect)
        if self.first is None:
            self.first, self.shown = placed, shown_size(picture.shape[:2], pixel_aspect)
        return placed.apply(picture)


@dataclass(frozen=True)
class _Clip:
    """Frames, the pixels in which they show the clip, and at which ``(height, width)`` a player shows it."""

    frames: Tensor
    inside: Tensor
    shown: tuple[int, int]


def _read(clip: Path | str | io.BytesIO, wanted: _Wanted) -> _Clip:
    check_fit(wanted.fit)
    if wanted.count is not None and wanted.count < 1:
        raise InputError(f"{counted(wanted.count)} of a clip asked for", "one at least", "ask for more")
    shaper = _Shaper(wanted)
    if not isinstance(clip, io.BytesIO) and Path(clip).is_dir():
        name, read = wanted.name or str(clip), _read_folder(Path(clip), wanted.count, shaper)
    else:
        source = ClipSource.of(clip, wanted.name)
        name, read = source.name, _read_file(source, wanted, shaper)
    pictures = read.pictures
    if not pictures:
        raise InputError(f"{name} {read.damage or 'has no frames'}", "a clip with pictures", "choose another clip")
    if wanted.frames is not None and len(pictures) < wanted.frames:
        raise InputError(
            f"{name} {read.damage or 'has ' + counted(len(pictures))}",
            f"the {wanted.frames} that were asked for",
            "ask for fewer or choose a longer clip",
        )
    if any(p.shape != pictures[0].shape for p in pictures):
        broken = f" {read.damage} and" if read.damage else ""
        raise InputError(f"{name}{broken} has frames of different sizes", "one size", "resize them or say a size")
    assert shaper.first is not None
    if not wanted.told:
        _tell(name, read, wanted)
        tell_fit(name, shaper.first, shaper.shown, wanted.fit)
    return _Clip(to_float(np.stack(pictures)), torch.from_numpy(shaper.first.inside()), shaper.shown)


def _read_file(source: ClipSource, wanted: _Wanted, shaper: _Shaper) -> VideoFrames:
    if source.is_picture():
        with source.open() as file:
            found, times, damage = read_animation(source.name, file, wanted.pick)
        read = VideoFrames([shaper(picture) for picture in found], times, damage)
    else:
        read = read_video(source, wanted.pick, shaper)
    if read.damage and wanted.strict:
        raise InputError(
            f"{source.name} {read.damage}", "a whole file", "write or download it again, or leave 'strict' out"
        )
    return read


def _tell(name: str, read: VideoFrames, wanted: _Wanted) -> None:
    """Warns of what the reader had to do that can cost the result."""
    if read.damage:
        log.warning("%s %s; what could be read is taken", name, read.damage)
    if read.deinterlaced:
        log.warning("%s is interlaced; it was deinterlaced (%s), which costs sharpness", name, read.deinterlaced)
    if read.color is not None:
        log.info("%s has colours of %s; they were converted to BT.709", name, read.color)
    taken = [read.times[i] for i in wanted.pick(read.times)]
    if rate_varies(taken) and not read.damage:
        log.warning(
            "the frame rate of %s varies, and where it is low frames are too few: those taken are up to %.2g s beside "
            "evenly spaced moments",
            name,
            np.abs(np.asarray(taken) - np.linspace(taken[0], taken[-1], len(taken))).max(),
        )


def _read_folder(path: Path, frames: int | None, shape: Callable[[np.ndarray], np.ndarray]) -> VideoFrames:
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
    pictures = []
    for file in [files[i] for i in pick_evenly(len(files), frames)]:
        check_readable(file)
        with file.open("rb") as data:
            pictures.append(shape(first_picture(str(file), data)))
    return VideoFrames(pictures)
