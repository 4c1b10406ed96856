"""Picture files in, still and animated, through Pillow: RGB whatever they were stored as, transparency over black."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ..errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

Pick = Callable[[list[float]], list[int]]
"""From the times of all frames, in seconds, the indices of those to keep."""

_SHORTEST_MS = 10.0
_INSTEAD_MS = 100.0
"""Browsers show a frame that asks for 10 ms or less this long."""


def first_picture(name: str, file: BinaryIO) -> np.ndarray:
    """The picture of a file, the first of an animated one, as ``(H, W, 3)`` uint8 RGB.

    Raises:
        InputError: Not a picture, or cut off.
    """
    with _opened(name, file) as image:
        return _to_rgb(image, name)


def read_animation(name: str, file: BinaryIO, pick: Pick) -> tuple[list[np.ndarray], list[float], str | None]:
    """Frames of an animated picture; a still one has one.

    Args:
        name: What to call the file in an error.
        file: Its bytes.
        pick: Chooses which frames to keep; only these are in memory.

    Returns:
        The frames kept, ``(H, W, 3)`` uint8 RGB, as a player composes them; the times in seconds at which each frame of
        the file is shown; and what is missing, where the file ends early.

    Raises:
        InputError: Not a picture, or damaged before its first frame ends.
    """
    with _opened(name, file) as image:
        skipped = 1 if getattr(image, "default_image", False) and getattr(image, "n_frames", 1) > 1 else 0
        times, promised = _times(image, skipped)
        missing = None
        if promised is not None and promised > len(times):
            missing = f"ends early: {len(times)} of {promised} frames could be read"
        elif image.format == "GIF" and not _gif_is_complete(file):
            missing = f"ends early: {len(times)} frames could be read"
        kept = []
        for index in pick(times):
            image.seek(index + skipped)
            kept.append(_to_rgb(image, name))
    return kept, times, missing


def over_black(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Colours ``(H, W, 3)`` uint8 with straight alpha ``(H, W, 1)`` uint8, laid over black."""
    if alpha.min() == 255:
        return np.ascontiguousarray(rgb)
    laid: np.ndarray = (rgb.astype(np.uint16) * alpha + 127) // 255
    return laid.astype(np.uint8)


@contextlib.contextmanager
def _opened(name: str, file: BinaryIO) -> Iterator[Image]:
    from ..needed.pictures import Image

    try:
        with Image.open(file) as image:
            yield image
    except InputError:
        raise
    except Exception as err:  # each codec has its own exceptions for the same thing: these bytes are no picture
        raise InputError(
            f"{name} can't be read as a picture ({type(err).__name__}: {err})",
            "a PNG, JPEG, WebP, GIF, BMP or TIFF file",
            "convert it or choose another file",
        ) from err


def _times(image: Image, skipped: int) -> tuple[list[float], int | None]:
    """When each frame is shown, in seconds, of those that can be decoded, and how many there should be."""
    times: list[float] = []
    now, promised = 0.0, None
    with contextlib.suppress(Exception):  # each codec has its own exceptions for a file that ends early
        promised = int(getattr(image, "n_frames", 1)) - skipped
    while promised is None or len(times) < promised:
        try:
            image.seek(len(times) + skipped)
            image.load()
        except Exception:
            if not times:
                raise
            break
        times.append(now / 1000)
        shown = float(image.info.get("duration") or 0)
        now += shown if shown > _SHORTEST_MS else _INSTEAD_MS
    return times, promised


def _to_rgb(image: Image, name: str) -> np.ndarray:
    from ..needed.pictures import ImageOps

    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I") or upright.mode == "F":
        return _deep_to_rgb(np.asarray(upright), name)
    rgba = np.asarray(upright.convert("RGBA"))
    return over_black(rgba[..., :3], rgba[..., 3:])


def _deep_to_rgb(picture: np.ndarray, name: str) -> np.ndarray:
    if picture.dtype.kind == "f":
        if not np.isfinite(picture).all() or picture.min() < 0 or picture.max() > 1:
            raise InputError(
                f"{name} has values from {picture.min():.3g} to {picture.max():.3g}",
                "finite values in [0, 1]",
                "save it as an 8-bit PNG",
            )
        grey = (picture * 255).round().astype(np.uint8)
    else:
        grey = (picture.astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, -1)


def _gif_is_complete(file: BinaryIO) -> bool:
    """Whether the blocks of a GIF go on to its trailer; Pillow takes a file that ends between two frames for whole."""
    place = file.tell()
    file.seek(0)
    try:
        data = file.read()
    finally:
        file.seek(place)

    def table(flags: int) -> int:
        return 3 << ((flags & 7) + 1) if flags & 0x80 else 0

    at = 13 + table(data[10])
    while at < len(data):
        kind = data[at]
        if kind == 0x3B:
            return True
        if kind == 0x2C and at + 9 < len(data):
            at += 11 + table(data[at + 9])
        else:
            at += 2  # an extension, or bytes that mean nothing
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
    return False
