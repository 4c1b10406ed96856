"""Flows between the frames of a clip: far pairs start from the chain of near ones, and nothing is measured twice."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.flow.clip_flows import ClipFlows

from ..cancelling import Cancelled


class Counting:
    """An engine that knows the truth: frame k has grey level k and is ``k`` pixels to the right."""

    def __init__(self) -> None:
        self.starts: list[tuple[int, int, float | None]] = []

    def __call__(self, a: np.ndarray, b: np.ndarray, init: np.ndarray | None = None) -> np.ndarray:
        i, j = int(a[0, 0]), int(b[0, 0])
        self.starts.append((i, j, None if init is None else float(init[0, 0, 0])))
        return np.tile(np.float32([j - i, 0]), (*a.shape, 1))


def clip_of(frames: int, engine: Counting) -> ClipFlows:
    return ClipFlows((torch.arange(frames) / 255)[:, None, None, None].expand(frames, 4, 30, 3), engine)


def test_far_pairs_start_from_the_chain_of_near_ones() -> None:
    engine = Counting()
    flows = clip_of(5, engine).pairs(3)
    assert set(flows) == {(i, j) for i in range(5) for j in range(5) if 1 <= abs(i - j) <= 3}
    for i, j, start in engine.starts:
        assert start == (None if abs(i - j) == 1 else j - i)  # the chain of two exact flows is exact


def test_a_pair_is_measured_once_whoever_asks() -> None:
    engine = Counting()
    clip = clip_of(4, engine)
    pairs = clip.pairs(3)
    asked = len(engine.starts)
    assert clip.progressive(0, 3) is pairs[0, 3] and clip.measure(1, 2) is pairs[1, 2] and len(engine.starts) == asked
    clip.measure(0, 3)  # without a start it is another measurement
    clip.measure(0, 3, np.ones((4, 30, 2), np.float32))
    assert engine.starts[asked:] == [(0, 3, None), (0, 3, 1.0)]


def test_pairs_report_every_step_and_can_be_stopped() -> None:
    seen: list[tuple[int, int]] = []

    def stop(done: int, total: int, preview: object = None) -> None:
        seen.append((done, total))
        if done == 4:
            raise Cancelled

    with pytest.raises(Cancelled):
        clip_of(3, Counting()).pairs(2, stop)
    assert seen == [(k, 6) for k in (1, 2, 3, 4)]


def test_what_is_no_clip_is_refused() -> None:
    with pytest.raises(InputError, match="a clip of shape"):
        ClipFlows(torch.zeros(3, 4, 5))
