"""Work on many files of training data, which gives way to training and can be cancelled."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TypeVar

from ...progress import OnStep
from ...spread import SpreadOptions, spread_work

Item = TypeVar("Item")


def work_through(
    work: Callable[[Item], None], items: Sequence[Item], how: int | SpreadOptions, on_step: OnStep, done: int
) -> None:
    """Processes all items; a failure of one of them, or a cancel, ends the others.

    A pool of this machine is the rule and not Ray: training reads what is made while it is made, on the machine where
    it trains, items are alike and small, and nothing has to be installed. On several machines Ray does the same.

    Args:
        work: What is done with one; it and the items can be pickled.
        items: Whatever is left to do.
        how: Processes of this machine, 0 works in this one; or where else.
        on_step: Called after every item.
        done: Items that were done before.

    Raises:
        InputError: What the work raised.
        RuntimeError: It failed otherwise; the message holds the traceback.
    """
    if isinstance(how, int):
        how = SpreadOptions("pool", how) if how > 0 else SpreadOptions("here")
    total = done + len(items)
    with contextlib.closing(spread_work(work, items, how)) as outcomes:
        for k, outcome in enumerate(outcomes, done + 1):
            if outcome.failure is not None:
                raise outcome.failure.as_exception()
            on_step(k, total)
