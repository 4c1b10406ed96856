"""Candidates of flow: their names and order, and what each leads to."""

from __future__ import annotations

import numpy as np
import pytest

from fourreal_core.flow.flow_cache import MeasuredFlow
from fourreal_core.flow.flow_field import warp
from fourreal_core.proposals.flow_candidates import FLOW_KINDS, MEASURED, flow_candidates

SIZE = (16, 40)


def shift(dx: float) -> np.ndarray:
    return np.broadcast_to(np.asarray([dx, 0], np.float32), (*SIZE, 2)).copy()


def flow(*shifts: float, error: float = 0.0) -> MeasuredFlow:
    """The first is the best, the others are the ways of measuring."""
    ways = tuple(shift(dx) for dx in shifts)
    return MeasuredFlow(ways[0], np.full(SIZE, error, np.float32), ways[1:] or ways[:1])


def test_flows_by_hand() -> None:
    found = flow_candidates(shift(2), flow(3, 4, 5, 6), flow(-3, -4, -5, -6))
    assert tuple(found) == FLOW_KINDS
    # inverted; standing; the way back read where the cell is, and where it leads to: best, then all ways
    by_hand = [-3, -4, -5, -6, 0, -3, -3, -4, -5, -6]
    assert [float(f[8, 20, 0]) for f in found.values()] == pytest.approx(by_hand, abs=1e-5)


def test_neighbours_that_are_measured_one_way_have_as_many() -> None:
    found = flow_candidates(shift(2), flow(3), flow(-3))
    ways = len(MEASURED)
    assert [float(f[8, 20, 0]) for f in found.values()] == pytest.approx(
        [-3] * ways + [0] + [-3] * (ways + 1), abs=1e-5
    )


def test_the_way_back_is_read_where_the_cell_is_in_the_reference() -> None:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    slope = np.stack([0.1 * x, np.zeros_like(x)], -1).astype(np.float32)
    back = MeasuredFlow(slope, np.zeros(SIZE, np.float32), (slope,))
    found = flow_candidates(shift(2), flow(3), back)
    # unaligned: 2 pixels to the right of the cell's own; aligned: 3 to the left of that, where the point was
    assert found["back_unaligned"][8, 20, 0] == pytest.approx(2.2, abs=1e-5)
    assert found["back_best"][8, 20, 0] == pytest.approx(2.2, abs=1e-5)  # a match that is the same all over
    matched = flow_candidates(slope, flow(3), back)
    there = warp(slope, shift(-3))
    assert matched["back_best"][8, 20, 0] == pytest.approx(
        0.1 * (20 + there[8, 20, 0]), abs=5e-3
    )  # read at 32nds of a pixel
