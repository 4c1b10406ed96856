"""Figures from flow between neighbouring cells: what flow does not explain, and how much moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..flow.engines import FlowEngine
from ..flow.flow_field import Flow, Gray, Mask, forward_backward_error, to_gray, warp
from ..progress import OnStep, no_progress
from .grids import EvaluatedGrid

MATCH_PX = 1.0
"""Largest forward-backward error in pixels of a flow that counts."""

Cell = tuple[int, int]


@dataclass(frozen=True)
class NeighbourFlows:
    """Flow between neighbouring cells of a grid, both ways.

    Attributes:
        grays: 8-bit luma ``(H, W)`` of every cell that there is.
        flows: ``(from, to)`` to flow ``(H, W, 2)`` in pixels.
    """

    grays: dict[Cell, Gray]
    flows: dict[tuple[Cell, Cell], Flow]


def neighbour_flows(grid: EvaluatedGrid, engine: FlowEngine, on_step: OnStep = no_progress) -> NeighbourFlows:
    """Measures every two neighbours in time and across views that there are.

    Args:
        grid: With V views and T times.
        engine: Measures one pair.
        on_step: Progress, one step two neighbours.
    """
    grays = {(v, t): to_gray(grid.frames[v, t][None])[0] for v, t in grid.there.nonzero().tolist()}
    pairs = [(a, b) for a in grays for b in ((a[0], a[1] + 1), (a[0] + 1, a[1])) if b in grays]
    flows: dict[tuple[Cell, Cell], Flow] = {}
    for done, (a, b) in enumerate(pairs, start=1):
        flows[a, b], flows[b, a] = engine(grays[a], grays[b]), engine(grays[b], grays[a])
        on_step(done, len(pairs))
    return NeighbourFlows(grays, flows)


def warp_figures(
    grid: EvaluatedGrid, measured: NeighbourFlows
) -> tuple[dict[str, float], dict[str, dict[Cell, float]], dict[str, float]]:
    """``warp_time``, ``warp_view`` and ``motion``: their values, those of cells, and those of the given cells.

    A cell's value is that of the step to it from the cell before. Steps between two given cells make the reference.
    """
    valid = grid.valid.cpu().numpy()
    cells: dict[str, dict[Cell, float]] = {"warp_time": {}, "warp_view": {}}
    given: dict[str, list[float]] = {"warp_time": [], "warp_view": []}
    moved: dict[int, list[float]] = {}
    own: dict[int, float] = {}
    for a, b in ((a, b) for a, b in measured.flows if a < b):
        name = "warp_time" if a[0] == b[0] else "warp_view"
        ahead = measured.flows[a, b]
        consistent = (forward_backward_error(ahead, measured.flows[b, a]) < MATCH_PX) & valid
        value = _left_over(measured.grays[a], measured.grays[b], ahead, consistent)
        made = not bool(grid.given[a] & grid.given[b])
        if value is not None and made:
            cells[name][b] = value
        elif value is not None:
            given[name].append(value)
        if name == "warp_time":
            length = float(np.sqrt((ahead**2).sum(-1))[valid].mean())
            if made:
                moved.setdefault(a[1], []).append(length)
            elif a[0] == 0:
                own[a[1]] = length
    values = {name: _mean(list(found.values())) for name, found in cells.items() if found}
    row = sum(own[t] for t in own if t in moved)
    if row > 0:
        values["motion"] = sum(_mean(moved[t]) for t in own if t in moved) / row
    reference = {name: _mean(found) for name, found in given.items() if found}
    return values, cells, reference


def _left_over(a: Gray, b: Gray, ahead: Flow, consistent: Mask) -> float | None:
    """Mean absolute difference in grey levels between ``a`` and ``b`` moved onto it; None where nothing matches."""
    if not consistent.any():
        return None
    difference = np.abs(warp(b.astype(np.float32), ahead) - a.astype(np.float32))
    return float(difference[consistent].mean())


def _mean(values: list[float]) -> float:
    return float(np.mean(values))


def column(grid: EvaluatedGrid, time: int) -> Tensor:
    """The views ``(V, H, W, 3)`` of one time."""
    return grid.frames[:, time]


def whole_columns(grid: EvaluatedGrid) -> list[int]:
    """Times at which every view is there."""
    return [t for t in range(grid.shape[1]) if bool(torch.as_tensor(grid.there[:, t]).all())]
