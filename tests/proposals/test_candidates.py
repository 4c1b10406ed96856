"""Candidates of a cell: their order, what each flow leads to, and the maps that hold their costs."""

from __future__ import annotations

import numpy as np
import pytest

from fourreal_core.flow.flow_cache import MeasuredFlow
from fourreal_core.proposals.candidates import (
    COST_GRAYS,
    COST_MAPS,
    KEPT,
    MISS_PX,
    PER_CLIP,
    WAYS,
    Candidates,
    candidate_flows,
    candidate_maps,
    candidates_of,
    to_choose,
)
from fourreal_core.proposals.motion_layers import LAYERS
from fourreal_core.proposals.photometric_check import Witness

SIZE = (16, 40)


def shift(dx: float) -> np.ndarray:
    return np.broadcast_to(np.asarray([dx, 0], np.float32), (*SIZE, 2)).copy()


def flow(*shifts: float, error: float = 0.0) -> MeasuredFlow:
    """The first is the best, the others are the ways of measuring."""
    ways = tuple(shift(dx) for dx in shifts)
    return MeasuredFlow(ways[0], np.full(SIZE, error, np.float32), ways[1:] or ways[:1])


def test_flows_by_hand() -> None:
    found = candidate_flows(shift(2), flow(3, 4, 5, 6), flow(-3, -4, -5, -6))
    # turned around; standing; the way back read where the cell is, and where it leads to: best, then all ways
    assert [float(f[8, 20, 0]) for f in found] == pytest.approx([-3, -4, -5, -6, 0, -3, -3, -4, -5, -6], abs=1e-5)
    assert len(found) == 2 * WAYS + 2


def test_neighbours_that_are_measured_one_way_have_as_many() -> None:
    found = candidate_flows(shift(2), flow(3), flow(-3))
    assert len(found) == 2 * WAYS + 2
    assert [float(f[8, 20, 0]) for f in found] == pytest.approx([-3] * WAYS + [0] + [-3] * (WAYS + 1), abs=1e-5)


def test_pictures_are_read_where_flows_lead_and_the_right_one_costs_nothing() -> None:
    wide = np.random.default_rng(0).random((SIZE[0], 80, 3)).astype(np.float32)
    then, now = wide[:, 20:60], wide[:, 17:57]  # in time all moves 3 pixels to the right
    source = 0.5 * wide[:, 18:58] + 0.1  # the view sees all 2 pixels farther right, and darker
    witness = Witness(shift(-2), now, then)
    found = candidates_of(source, witness, flow(3, 4, 3, 5), flow(-3, -4, -3, -5, error=1.5), 1.0, 2.0)
    inner = (slice(3, -3), slice(9, -9))
    truth = 0.5 * wide[:, 15:55] + 0.1
    for k, right in enumerate([True, False, True, False, False, True, True, False, True, False]):
        assert (np.abs(found.pictures[k] - truth)[inner].max() < 1e-4) == right
        assert (found.costs[k][inner].max() < 1e-2) == right
    # what the witness shows now, in the view's tone: texture of full contrast around the view's mean
    new = found.pictures[-1]
    assert np.corrcoef(new[inner].ravel(), truth[inner].ravel())[0, 1] > 0.7
    assert abs(float(new[inner].mean() - truth[inner].mean())) < 0.05
    assert np.array_equal(found.costs[-1], found.costs[:-1].min(0)) and (found.missed == 1.5).all()


def test_a_choice_is_given_flows_as_measured_then_layers_then_what_is_new() -> None:
    random = np.random.default_rng(0)
    source, now = (random.random((*SIZE, 3)).astype(np.float32) for _ in range(2))
    witness, layers = Witness(shift(0), now, source), [shift(dx) for dx in (0, 1, 2, 3)]
    found = candidates_of(source, witness, flow(3, 4, 5, 6), flow(-3, -4, -5, -6, error=0.5), 1.0, 2.0)
    given = to_choose(found, source, witness, layers, 1.0)
    assert given.pictures.shape == (PER_CLIP, *SIZE, 3) and given.costs.shape == (PER_CLIP, *SIZE)
    kept, end = list(KEPT), len(KEPT) + LAYERS
    for before, after in ((found.pictures, given.pictures), (found.costs, given.costs)):
        assert np.array_equal(after[: len(KEPT)], before[kept]) and np.array_equal(after[end:], before[-1:])
    for k in range(LAYERS):
        assert np.array_equal(given.pictures[len(KEPT) + k, :, :-3], source[:, k : SIZE[1] - 3 + k])
    # where nothing is moved the witness says how much it has changed, over a window
    alone = 255 * np.abs(now - source).mean(-1)
    assert given.costs[len(KEPT)].mean() == pytest.approx(alone.mean(), rel=0.02)  # the window repeats the border
    assert np.array_equal(given.missed, found.missed)


def test_maps_by_hand() -> None:
    def one(cost: float, missed: float) -> Candidates:
        return Candidates(
            np.zeros((PER_CLIP, 1, 1, 3), np.float32),
            np.full((PER_CLIP, 1, 1), cost, np.float32),
            np.full((1, 1), missed, np.float32),
        )

    maps = candidate_maps([one(COST_GRAYS / 2, MISS_PX / 4), one(2 * COST_GRAYS, 2 * MISS_PX)])
    assert maps.shape == (COST_MAPS, 1, 1, 3)
    flat = maps.ravel().tolist()
    assert flat == [0.5] * (PER_CLIP - 1) + [0.25] + [1.0] * PER_CLIP + [0.0] * (3 * COST_MAPS - 2 * PER_CLIP)
