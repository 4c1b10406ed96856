"""The most memory this process has held, measured without further dependencies."""

from __future__ import annotations

import sys
from typing import Any


def peak_memory_mb() -> tuple[float | None, str]:
    """High-water mark of this process's resident memory.

    Returns:
        MiB, and the source of the figure; or None, and why there is none.
    """
    try:
        import resource
    except ImportError:
        return _windows_peak()
    unit = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, the others KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, "getrusage ru_maxrss"


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
