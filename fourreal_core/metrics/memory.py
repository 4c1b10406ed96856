"""The most memory this process has held, and what is free, measured without further dependencies where that works."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

_STATUS, _MEMINFO = Path("/proc/self/status"), Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")
_LIMITS = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)
"""Of a container, in control groups of version 2 and 1: bytes that it may take, that it takes, and what they are."""


def peak_memory_mb() -> tuple[float | None, str]:
    """High-water mark of this process's resident memory.

    Returns:
        MiB, and the source of the figure; or None, and why there is none.
    """
    peak = _proc_mb(_STATUS, "VmHWM:")
    if peak is not None:  # getrusage would count what started this process, too
        return peak, "VmHWM of /proc/self/status"
    try:
        import resource
    except ImportError:
        return _windows_peak()
    unit = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, the others KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, "getrusage ru_maxrss"


def return_freed_memory() -> None:
    """Gives memory that was freed back to the system, where the C library keeps it for itself (glibc does).

    Frames and flows come and go by the megabyte; what they leave between what stays would else count as taken until
    the process ends.
    """
    if sys.platform != "linux":
        return
    import ctypes

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def free_memory_mb() -> float | None:
    """MiB that new work can take without others' being pushed out, within the limit of a container.

    Returns:
        None where neither the system nor an installed psutil tells.
    """
    free = _proc_mb(_MEMINFO, "MemAvailable:")
    if free is None:
        try:
            import psutil
        except ImportError:
            return None
        free = psutil.virtual_memory().available / 2**20
    limits = (_group_mb(*names) for names in _LIMITS)
    return max(0.0, min([free, *(left for left in limits if left is not None)]))


def _proc_mb(path: Path, name: str) -> float | None:
    """A line of Linux's accounts, in MiB; None elsewhere."""
    try:
        return next(int(line.split()[1]) / 2**10 for line in path.read_text().splitlines() if line.startswith(name))
    except (OSError, StopIteration, ValueError):
        return None


def _group_mb(limit: str, usage: str, kinds: str) -> float | None:
    """MiB left to a control group; None where there is none, or no limit."""
    try:
        most, used = (int((_GROUP / name).read_text()) for name in (limit, usage))
        counts = dict(line.split() for line in (_GROUP / kinds).read_text().splitlines())
    except (OSError, ValueError):  # "max" is no number
        return None
    cached = int(counts.get("total_inactive_file", counts.get("inactive_file", 0)))  # files that may go at any time
    return (most - used + cached) / 2**20


def _windows_peak() -> tuple[float | None, str]:
    import ctypes

    class Counters(ctypes.Structure):
        _fields_ = [
            ("cb", ctypes.c_uint32),
            ("PageFaultCount", ctypes.c_uint32),
            *(
                (name, ctypes.c_size_t)
                for name in (
                    "PeakWorkingSetSize",
                    "WorkingSetSize",
                    "QuotaPeakPagedPoolUsage",
                    "QuotaPagedPoolUsage",
                    "QuotaPeakNonPagedPoolUsage",
                    "QuotaNonPagedPoolUsage",
                    "PagefileUsage",
                    "PeakPagefileUsage",
                )
            ),
        ]

    try:
        library: Any = getattr(ctypes, "windll")  # noqa: B009 - other systems' types don't know it
        kernel, info = library.kernel32, Counters()
        kernel.GetCurrentProcess.restype = ctypes.c_void_p
        read = kernel.K32GetProcessMemoryInfo
        read.argtypes = [ctypes.c_void_p, ctypes.POINTER(Counters), ctypes.c_uint32]
        info.cb = ctypes.sizeof(info)
        if not read(kernel.GetCurrentProcess(), ctypes.byref(info), info.cb):
            return None, "GetProcessMemoryInfo failed"
    except (AttributeError, OSError) as err:
        return None, f"no resource module and no Windows API here ({err})"
    return info.PeakWorkingSetSize / 2**20, "GetProcessMemoryInfo PeakWorkingSetSize"
