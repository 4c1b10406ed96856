"""A plain line plot as a picture, for reports, without a plotting package."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from ..errors import InputError
from .images import to_float

COLORS = ((200, 60, 40), (30, 110, 190), (40, 140, 60), (150, 80, 170), (110, 110, 110))
"""RGB of the curves, in turn."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 30, 46
_GRID, _INK = (225, 225, 225), (40, 40, 40)

Curve = tuple[Sequence[float], Sequence[float]]
"""Places along x and values, of one length."""


def line_plot(curves: Mapping[str, Curve], x_label: str, y_label: str, size: tuple[int, int] = (320, 560)) -> Tensor:
    """Draws curves with a grid, ticks at round numbers, and a legend.

    Args:
        curves: By name; at most five.
        x_label: Below the axis; plain ASCII, as all texts.
        y_label: Above the axis.
        size: ``(height, width)`` in pixels.

    Returns:
        ``(H, W, 3)`` in ``[0, 1]``.

    Raises:
        InputError: No curves or too many, values that are not finite, or lengths that differ.
    """
    import cv2

    points = {
        name: np.stack([np.asarray(x, float), np.asarray(y, float)], 1)
        for name, (x, y) in curves.items()
        if len(x) == len(y) and len(x) > 0
    }
    if (
        not curves
        or len(points) < len(curves)
        or len(points) > len(COLORS)
        or not all(np.isfinite(p).all() for p in points.values())
    ):
        raise InputError(
            f"{len(curves)} curves, {len(points)} of them with as many places as values",
            f"1 to {len(COLORS)} curves of finite numbers",
            "leave out what could not be measured",
        )
    every = np.concatenate(list(points.values()))
    (x_low, x_high), (y_low, y_high) = (_range(every[:, axis]) for axis in (0, 1))
    height, width = size
    picture = np.full((height, width, 3), 255, np.uint8)

    def place(x: float, y: float) -> tuple[int, int]:
        return (
            round(_LEFT + (x - x_low) / (x_high - x_low) * (width - _LEFT - _RIGHT)),
            round(height - _BOTTOM - (y - y_low) / (y_high - y_low) * (height - _TOP - _BOTTOM)),
        )

    def write(text: str, x: int, y: int, color: tuple[int, int, int] = _INK) -> None:
        cv2.putText(picture, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.4, color, 1, cv2.LINE_AA)

    for tick in _ticks(x_low, x_high):
        at = place(tick, y_low)
        cv2.line(picture, at, (at[0], _TOP), _GRID, 1)
        write(f"{tick:g}", at[0] - 4 * len(f"{tick:g}"), at[1] + 16)
    for tick in _ticks(y_low, y_high):
        at = place(x_low, tick)
        cv2.line(picture, at, (width - _RIGHT, at[1]), _GRID, 1)
        write(f"{tick:g}", at[0] - 8 - 7 * len(f"{tick:g}"), at[1] + 4)
    write(x_label, (width - 7 * len(x_label)) // 2, height - 8)
    write(y_label, 6, 16)
    drawn = {name: np.array([place(x, y) for x, y in curve], np.int32) for name, curve in points.items()}
    left, top = _free_corner(np.concatenate(list(drawn.values())), 7 * max(map(len, points)), 16 * len(points), size)
    for k, (name, corners) in enumerate(drawn.items()):
        cv2.polylines(picture, [corners], False, COLORS[k], 2, cv2.LINE_AA)
        if len(corners) <= 20:
            for corner in corners.tolist():
                cv2.circle(picture, corner, 3, COLORS[k], -1, cv2.LINE_AA)
        write(name, left, top + 12 + 16 * k, COLORS[k])
    return to_float(picture)


def _free_corner(points: np.ndarray, width: int, height: int, size: tuple[int, int]) -> tuple[int, int]:
    """Left and top of a legend, in the corner of the axes with the fewest points ``(N, 2)``."""
    corners = [
        (x, y) for y in (_TOP + 4, size[0] - _BOTTOM - height - 4) for x in (size[1] - _RIGHT - width, _LEFT + 8)
    ]

    def inside(corner: tuple[int, int]) -> int:
        low = np.array(corner) - 8
        return int(((points >= low) & (points <= low + np.array([width, height]) + 16)).all(1).sum())

    return min(corners, key=inside)


def _range(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    room = 0.05 * (high - low) or 0.5
    return low - room, high + room


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers, 3 to 8 of them."""
    step = 10 ** math.floor(math.log10((high - low) / 2))
    step *= next((m for m in (0.2, 0.5, 1, 2, 5) if (high - low) / (m * step) < 8), 10)
    first = math.ceil(low / step)
    return [round(k * step, 10) for k in range(first, math.floor(high / step) + 1)]
