"""Pictures of one shape in frames of another: cropped, padded or stretched; and pixels that aren't square."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .images import resize

log = logging.getLogger(__name__)

ASPECT_TOLERANCE = 0.02
"""Aspect ratios that differ by less than this are one shape: nobody sees the stretch, and nothing is cut off."""
FITS = ("crop", "pad", "stretch")
"""Keep the centre; keep all of it, with black bars; distort."""
FIT_WORDS = {
    "crop": "cropped to its centre and resized (fit 'pad' keeps all of it between black bars, 'stretch' distorts it)",
    "pad": "resized between black bars",
    "stretch": "stretched",
}
"""What happens to a clip of another shape."""
_SQUARE = 0.005
_ODDEST_PIXEL = 4.0

Box = tuple[int, int, int, int]
"""Top, left, height, width."""


@dataclass(frozen=True)
class Placement:
    """Where a picture lies in a frame.

    Attributes:
        taken: The part of the picture that is kept, in its own pixels.
        put: Where that part lies in the frame; what is outside is black.
        frame: ``(height, width)`` of the frame.
    """

    taken: Box
    put: Box
    frame: tuple[int, int]

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """The frame ``(H, W, 3)`` uint8 of a picture."""
        top, left, height, width = self.taken
        part = resize(np.ascontiguousarray(picture[top : top + height, left : left + width]), self.put[2:])
        if self.put[2:] == self.frame:
            return part
        framed = np.zeros((*self.frame, 3), picture.dtype)
        top, left, height, width = self.put
        framed[top : top + height, left : left + width] = part
        return framed

    def inside(self) -> np.ndarray:
        """Pixels of the frame that show the picture, ``(height, width)`` bool; the others are bars."""
        shown = np.zeros(self.frame, bool)
        top, left, height, width = self.put
        shown[top : top + height, left : left + width] = True
        return shown


def shown_size(size: tuple[int, int], pixel_aspect: float = 1.0) -> tuple[int, int]:
    """``(height, width)`` at which a player shows stored pixels; their shorter side is enlarged, so nothing is lost.

    Args:
        size: Stored ``(height, width)``.
        pixel_aspect: Width of a stored pixel over its height, the sample aspect ratio.
    """
    height, width = size
    if pixel_aspect >= 1:
        return height, max(1, round(width * pixel_aspect))
    return max(1, round(height / pixel_aspect)), width


def usable_pixel_aspect(ratio: float | None, name: str) -> float:
    """A sample aspect ratio that a display can have; 1 where none is told or it is as good as square."""
    if not ratio or abs(ratio - 1) <= _SQUARE:
        return 1.0
    if not 1 / _ODDEST_PIXEL <= ratio <= _ODDEST_PIXEL:
        log.warning("%s says that its pixels are %.3g times as wide as high; this is taken for a mistake", name, ratio)
        return 1.0
    return ratio


def same_shape(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two ``(height, width)`` have one aspect ratio, within ``ASPECT_TOLERANCE``."""
    return abs((size[1] / size[0]) / (other[1] / other[0]) - 1) <= ASPECT_TOLERANCE


def check_fit(fit: str) -> None:
    """Raises InputError for a fit that there isn't."""
    if fit not in FITS:
        raise InputError(f"the fit {fit!r}", f"one of {', '.join(FITS)}", "choose one of them")


def place(
    size: tuple[int, int], frame: tuple[int, int] | None = None, fit: str = "crop", pixel_aspect: float = 1.0
) -> Placement:
    """Where a picture of a size lies in a frame.

    Args:
        size: Stored ``(height, width)`` of the picture.
        frame: ``(height, width)`` of the frame; what a player shows when None.
        fit: One of ``FITS``; where the shapes are the same, all of them are the same.
        pixel_aspect: Width of a stored pixel over its height.

    Raises:
        InputError: Another fit.
    """
    check_fit(fit)
    (height, width), shown = size, shown_size(size, pixel_aspect)
    frame = shown if frame is None else frame
    whole, all_of_it = (0, 0, height, width), (0, 0, *frame)
    if fit == "stretch" or same_shape(shown, frame):
        return Placement(whole, all_of_it, frame)
    wider = (shown[1] / shown[0]) / (frame[1] / frame[0])  # above 1: the picture is the wider one
    if fit == "crop":
        taken = (max(1, round(height * min(1.0, wider))), max(1, round(width / max(1.0, wider))))
        return Placement(_centred(taken, size), all_of_it, frame)
    put = (max(1, round(frame[0] / max(1.0, wider))), max(1, round(frame[1] * min(1.0, wider))))
    return Placement(whole, _centred(put, frame), frame)


def tell_fit(name: str, placed: Placement, shown: tuple[int, int], fit: str) -> None:
    """Warns where a picture loses its edges or gets bars."""
    height, width = placed.frame
    if fit == "stretch" or same_shape(shown, placed.frame):
        return
    if fit == "crop":
        kept = min(shown[0] / shown[1] * width / height, shown[1] / shown[0] * height / width)
        log.warning(
            "%s is %d x %d pixels and the frames are %d x %d: its centre is taken, %.0f %% of the picture "
            "(fit 'pad' keeps all of it between black bars, 'stretch' distorts it)",
            *(name, shown[1], shown[0], width, height, 100 * kept),
        )
    else:
        log.warning(
            "%s is %d x %d pixels and the frames are %d x %d: black bars fill the rest",
            *(name, shown[1], shown[0], width, height),
        )


def _centred(inner: Sequence[int], outer: Sequence[int]) -> Box:
    return (outer[0] - inner[0]) // 2, (outer[1] - inner[1]) // 2, inner[0], inner[1]
