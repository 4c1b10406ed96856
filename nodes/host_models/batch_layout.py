"""The same cells as rows (one video a view) and as columns (one video a time)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class GridShape:
    """How a batch of videos is a grid; the host puts the conditions (positive, negative) one after the other.

    Attributes:
        chunks: Conditions g in the batch.
        views: V, the videos of one condition.
        times: T, the frames of each.
    """

    chunks: int
    views: int
    times: int

    @property
    def rows(self) -> int:
        """Batch size ``g V`` of the time stream."""
        return self.chunks * self.views

    def to_columns(self, value: Tensor, axis: int = 2) -> Tensor:
        """``(g V, ..., T, ...)`` with the frames at ``axis`` as ``(g T, ..., V, ...)``."""
        return _swapped(value, self.chunks, self.views, axis)

    def to_rows(self, value: Tensor, axis: int = 2) -> Tensor:
        """``(g T, ..., V, ...)`` with the frames at ``axis`` as ``(g V, ..., T, ...)``."""
        return _swapped(value, self.chunks, self.times, axis)

    def once_a_column(self, value: Tensor) -> Tensor:
        """``(g V, ...)``, the same for all views of a condition, as ``(g T, ...)``."""
        first = value.unflatten(0, (self.chunks, self.views))[:, :1]
        return first.expand(-1, self.times, *first.shape[2:]).flatten(0, 1)

    def same_in_all_views(self, value: Tensor) -> bool:
        """Whether ``(g V, ...)`` holds one value a condition."""
        cells = value.unflatten(0, (self.chunks, self.views))
        return bool((cells == cells[:, :1]).all())

    def cells_of_rows(self, tokens: Tensor) -> Tensor:
        """The time stream's tokens ``(g V, T S, D)`` as ``(g, V, T, S, D)``, without a copy."""
        return tokens.reshape(self.chunks, self.views, self.times, -1, tokens.shape[-1])

    def cells_of_columns(self, tokens: Tensor) -> Tensor:
        """The view stream's tokens ``(g T, V S, D)`` as ``(g, V, T, S, D)``, without a copy."""
        return tokens.reshape(self.chunks, self.times, self.views, -1, tokens.shape[-1]).transpose(1, 2)

    def rows_of_cells(self, cells: Tensor) -> Tensor:
        """``(g, V, T, S, D)`` as the time stream's tokens ``(g V, T S, D)``."""
        return cells.reshape(self.rows, -1, cells.shape[-1])

    def columns_of_cells(self, cells: Tensor) -> Tensor:
        """``(g, V, T, S, D)`` as the view stream's tokens ``(g T, V S, D)``; always memory of its own."""
        return cells.transpose(1, 2).reshape(self.chunks * self.times, -1, cells.shape[-1])


def _swapped(value: Tensor, chunks: int, outer: int, axis: int) -> Tensor:
    return value.unflatten(0, (chunks, outer)).transpose(1, axis + 1).flatten(0, 1).contiguous()
