"""The flows between the known cells of a grid, measured when first asked for: one cache for the whole job.

Flows between the frames of one clip come from its ClipFlows. Cells that share a row or a column have a
chosen flow: along a row it is motion, along a column how far views see things apart. Neighbours are measured directly.
Farther cells are measured directly, from the chain over the known cells between as a start, and by the chain alone;
each has its own failures, so all are kept, and the one that explains a pixel best is ``best``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from .clip_flows import ClipFlows
from .engines import FlowEngine
from .flow_field import Flow, Gray, Image, chain, forward_backward_error, to_gray
from .memoized import MemoizedFlow
from .robust_flow import candidate_flows, choose_flow

Cell = tuple[int, int]


@dataclass(frozen=True)
class MeasuredFlow:
    """Flow at one cell's pixels to another cell.

    Attributes:
        best: ``(H, W, 2)`` in pixels, each pixel's by the way of measuring that explains it best.
        error: ``(H, W)`` by how many pixels a point misses its start on its way there and back.
        measured: All ways of measuring, ``(H, W, 2)`` each; of neighbours there is one.
    """

    best: Flow
    error: Image
    measured: tuple[Flow, ...]


class FlowCache:
    """Flows between the known cells of a grid, kept once measured.

    It holds what the engine measured (see MemoizedFlow), and of every two cells that were measured the chosen flow and
    its error, both ways: at 512 x 288 pixels some 4 MB each.

    Args:
        frames: ``(V, T, H, W, 3)`` in ``[0, 1]``; only known cells are looked at.
        known: ``(V, T)`` bool.
        engine: Measures one pair; OpenCV's DIS if None.
    """

    def __init__(self, frames: Tensor, known: Tensor, engine: FlowEngine | None = None) -> None:
        if frames.ndim != 5 or known.shape != frames.shape[:2]:
            raise InputError(
                f"frames of shape {tuple(frames.shape)} and known cells of {tuple(known.shape)}",
                "(V, T, H, W, 3) and (V, T)",
                "take both from one grid",
            )
        self.frames, self.known = frames, known
        self.engine = MemoizedFlow(engine)
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

    @cached_property
    def freeze_time(self) -> ClipFlows:
        """Column 0 with the flows between its frames."""
        return ClipFlows(self.frames[:, 0], self.engine)

    @cached_property
    def fixed_view(self) -> ClipFlows:
        """Row 0 with the flows between its frames."""
        return ClipFlows(self.frames[0], self.engine)

    def picture(self, cell: Cell) -> Image:
        """A cell ``(H, W, 3)``."""
        picture: Image = self.frames[cell].float().cpu().numpy()
        return picture

    def for_grid(self, frames: Tensor, known: Tensor) -> FlowCache:
        """This cache where it is of a grid's known cells, else one of theirs with the same engine.

        A flow between pictures that both grids have is still measured only once.

        Args:
            frames: ``(V, T, H, W, 3)`` in ``[0, 1]``.
            known: ``(V, T)`` bool.
        """
        frames, known = frames.cpu(), known.cpu()
        same = torch.equal(known, self.known.cpu()) and frames.shape == self.frames.shape
        if same and (frames is self.frames or torch.equal(frames[known], self.frames.cpu()[known])):
            return self
        return FlowCache(frames, known, self.engine)

    def release_started(self) -> None:
        """Drops flows that were measured from a start: next to all of them only geometry and tracks use."""
        self.engine.release_started()

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
            pairs = candidate_flows(self.engine, a, b, there, back)
        first, last = self.picture(start), self.picture(end)
        forth, misses, _ = choose_flow(first, last, pairs)
        back, misses_back, _ = choose_flow(last, first, [pair[::-1] for pair in pairs])
        for ends, way, best, other, error in (
            ((start, end), 0, forth, back, misses),
            ((end, start), 1, back, forth, misses_back),
        ):
            # a pixel's way back may be its own way's or the best one's
            error = np.minimum(error, forward_backward_error(best, other))
            self._flows[ends] = MeasuredFlow(best, error, tuple(pair[way] for pair in pairs))

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
