"""Flow between known cells: which cells lie between, every way of measuring kept, and the best one a pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.flow.flow_cache import FlowCache

SIZE = (24, 32)


class Moving:
    """Knows the true flow by the frames' last pixel; loses motions of more than 3 pixels unless it is given a start."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, a: np.ndarray, b: np.ndarray, init: np.ndarray | None = None) -> np.ndarray:
        self.asked += 1
        flow = np.zeros((*a.shape, 2), np.float32)
        flow[..., 0] = 2 * round((float(b[-1, -1]) - float(a[-1, -1])) / 10)
        if init is None and abs(flow[0, 0, 0]) > 3:
            flow[..., 0] = 0
        return flow


def sliding_grid(known: list[tuple[int, int]], views: int = 2, times: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """All cells of a texture that slides 2 pixels a time step; the last pixel's grey counts the steps."""
    wide = torch.rand(SIZE[0], SIZE[1] + 2 * times, 3, generator=torch.Generator().manual_seed(0))
    row = torch.stack([wide[:, 2 * (times - t) :][:, : SIZE[1]] for t in range(times)])
    row[:, -1, -1] = (torch.arange(times) * 10 / 255)[:, None]
    mask = torch.zeros(views, times, dtype=torch.bool)
    for cell in known:
        mask[cell] = True
    return row.expand(views, *row.shape), mask


def test_neighbours_are_measured_once_and_both_ways() -> None:
    engine = Moving()
    flows = FlowCache(*sliding_grid([(0, 0), (0, 1)]), engine)
    forth, back = flows((0, 0), (0, 1)), flows((0, 1), (0, 0))
    assert engine.asked == 2
    assert (forth.best == [2, 0]).all() and (back.best == [-2, 0]).all()
    assert len(forth.measured) == 1 and not forth.error[:, :-2].any()
    assert (forth.error[:, -2:] == 20).all()  # these columns leave the picture, and errors end at 20


def test_far_cells_go_by_the_chain_where_direct_flow_loses_them() -> None:
    flows = FlowCache(*sliding_grid([(0, t) for t in range(5)]), Moving())
    far = flows((0, 4), (0, 0))
    direct, started, chained = far.measured
    inner = (slice(4, -4), slice(16, -4))  # away from what comes in and from the windows' reach
    assert not direct.any() and (started[inner] == [-8, 0]).all() and (chained[inner] == [-8, 0]).all()
    assert (far.best[inner] == [-8, 0]).all()


class Lame:
    """Neighbours stand; over two steps it is right forth without a start and back with one, and else gives zero."""

    def __call__(self, a: np.ndarray, b: np.ndarray, init: np.ndarray | None = None) -> np.ndarray:
        flow = np.zeros((*a.shape, 2), np.float32)
        steps = round((float(b[-1, -1]) - float(a[-1, -1])) / 10)
        if steps == (2 if init is None else -2):
            flow[..., 0] = 2 * steps
        return flow


def test_a_flow_returns_by_the_best_way_back_of_all() -> None:
    flows = FlowCache(*sliding_grid([(0, t) for t in range(3)]), Lame())
    forth, back = flows((0, 0), (0, 2)), flows((0, 2), (0, 0))
    inner = (slice(4, -4), slice(12, -12))
    assert (forth.best[inner] == [4, 0]).all() and (back.best[inner] == [-4, 0]).all()
    assert not forth.error[inner].any() and not back.error[inner].any()  # each one's own way misses by 4 pixels


@pytest.mark.parametrize(
    ("known", "ends", "between"),
    [
        ([0, 1, 2, 3, 4], (4, 0), 3),
        ([0, 1, 2, 3, 4], (1, 4), 3),
        ([0, 4], (4, 0), None),
        ([0, 2, 4], (0, 4), 2),
        ([0, 1], (1, 0), None),
    ],
)
def test_the_chain_goes_over_known_cells_alone(known: list[int], ends: tuple[int, int], between: int | None) -> None:
    flows = FlowCache(*sliding_grid([(0, t) for t in known]), Moving())
    start, end = (0, ends[0]), (0, ends[1])
    assert flows._between(start, end) == (None if between is None else (0, between))
    assert flows._between(end, start) == flows._between(start, end)
    frames, mask = sliding_grid([(0, t) for t in known])
    column = FlowCache(frames.transpose(0, 1), mask.T, Moving())
    assert column._between(start[::-1], end[::-1]) == (None if between is None else (between, 0))


def test_the_order_of_asking_does_not_matter() -> None:
    grid = sliding_grid([(0, t) for t in range(5)])
    one, other = FlowCache(*grid), FlowCache(*grid)
    forth = one((0, 4), (0, 0))
    other((0, 1), (0, 3))
    other((0, 0), (0, 4))
    assert np.array_equal(forth.best, other((0, 4), (0, 0)).best)


@pytest.mark.parametrize("ends", [((0, 0), (1, 1)), ((0, 0), (0, 3)), ((0, 0), (0, 0))])
def test_cells_without_flow_are_refused(ends: tuple) -> None:
    flows = FlowCache(*sliding_grid([(0, 0), (0, 1), (1, 1)]), Moving())
    with pytest.raises(InputError, match="two known cells"):
        flows(*ends)


def test_frames_and_mask_of_different_grids_are_refused() -> None:
    with pytest.raises(InputError, match="one grid"):
        FlowCache(torch.zeros(2, 3, 8, 8, 3), torch.ones(3, 2, dtype=torch.bool))


def test_clips_and_chosen_flows_share_what_was_measured() -> None:
    engine = Moving()
    flows = FlowCache(*sliding_grid([(0, t) for t in range(5)] + [(1, 0)]), engine)
    flows.fixed_view.pairs(1)
    assert engine.asked == 8
    neighbours = flows((0, 1), (0, 2))
    assert engine.asked == 8 and neighbours.best.any()
    assert flows.freeze_time.frames.shape[0] == 2 and flows.fixed_view is flows.fixed_view


def test_the_same_known_cells_keep_the_cache_and_others_its_engine() -> None:
    engine = Moving()
    frames, known = sliding_grid([(0, t) for t in range(3)])
    flows = FlowCache(frames, known, engine)
    flows((0, 0), (0, 1))
    filled = torch.where(known[..., None, None, None], frames, torch.ones(()))
    assert flows.for_grid(filled, known) is flows  # what is not known was never looked at
    changed = frames.clone()
    changed[0, 2] = 1 - changed[0, 2]
    other = flows.for_grid(changed, known)
    assert other is not flows and other.frames is changed
    other((0, 0), (0, 1))
    assert engine.asked == 2  # these two pictures are in both grids
    other((0, 1), (0, 2))
    assert engine.asked == 4
    more = known.clone()
    more[1] = True
    assert flows.for_grid(frames, more) is not flows
    assert flows.for_grid(frames[:, :, :, :-1], known).frames.shape[3] == SIZE[1] - 1
    with pytest.raises(InputError, match="known cells of"):
        flows.for_grid(frames[:, :2], known)
