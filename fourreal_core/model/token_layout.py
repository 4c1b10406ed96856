"""Tokens of a grid as batches of videos: its rows, its columns, or all of its frames, and back."""

from __future__ import annotations

from torch import Tensor

AXES = ("view", "time")
"""The axis along which a video runs: ``view`` down a column (freeze-time), ``time`` along a row (fixed view)."""


def to_videos(grid: Tensor, axis: str) -> Tensor:
    """``(B, V, T, ...)`` as ``(B * V, T, ...)`` along ``time`` or ``(B * T, V, ...)`` along ``view``.

    Contiguous; what came from from_videos of the same axis is not copied.
    """
    grid = grid if axis == "time" else grid.transpose(1, 2)
    return grid.reshape(-1, *grid.shape[2:]).contiguous()


def from_videos(videos: Tensor, axis: str, batch: int) -> Tensor:
    """Undoes to_videos, without a copy: ``(B, V, T, ...)``, whose columns lie together if the axis is ``view``."""
    grid: Tensor = videos.unflatten(0, (batch, -1))
    return grid if axis == "time" else grid.transpose(1, 2)
