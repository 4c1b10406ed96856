"""Spreading work in this process and over a pool; what Ray does is in test_ray.py."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from fourreal_core.errors import InputError
from fourreal_core.spread import MemoryExceeded, Needs, SpreadOptions, Tick, limited_memory, spread_work

from .work import always_dies, dies_once, gone, slow, square

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals that kill are POSIX's")


@pytest.mark.parametrize("options", [SpreadOptions("here"), SpreadOptions("pool", 1), SpreadOptions("threads", 2)])
def test_values_and_failures_come_one_an_item(options):
    outcomes = {o.item: o for o in spread_work(square, [1, 2, 3, 4], options)}
    assert {k: o.value for k, o in outcomes.items()} == {1: 1, 2: 4, 3: None, 4: None}
    assert outcomes[3].failure.kind == "input"
    assert outcomes[3].failure.sentence == "the number 3; expected another; leave it out."
    assert outcomes[4].failure.kind == "error" and "KeyError: 'four'" in outcomes[4].failure.sentence
    assert "square" in outcomes[4].failure.traceback
    assert isinstance(outcomes[3].failure.as_exception(), InputError)
    assert isinstance(outcomes[4].failure.as_exception(), RuntimeError)


def test_items_are_drawn_only_as_room_comes():
    drawn = []

    def items() -> Iterator[int]:
        for i in range(100_000):
            drawn.append(i)
            yield 7

    outcomes = spread_work(square, items(), SpreadOptions("pool", 1))
    assert next(outcomes).value == 49
    outcomes.close()
    assert len(drawn) <= 4


@POSIX
def test_what_a_dying_process_held_starts_again(tmp_path):
    (outcome,) = spread_work(dies_once, [str(tmp_path)], SpreadOptions("pool", 1))
    assert outcome.failure is None and outcome.tries == 2 and len(set(outcome.value.split())) == 2


@POSIX
def test_what_always_kills_its_process_is_given_up_and_the_others_are_done():
    outcomes = {o.item: o for o in spread_work(always_dies, range(3), SpreadOptions("pool", 1, retries=2))}
    assert outcomes[1].failure.kind == "lost" and outcomes[1].tries == 3
    assert "ended by itself" in outcomes[1].failure.sentence
    # a neighbour that was under way may have been lost as often
    assert all(outcomes[i].value == i or outcomes[i].tries == 3 for i in (0, 2))


@POSIX
def test_leaving_stops_what_runs(tmp_path):
    def tick(tick: Tick) -> None:
        if (tmp_path / "started").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(spread_work(slow, [str(tmp_path)], SpreadOptions("pool", 1), on_tick=tick))
    assert gone(int((tmp_path / "started").read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="the bound is Linux's")
def test_memory_beyond_the_bound_is_refused_and_the_bound_ends():
    with pytest.raises(MemoryExceeded, match="more than the 300 MiB of memory that it may take"), limited_memory(300):
        assert np.ones(2**24).sum() == 2**24  # 128 MiB fit
        np.ones(2**26)
    assert np.ones(2**26).sum() == 2**26


@pytest.mark.skipif(sys.platform != "linux", reason="the bound is Linux's")
def test_the_words_of_torch_and_opencv_for_no_memory_are_understood():
    import cv2
    import torch

    with pytest.raises(MemoryExceeded), limited_memory(300):
        torch.ones(2**27)
    with pytest.raises(MemoryExceeded), limited_memory(300):
        cv2.resize(np.zeros((8, 8, 3), np.float32), (8192, 8192))
    with pytest.raises(MemoryExceeded), limited_memory(300):
        try:
            np.ones(2**27)
        except MemoryError as err:
            raise InputError("a clip that can't be read", "another", "choose it") from err


def test_other_errors_pass_the_bound():
    with pytest.raises(RuntimeError, match="mine"), limited_memory(300):
        raise RuntimeError("mine")


@pytest.mark.parametrize("error", [InputError("a", "b", "c"), MemoryExceeded(5)])
def test_errors_cross_to_other_processes(error):
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error) and str(back) == str(error) and back.remedy == error.remedy


@pytest.mark.parametrize(
    "make",
    [
        lambda: Needs(-1),
        lambda: Needs(gpus=1.5),
        lambda: Needs(memory_mb=0),
        lambda: SpreadOptions("dask"),
        lambda: SpreadOptions("pool", -1),
        lambda: SpreadOptions("pool", address="auto"),
    ],
)
def test_what_makes_no_sense_is_refused(make):
    with pytest.raises(InputError):
        make()
