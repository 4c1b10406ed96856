"""2D flow between known cells of a grid that share a row or a column, measured when first asked for.

Along a row it is motion, along a column how far views see things apart. Neighbours are measured directly. Farther cells
are measured directly, from the chain over the known cells between as a start, and by the chain alone; each has its own
failures, so all are kept, and the one that explains a pixel best is ``best``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError
from .flow_field import DisFlow, Flow, FlowEngine, Gray, chain, forward_backward_error, to_gray
from .robust_flow import RobustFlowOptions, choose_flow, ways_of_measuring

Cell = tuple[int, int]


@dataclass(frozen=True)
class MeasuredFlow:
    """Flow at one cell's pixels to another cell.

    Attributes:
        best: ``(H, W, 2)`` in pixels, each pixel's by the way of measuring that explains it best.
        error: ``(H, W)`` by how many pixels a point misses its start on its way there and back.
        measured: All ways of measuring, ``(H, W, 2)`` each; for neighbours ``best`` alone.
    """

    best: Flow
    error: NDArray[np.float32]
    measured: tuple[Flow, ...]


class FlowCache:
    """Flows between the known cells of a grid, kept once measured.

    Args:
        frames: ``(V, T, H, W, 3)`` in ``[0, 1]``; only known cells are looked at.
        known: ``(V, T)`` bool.
        engine: Measures one pair; OpenCV's DIS if None.
        options: How ways of measuring are weighed.
    """

    def __init__(
        self, frames: Tensor, known: Tensor, engine: FlowEngine | None = None, options: RobustFlowOptions | None = None
    ) -> None:
        if frames.ndim != 5 or known.shape != frames.shape[:2]:
            raise InputError(
                f"frames of shape {tuple(frames.shape)} and known cells of {tuple(known.shape)}",
                "(V, T, H, W, 3) and (V, T)",
                "take both from one grid",
            )
        self.frames, self.known = frames, known
        self.engine, self.options = engine or DisFlow(), options or RobustFlowOptions()
        self._flows: dict[tuple[Cell, Cell], MeasuredFlow] = {}
        self._grays: dict[Cell, Gray] = {}

    def __call__(self, start: Cell, end: Cell) -> MeasuredFlow:
        """Flow at the pixels of one known cell to another one of its row or column.

        Raises:
            InputError: Cells that are not known, or share neither row nor column.
        """
        if (start, end) not in self._flows:
            self._measure(start, end)
        return self._flows[start, end]

    def picture(self, cell: Cell) -> NDArray[np.float32]:
        """A cell ``(H, W, 3)``."""
        return self.frames[cell].float().cpu().numpy()

    def _measure(self, start: Cell, end: Cell) -> None:
        if not (self.known[start] and self.known[end]) or start == end or (start[0] != end[0] and start[1] != end[1]):
            raise InputError(
                f"flow from cell {start} to cell {end}",
                "two known cells of one row or one column",
                "go through a cell that shares a row with one and a column with the other",
            )
        a, b = self._gray(start), self._gray(end)
        between = self._between(start, end)
        if between is None:
            pairs = [(self.engine(a, b), self.engine(b, a))]
        else:
            there = chain(self(start, between).best, self(between, end).best)
            back = chain(self(end, between).best, self(between, start).best)
            pairs = ways_of_measuring(self.engine, a, b, there, back)
        first, last = self.picture(start), self.picture(end)
        forth, misses, _ = choose_flow(first, last, pairs, self.options)
        back, misses_back, _ = choose_flow(last, first, [pair[::-1] for pair in pairs], self.options)
        for ends, way, best, other, error in (
            ((start, end), 0, forth, back, misses),
            ((end, start), 1, back, forth, misses_back),
        ):
            # a pixel's way back may be its own way's or the best one's
            error = np.minimum(error, forward_backward_error(best, other))
            measured = tuple(pair[way] for pair in pairs) if between is not None else (best,)
            self._flows[ends] = MeasuredFlow(best, error, measured)

    def _between(self, start: Cell, end: Cell) -> Cell | None:
        """The known cell next to the later of two, on the way to the other; None where the two are neighbours."""
        axis = 1 if start[0] == end[0] else 0
        low, high = sorted((start[axis], end[axis]))
        for at in range(high - 1, low, -1):
            cell = (start[0], at) if axis == 1 else (at, start[1])
            if self.known[cell]:
                return cell
        return None

    def _gray(self, cell: Cell) -> Gray:
        if cell not in self._grays:
            self._grays[cell] = to_gray(self.frames[cell][None])[0]
        return self._grays[cell]
