"""Grids larger than a model's window, drawn at once: every step runs over overlapping windows and blends what they say.

The work is linear in the number of cells. Known anchors (row 0, column 0) can stand in every window.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError
from .rectified_flow import Velocity


@dataclass(frozen=True)
class Window:
    """A piece of the grid that a model sees at once.

    Attributes:
        views: Which views, rising.
        times: Which times, rising.
    """

    views: tuple[int, ...]
    times: tuple[int, ...]

    def cut(self, grid: Tensor) -> Tensor:
        """The window's cells ``(B, v, t, ...)`` of ``(B, V, T, ...)``."""
        device = grid.device
        views, times = torch.tensor(self.views, device=device), torch.tensor(self.times, device=device)
        return grid.index_select(1, views).index_select(2, times)


WindowVelocity = Callable[[Window], Velocity]
"""The model on one window; it gets the window's latents and levels."""


@dataclass(frozen=True)
class WindowOptions:
    """How a large grid is cut.

    Attributes:
        views: Views in a window.
        times: Times in a window.
        overlap: Views and times that neighbours share.
        anchor: Whether row 0 and column 0 stand in every window.
    """

    views: int = 8
    times: int = 8
    overlap: int = 4
    anchor: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < min(self.views, self.times) - self.anchor:
            raise InputError(
                f"windows of {self.views} views and {self.times} times that share {self.overlap}"
                f"{' beside an anchor' * self.anchor}",
                "room for new cells in a window",
                "choose a smaller overlap or larger windows",
            )


def spans(length: int, window: int, overlap: int, anchor: bool) -> list[tuple[int, ...]]:
    """Windows along one axis: they cover it, the last one ends with it, and index 0 is in each if anchored."""
    if length <= window:
        return [tuple(range(length))]
    found, start = [tuple(range(window))], 0
    room = window - anchor
    while found[-1][-1] < length - 1:
        start = min(found[-1][-1] + 1 - overlap, length - room)
        found.append((*(0,) * anchor, *range(start, start + room)))
    return found


def plan_windows(views: int, times: int, options: WindowOptions) -> list[Window]:
    """The windows of a grid."""
    return [
        Window(v, t)
        for v in spans(views, options.views, options.overlap, options.anchor)
        for t in spans(times, options.times, options.overlap, options.anchor)
    ]


def windowed(window_velocity: WindowVelocity, windows: list[Window]) -> Velocity:
    """One velocity for a large grid: the windows' own, blended with weights that fall towards a window's edges."""

    def velocity(latents: Tensor, level: Tensor) -> Tensor:
        total = torch.zeros_like(latents)
        weight = torch.zeros(latents.shape[1:3], device=latents.device, dtype=latents.dtype)
        for window in windows:
            part = window_velocity(window)(window.cut(latents), window.cut(level))
            share = _tent(window.views, latents)[:, None] * _tent(window.times, latents)[None, :]
            views = torch.tensor(window.views, device=latents.device)[:, None]
            times = torch.tensor(window.times, device=latents.device)[None, :]
            total[:, views, times] += share[..., None, None, None] * part
            weight[views, times] += share
        return total / weight[..., None, None, None]

    return velocity


def _tent(indices: tuple[int, ...], like: Tensor) -> Tensor:
    """Weights that rise from both ends to the middle; never zero."""
    count = len(indices)
    at = torch.arange(1, count + 1, device=like.device, dtype=like.dtype)
    return torch.minimum(at, count + 1 - at)
