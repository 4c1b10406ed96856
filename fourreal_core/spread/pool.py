"""Processes of this machine: enough where no memory has to be weighed and no machine can vanish."""

from __future__ import annotations

import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any

from ..errors import InputError
from .interface import Failure, OnTick, Outcome, SpreadOptions, Tick, guarded, outcome_of

_TICK_SECONDS = 0.5


def _lost() -> Failure:
    error = InputError(
        "the process that worked on it ended by itself (memory, most likely)",
        "one that lives",
        "use fewer workers or a smaller size",
    )
    return Failure.of("lost", error)


def pool_outcomes(
    work: Callable[[Any], Any], items: Iterable[Any], options: SpreadOptions, on_tick: OnTick
) -> Generator[Outcome[Any, Any], None, None]:
    """See ``spread_work``. When a process dies, all that were under way start again in new ones."""
    workers = options.workers or os.cpu_count() or 1
    source, again = iter(items), deque[tuple[Any, int]]()
    while True:
        running: dict[concurrent.futures.Future[Any], tuple[Any, int]] = {}
        # a forked child would inherit half of torch's threads
        pool = concurrent.futures.ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _one_thread)
        try:
            while True:
                _fill(pool, work, running, again, source, 2 * workers)
                if not running:
                    return
                on_tick(Tick(min(workers, len(running)), max(0, len(running) - workers)))
                ready = concurrent.futures.wait(running, _TICK_SECONDS, concurrent.futures.FIRST_COMPLETED).done
                for future in ready:
                    item, tries = running[future]
                    value = future.result()
                    del running[future]
                    yield outcome_of(item, value, tries)
        except BrokenProcessPool:
            for item, tries in running.values():
                if tries > options.retries:
                    yield outcome_of(item, _lost(), tries)
                else:
                    again.append((item, tries + 1))
        finally:
            # those that run are not waited for; a pool that is left in peace has none
            for process in list((getattr(pool, "_processes", None) or {}).values()) if running else ():
                with contextlib.suppress(OSError, ValueError):
                    process.terminate()
            pool.shutdown(wait=False, cancel_futures=True)


def _fill(
    pool: concurrent.futures.ProcessPoolExecutor,
    work: Callable[[Any], Any],
    running: dict[concurrent.futures.Future[Any], tuple[Any, int]],
    again: deque[tuple[Any, int]],
    source: Iterator[Any],
    window: int,
) -> None:
    again.extend((item, 1) for item in islice(source, max(0, window - len(running) - len(again))))
    while len(running) < window and again:
        future = pool.submit(guarded, work, again[0][0], None, None)  # a broken pool refuses, and nothing is lost
        running[future] = again.popleft()


def _one_thread() -> None:
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the first process decides
    torch.set_num_threads(1)
    if hasattr(os, "nice"):
        os.nice(5)
