"""How the numba code is compiled, and when what is cached on disk is still valid."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from numba import njit

from ..compiled import jitted, unkept

_SOURCES = (
    "binning.py",
    "compiling.py",
    "compositing.py",
    "depth_order.py",
    "gradients.py",
    "simd.py",
    "staging.py",
)

# division by zero gives an infinity instead of an exception, whose test would cost a branch each
inlined = njit(forceinline=True, error_model="numpy")
"""Decorator of a part of a kernel that is inlined wherever it is called."""

part = njit(nogil=True, error_model="numpy")
"""Decorator of a part of a kernel that stays a function of its own."""


def kernel(function: Callable[..., None]) -> Callable[..., None]:
    """Decorator of what Python calls: releases the interpreter's lock, compiled once and cached on disk.

    numba takes a cached kernel for valid as long as the file that it stands in is unchanged, and doesn't see that a
    part from another file is compiled into it; and its index names our types by the package they were imported under,
    which is one name for the host and another for the command line. The cache's files are named after the function, so
    its name gets a digest of all the kernels' sources and of the package.
    """
    function.__qualname__ += f"_{_OWNER}"
    return cast(Callable[..., None], jitted(function))


def has_code(compiled: Any) -> bool:
    """Whether a kernel is loaded, or lies in the cache on disk."""
    if compiled.signatures:
        return True
    try:
        return Path(compiled._cache._cache_file._index_path).exists()
    except AttributeError:  # nothing is kept; or this is numba's own affair, and what isn't known isn't announced
        return unkept() is None


def _digest() -> str:
    folder = Path(__file__).parent
    return hashlib.sha256(b"".join((folder / name).read_bytes() for name in _SOURCES)).hexdigest()


_OWNER = hashlib.sha256(f"{__name__} {_digest()}".encode()).hexdigest()[:12]
