"""The flows between the known cells of a grid, measured when first asked for: one cache for the whole job.

Flows between the frames of one clip come from its ClipFlows. Cells that share a row or a column have a
chosen flow: along a row it is motion, along a column how far views see things apart. Neighbours are measured directly.
Farther cells are measured directly, from the chain over the known cells between as a start, and by the chain alone;
each has its own failures, so all can be had, and the one that explains a pixel best is ``best``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import overload

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
    measured: Sequence[Flow]


@dataclass(frozen=True)
class WaysOfMeasuring(Sequence[Flow]):
    """The flow from one picture to another directly, from a chain as a start, and by that chain alone.

    Each is worked out anew when it is asked for: few ever are, and they would take twice the memory of all the rest.

    Attributes:
        engine: Measures one pair.
        a: Grey frame ``(H, W)``.
        b: The other one.
        legs: The chain: flows to the cell between, and from there.
    """

    engine: FlowEngine
    a: Gray
    b: Gray
    legs: tuple[Flow, Flow]

    def __len__(self) -> int:
        return 3

    @overload
    def __getitem__(self, k: int) -> Flow: ...

    @overload
    def __getitem__(self, k: slice) -> Sequence[Flow]: ...

    def __getitem__(self, k: int | slice) -> Flow | Sequence[Flow]:
        if isinstance(k, slice):
            return tuple(self[i] for i in range(len(self))[k])
        way = range(len(self))[k]
        if way == 0:
            return self.engine(self.a, self.b)
        chained = chain(*self.legs)
        return self.engine(self.a, self.b, chained) if way == 1 else chained


class FlowCache:
    """Flows between the known cells of a grid, kept once measured.

    It holds what the engine measured (see MemoizedFlow), and of every two cells that were measured the chosen flow and
    its error, both ways: at 512 x 288 pixels 1.8 MB each.

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
        ways: tuple[Sequence[Flow], Sequence[Flow]]
        if between is None:
            pairs = [(self.engine(a, b), self.engine(b, a))]
            ways = pairs[0][:1], pairs[0][1:]
        else:
            there = self(start, between).best, self(between, end).best
            back = self(end, between).best, self(between, start).best
            pairs = candidate_flows(self.engine, a, b, chain(*there), chain(*back))
            ways = WaysOfMeasuring(self.engine, a, b, there), WaysOfMeasuring(self.engine, b, a, back)
        first, last = self.picture(start), self.picture(end)
        one, misses, _ = choose_flow(first, last, pairs)
        other, misses_back, _ = choose_flow(last, first, [pair[::-1] for pair in pairs])
        if between is None:  # the choice among one: what the engine keeps need not be held twice
            one, other = pairs[0]
        # a pixel's way back may be its own way's or the best one's
        error = np.minimum(misses, forward_backward_error(one, other))
        error_back = np.minimum(misses_back, forward_backward_error(other, one))
        self._flows[start, end] = MeasuredFlow(one, error, ways[0])
        self._flows[end, start] = MeasuredFlow(other, error_back, ways[1])

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
