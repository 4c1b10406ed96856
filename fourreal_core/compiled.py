"""What numba compiles once and keeps on disk, and the plain way that runs where numba can't.

numba may be missing, refuse the NumPy beside it, be switched off, or have no folder to keep its code in. None of
these stops a job: code that can't be kept is compiled anew in every process, and what can't be compiled at all runs as
its plain twin in NumPy, which gives the same but for rounding. Each is said once, in one sentence.
"""

from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Callable
from typing import Any

from .errors import one_line

Function = Callable[..., Any]
log = logging.getLogger(__name__)

_INSTALL = "`python -m pip install -U numba` may help"


class Kernel:
    """A compiled function with its plain twin, which takes over for good when the compiled one fails.

    Attributes:
        plain: The twin.
        compiled: What numba made, None where it can't.
    """

    def __init__(self, function: Function, plain: Function, fastmath: bool | set[str]) -> None:
        self.plain = plain
        self.compiled: Function | None = None
        self._function = function
        self._options: dict[str, Any] = {"fastmath": fastmath}
        self._failed_once = False
        reason = unavailable()
        if reason is None:
            try:
                self.compiled = jitted(function, **self._options)
            except Exception as error:
                reason = f"numba can't compile {function.__name__} ({one_line(error)})"
        if reason is not None:
            announce_plain(reason)

    def __call__(self, *arguments: Any) -> Any:
        kernel = self.compiled
        if kernel is None:
            return self.plain(*arguments)
        try:
            result = kernel(*arguments)
        except MemoryError:
            raise
        except Exception as error:  # kernels raise nothing themselves: it is numba that fails, somehow
            self._go_on_without(kernel, error)
            return self(*arguments)
        if self._failed_once:
            _announce_unkept()
        return result

    def _go_on_without(self, kernel: Function, error: Exception) -> None:
        if self.compiled is not kernel:  # another thread was faster
            return
        if not self._failed_once:  # what lies on disk may be damaged, or the disk full
            self._failed_once = True
            self.compiled = jitted(self._function, keep=False, **self._options)
        else:
            self.compiled = None
            announce_plain(f"numba can't compile {self._function.__name__} ({one_line(error)})")


def compiled(plain: Function, fastmath: bool | set[str] = False) -> Callable[[Function], Kernel]:
    """Decorator of a kernel that releases the interpreter's lock; modules that use it are themselves imported only in
    functions.

    numba names its cached files after the function but remembers the package of our types inside them; the host imports
    this package under another name than the command line does, so the module's name takes part in the function's.

    Args:
        plain: The same without numba: of the same arguments, and with the same results.
        fastmath: What numba may reorder in sums, see its own option.
    """

    def decorate(function: Function) -> Kernel:
        function.__qualname__ += "_" + hashlib.sha256(function.__module__.encode()).hexdigest()[:12]
        return Kernel(function, plain, fastmath)

    return decorate


def part(function: Function | None = None, **options: Any) -> Any:
    """Decorator of what kernels of the same file call; numba's options where there are any."""
    if function is None:
        return functools.partial(part, **options)
    if unavailable() is not None:
        return function  # nobody calls it: the kernels' twins have parts of their own
    from numba import njit

    try:
        return njit(nogil=True, error_model="numpy", **options)(function)
    except Exception:  # the kernels that call it then fail, each with its own twin
        return function


def jitted(function: Function, keep: bool = True, **options: Any) -> Any:
    """numba's own object for a function, kept on disk where that is possible.

    Args:
        function: What to compile.
        keep: Whether to try.
        options: Further ones of numba's.
    """
    from numba import njit

    if keep:
        try:
            return njit(nogil=True, cache=True, error_model="numpy", **options)(function)
        except Exception:  # a RuntimeError where numba finds no folder
            found = njit(nogil=True, error_model="numpy", **options)(function)
            _announce_unkept()
            return found
    return njit(nogil=True, error_model="numpy", **options)(function)


@functools.cache
def unavailable() -> str | None:
    """Why numba can't compile here, or None; tried once, on a function of one line."""
    try:
        import numba

        if getattr(numba.config, "DISABLE_JIT", 0):
            return "numba is switched off (NUMBA_DISABLE_JIT is set)"
    except Exception as error:  # missing, or one that doesn't fit NumPy or llvmlite: each raises what it chose to
        return f"numba can't be loaded ({one_line(error)})"
    reason = "it computes wrongly"
    for keep in (True, False):
        try:
            if jitted(_twice, keep)(21) == 42:
                return None
        except Exception as error:
            reason = one_line(error)
    return f"numba can't compile ({reason})"


@functools.cache
def unkept() -> str | None:
    """Why compiled code can't be kept on disk, or None; asked only where numba works."""
    from numba import njit

    try:
        njit(nogil=True, cache=True)(_twice)(21)
    except Exception as error:
        return one_line(error)
    return None


def announce_plain(reason: str) -> None:
    """Warns, once a reason, that the plain way runs."""
    remedy = "unset it" if "NUMBA_DISABLE_JIT" in reason else _INSTALL
    _warn(f"{reason}: plain NumPy and torch do its work, with the same result but more slowly; {remedy}")


def _announce_unkept() -> None:
    _warn(
        "numba can't keep compiled code on disk: it is compiled anew in every process, which takes about a minute; set "
        "NUMBA_CACHE_DIR to a folder that can be written"
    )


@functools.cache
def _warn(sentence: str) -> None:
    log.warning(sentence)


def _twice(number: int) -> int:
    return 2 * number
