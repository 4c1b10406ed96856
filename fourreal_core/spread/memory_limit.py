"""A bound on the memory that a piece of work may take, so that one of them can't take a machine from the others."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError

_REFUSED = ("can't allocate memory", "cannot allocate memory", "insufficient memory", "failed to allocate", "bad_alloc")
_STATUS = Path("/proc/self/status")


class MemoryExceeded(InputError):
    """Work asked for more memory than it may have."""

    def __init__(self, limit_mb: int) -> None:
        super().__init__(
            f"the job needed more than the {limit_mb} MiB of memory that it may take",
            "a job that fits",
            "say more with the column memory_mb or with --memory, or ask for a smaller size",
        )
        self.limit_mb = limit_mb

    def __reduce__(self) -> tuple[type[MemoryExceeded], tuple[int]]:  # type: ignore[override]
        return MemoryExceeded, (self.limit_mb,)


@contextlib.contextmanager
def limited_memory(mb: int | None) -> Iterator[None]:
    """While it lasts, this process gets at most ``mb`` MiB beyond what it has; only Linux can hold it to that.

    The bound is the kernel's own (``RLIMIT_DATA``: what the process may write to and shares with nobody), so an
    allocation that goes beyond it fails in the work that asked for it, and its neighbours never notice.

    Args:
        mb: The bound; None sets none.

    Raises:
        MemoryExceeded: The work asked for more.
    """
    held = _data_kib()
    if mb is None or held is None:
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    limit = held * 1024 + mb * 2**20
    if before[1] != resource.RLIM_INFINITY:
        limit = min(limit, before[1])
    resource.setrlimit(resource.RLIMIT_DATA, (limit, before[1]))
    try:
        yield
    except Exception as err:
        if not _out_of_memory(err):
            raise
        raise MemoryExceeded(mb) from err
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _data_kib() -> int | None:
    """KiB that count against the bound already; None where the system doesn't say."""
    if sys.platform != "linux":
        return None
    try:
        lines = _STATUS.read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmData:"))
    except (OSError, StopIteration, ValueError):
        return None


def _out_of_memory(err: BaseException) -> bool:
    """Whether an exception, or one behind it, is a refused allocation; torch and OpenCV have own words for it."""
    seen: BaseException | None = err
    while seen is not None:
        if isinstance(seen, MemoryError) or any(words in str(seen).lower() for words in _REFUSED):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
