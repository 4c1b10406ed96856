"""Turns and mirrors that a container asks of a player: the eight that map pixels to pixels."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from av import VideoFrame

_UNIT = 65536  # 16.16 fixed point


@dataclass(frozen=True)
class Turn:
    """A picture is transposed first, then mirrored.

    Attributes:
        transpose: Rows become columns.
        left_right: Mirrored from side to side.
        top_bottom: Mirrored from top to bottom.
        exact: Whether the matrix asks for just this; false where it is the nearest, as of a turn by 30 degrees.
    """

    transpose: bool = False
    left_right: bool = False
    top_bottom: bool = False
    exact: bool = True

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """The picture ``(H, W, ...)`` as it is shown."""
        if self.transpose:
            picture = picture.swapaxes(0, 1)
        if self.left_right:
            picture = picture[:, ::-1]
        if self.top_bottom:
            picture = picture[::-1]
        return np.ascontiguousarray(picture)


UPRIGHT = Turn()


def turn_of_matrix(a: int, b: int, c: int, d: int) -> Turn:
    """The turn of a display matrix that sends stored ``(x, y)`` to ``(a x + c y, b x + d y)``, y downward, 16.16 fixed.

    Source: ISO/IEC 14496-12, the transformation matrix of the track header.
    """
    if abs(a) + abs(d) >= abs(b) + abs(c):
        straight, turn = (a, d, b, c), (False, a < 0, d < 0)
    else:
        straight, turn = (c, b, a, d), (True, c < 0, b < 0)
    scale = max(abs(straight[0]), abs(straight[1]), 1)
    exact = max(abs(straight[2]), abs(straight[3])) < 0.01 * scale
    return Turn(*turn, exact=exact)


def turn_of_frame(frame: VideoFrame) -> Turn:
    """The turn that a decoded frame carries; containers hand theirs to every frame."""
    for data in cast("Iterable[Any]", frame.side_data):  # its stubs say that it gives keys
        if data.type.name == "DISPLAYMATRIX" and data.buffer_size >= 36:
            matrix = struct.unpack("=9i", bytes(data)[:36])
            return turn_of_matrix(matrix[0], matrix[1], matrix[3], matrix[4])
    return UPRIGHT
