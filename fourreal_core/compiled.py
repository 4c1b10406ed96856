"""Decorator of what numba compiles once and keeps on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any


def compiled(fastmath: bool | set[str] = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A kernel that releases the interpreter's lock; modules that use this are themselves imported only in functions.

    numba names its cached files after the function but remembers the package of our types inside them; the host imports
    this package under another name than the command line does, so the module's name takes part in the function's.

    Args:
        fastmath: What numba may reorder in sums, see its own option.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        from numba import njit

        function.__qualname__ += "_" + hashlib.sha256(function.__module__.encode()).hexdigest()[:12]
        kernel: Callable[..., Any] = njit(nogil=True, cache=True, error_model="numpy", fastmath=fastmath)(function)
        return kernel

    return decorate
