"""Progress callbacks and the stage clock."""

from __future__ import annotations

import pytest

from fourreal_core import progress
from fourreal_core.progress import StageClock, no_progress, no_stages

from .cancelling import Cancelled


def test_the_clock_adds_up_stages_in_the_order_they_ran(monkeypatch):
    now = iter([0.0, 1.0, 10.0, 12.5, 20.0, 24.0])
    monkeypatch.setattr(progress, "perf_counter", lambda: next(now))
    clock = StageClock()
    for name in ("depth", "tracks", "depth"):
        with clock(name):
            pass
    assert list(clock.seconds.items()) == [("depth", 5.0), ("tracks", 2.5)]


def test_a_stage_that_fails_is_timed_and_its_error_passes(monkeypatch):
    now = iter([0.0, 3.0])
    monkeypatch.setattr(progress, "perf_counter", lambda: next(now))
    clock = StageClock()
    with pytest.raises(Cancelled), clock("fit"):
        raise Cancelled
    assert clock.seconds == {"fit": 3.0}


def test_nobody_listening_takes_every_report():
    assert no_stages("depth") is no_progress
    assert no_progress(1, 2) is None
