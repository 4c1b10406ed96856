"""Work on many files in processes of their own, which gives way to training and can be cancelled."""

from __future__ import annotations

import concurrent.futures
import functools
import os
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from ...progress import OnStep

Item = TypeVar("Item")


def work_through(work: Callable[[Item], None], items: Sequence[Item], workers: int, on_step: OnStep, done: int) -> None:
    """Processes all items; an exception of one of them, or a cancel, ends the others.

    Args:
        work: What is done with one; it and the items can be pickled.
        items: Whatever is left to do.
        workers: Processes; 0 works in this one.
        on_step: Called after every item.
        done: Items that were done before.
    """
    total = done + len(items)
    if workers < 1:
        for k, item in enumerate(items, done + 1):
            work(item)
            on_step(k, total)
        return
    import multiprocessing

    context = multiprocessing.get_context("spawn")  # a forked child would inherit half of torch's threads
    with concurrent.futures.ProcessPoolExecutor(workers, context, _one_thread) as pool:
        try:
            tasks = [pool.submit(functools.partial(work, item)) for item in items]
            for k, task in enumerate(concurrent.futures.as_completed(tasks), done + 1):
                task.result()
                on_step(k, total)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _one_thread() -> None:
    torch.set_num_threads(1)
    if hasattr(os, "nice"):
        os.nice(5)
