"""An engine that remembers: each pair of pictures with each start is measured once, and nobody can spoil the answer."""

from __future__ import annotations

import numpy as np
import pytest

from fourreal_core.flow import memoized
from fourreal_core.flow.memoized import MemoizedFlow

A, B = (np.full((4, 6), k, np.uint8) for k in (1, 2))


class Counting:
    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, a: np.ndarray, b: np.ndarray, init: np.ndarray | None = None) -> np.ndarray:
        self.asked += 1
        return np.full((*a.shape, 2), self.asked, np.float32)


def test_pictures_and_start_decide() -> None:
    counting = Counting()
    engine = MemoizedFlow(counting)
    start = np.ones((4, 6, 2), np.float32)
    first = [engine(A, B), engine(B, A), engine(A, B, start), engine(A, B, 2 * start)]
    assert [int(flow[0, 0, 0]) for flow in first] == [1, 2, 3, 4]
    again = [engine(A.copy(), B.copy()), engine(B, A), engine(A, B, start.copy()), engine(A, B, start + 1)]
    assert all(x is y for x, y in zip(first, again, strict=True)) and counting.asked == 4
    engine(A.reshape(6, 4), B.reshape(6, 4))  # the same bytes are another picture
    assert counting.asked == 5


def test_what_is_kept_is_read_only() -> None:
    flow = MemoizedFlow(Counting())(A, B)
    with pytest.raises(ValueError, match="read-only"):
        flow[0, 0] = 9


def test_engines_around_one_share_what_it_holds() -> None:
    counting = Counting()
    one = MemoizedFlow(counting)
    two = MemoizedFlow(one)
    assert one(A, B) is two(A, B) and counting.asked == 1 and two.engine is counting


def test_started_flows_can_be_released() -> None:
    counting = Counting()
    engine = MemoizedFlow(counting)
    start = np.ones((4, 6, 2), np.float32)
    engine(A, B)
    engine(A, B, start)
    engine.release_started()
    assert engine.bytes == 4 * 6 * 2 * 4
    engine(A, B)
    engine(A, B, start)
    assert counting.asked == 3


def test_beyond_the_memory_the_longest_unused_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memoized, "MOST_BYTES", 2 * 4 * 6 * 2 * 4)  # two flows
    counting = Counting()
    engine = MemoizedFlow(counting)
    engine(A, B)
    engine(B, A)
    engine(A, B)
    engine(A, A)  # in place of B to A
    assert counting.asked == 3 and engine.bytes == 2 * 4 * 6 * 2 * 4
    engine(A, B)
    assert counting.asked == 3
    engine(B, A)
    assert counting.asked == 4
