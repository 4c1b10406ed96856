"""Running one compiled kernel on several threads.

The kernels release the interpreter's lock and take their work from a shared counter, so plain threads are enough.
Unlike numba's own parallel loops this needs no threading layer, survives a fork, and may be called from several threads
at once.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch


def worker_count() -> int:
    """How many threads to use: as many as torch uses."""
    return torch.get_num_threads()


def run_on_workers(kernel: Callable[..., None], *arguments: object) -> None:
    """Calls ``kernel(counter, *arguments)`` on every worker at once, this thread among them.

    Args:
        kernel: Takes numbers from ``counter``, an int64 array of one element that is 0 at first, until none is left.
        arguments: The same for all workers.
    """
    counter = np.zeros(1, np.int64)
    others = worker_count() - 1
    if others == 0:
        kernel(counter, *arguments)
        return
    pool = _pool(others)
    pending = [pool.submit(kernel, counter, *arguments) for _ in range(others)]
    kernel(counter, *arguments)
    for result in pending:
        result.result()


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="rasterizer")


if hasattr(os, "register_at_fork"):  # a forked child has the pool, but not its threads
    os.register_at_fork(after_in_child=_pool.cache_clear)
