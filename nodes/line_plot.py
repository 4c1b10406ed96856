"""A line plot as a picture, without a plotting library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

SIZE = (480, 800)
"""Height and width in pixels."""
MARGIN = (48, 24, 56, 72)
"""Top, right, bottom, left, in pixels."""
COLORS = ((0.98, 0.72, 0.15), (0.35, 0.75, 0.95), (0.55, 0.85, 0.45), (0.95, 0.45, 0.5))
BACKGROUND, INK, RULE = (0.09,) * 3, (0.85,) * 3, (0.25,) * 3
RULES = 5


def line_plot(lines: Mapping[str, Sequence[float]], title: str, x_name: str) -> Tensor:
    """One line a name over 0, 1, 2 ...; the ordinate starts at zero.

    Args:
        lines: Values of each line, at least one and all of one length.
        title: Written on top.
        x_name: Written under the abscissa.

    Returns:
        ``(H, W, 3)`` in ``[0, 1]``.
    """
    import cv2
    import numpy as np

    canvas = np.empty((*SIZE, 3), dtype=np.uint8)  # OpenCV writes text into 8-bit pictures only
    canvas[:] = _bytes(BACKGROUND)
    top, right, bottom, left = MARGIN
    high, wide = SIZE[0] - top - bottom, SIZE[1] - left - right
    count = max(len(values) for values in lines.values())
    largest = max((max(values) for values in lines.values()), default=0.0) or 1.0

    def at(index: float, value: float) -> tuple[int, int]:
        return (left + round(wide * index / max(count - 1, 1)), top + high - round(high * value / largest))

    def write(text: str, x: int, y: int, color: tuple[float, ...] = INK) -> None:
        cv2.putText(canvas, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.5, _bytes(color), 1, cv2.LINE_AA)

    for index in range(RULES + 1):
        value = largest * index / RULES
        cv2.line(canvas, at(0, value), at(count - 1, value), _bytes(RULE), 1)
        write(f"{value:.3g}", 8, at(0, value)[1] + 5)
    for index in range(0, count, max(1, -(-count // 16))):
        write(str(index), at(index, 0)[0] - 6, top + high + 20)
    write(title, left, 28)
    write(x_name, left + wide // 2 - 4 * len(x_name), SIZE[0] - 12)
    for (name, values), color, row in zip(lines.items(), COLORS, range(len(lines)), strict=False):
        points = np.array([at(index, value) for index, value in enumerate(values)], dtype=np.int32)
        thickness = 2 * (len(lines) - row)  # where two lines are equal, both are seen
        cv2.polylines(canvas, [points], False, _bytes(color), thickness, cv2.LINE_AA)
        for point in points:
            cv2.circle(canvas, tuple(int(c) for c in point), 3, _bytes(color), -1, cv2.LINE_AA)
        write(name, SIZE[1] - right - 130, 28 + 18 * row, color)
    return torch.from_numpy(canvas).float() / 255


def _bytes(color: tuple[float, ...]) -> tuple[int, ...]:
    return tuple(round(255 * part) for part in color)
