"""Interrupts: raised where they arrive, and again at the next step if they were lost there."""

from __future__ import annotations

import signal
import sys

import pytest

from fourreal_core.cli.bars import StageBars
from fourreal_core.cli.interrupts import check, interruptible


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_was_swallowed_is_raised_at_the_next_step(number):
    before = signal.getsignal(number)
    with StageBars(quiet=True) as bars, interruptible():
        on_step = bars("stage")
        on_step(1, 3)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        with pytest.raises(KeyboardInterrupt):
            on_step(2, 3)
    assert signal.getsignal(number) is before


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.skipif(sys.implementation.name != "cpython", reason="finalisers run at once only in CPython")
def test_a_signal_inside_a_finaliser_is_not_lost():
    class Closing:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    with interruptible():
        thing = Closing()
        del thing  # the interpreter drops what a finaliser raises
        with pytest.raises(KeyboardInterrupt):
            check()


def test_every_command_starts_without_an_old_interrupt():
    with interruptible(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    with interruptible():
        check()
