"""Spreading work with Ray on this machine: two tests, because each Ray takes seconds to start."""

from __future__ import annotations

import logging

import pytest

from fourreal_core.errors import InputError
from fourreal_core.spread import Needs, SpreadOptions, Tick, spread_work

from .work import gone, slow, square

ray = pytest.importorskip("ray", reason="ray is not installed (the extra [batch])")


def test_values_failures_and_memory(caplog):
    seen: list[Tick] = []
    items = [1, 2, 3, 4, 5]
    with caplog.at_level(logging.WARNING):
        outcomes = {
            o.item: o
            for o in spread_work(
                square, items, SpreadOptions("ray", 1), lambda _: Needs(memory_mb=300), on_tick=seen.append
            )
        }
    failures = {k: o.failure for k, o in outcomes.items()}
    assert {k: o.value for k, o in outcomes.items()} == {1: 1, 2: 4, 3: None, 4: None, 5: None}, failures
    kinds = {k: o.failure.kind for k, o in outcomes.items() if o.failure}
    assert kinds == {3: "input", 4: "error", 5: "memory"}
    assert outcomes[3].failure.sentence == "the number 3; expected another; leave it out."
    assert "more than the 1024 MiB" in outcomes[5].failure.sentence  # twice 300, rounded up to 512
    assert seen[0] == Tick(1, 4) and not ray.is_initialized()
    assert all(o.tries == 1 for o in outcomes.values())


def test_more_than_a_machine_has_is_refused_and_leaving_stops_what_runs(tmp_path):
    with pytest.raises(InputError, match="99 CPUs and 0 GPUs for a job, on machines of at most 1 CPUs"):
        list(spread_work(square, [1], SpreadOptions("ray", 1), lambda _: Needs(cpus=99)))

    def tick(tick: Tick) -> None:
        if (tmp_path / "started").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(spread_work(slow, [str(tmp_path)], SpreadOptions("ray", 1), on_tick=tick))
    assert gone(int((tmp_path / "started").read_text())) and not ray.is_initialized()
