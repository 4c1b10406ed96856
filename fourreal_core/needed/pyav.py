"""PyAV, which reads and writes videos."""

from __future__ import annotations

from . import missing

try:
    import av
except Exception as error:  # missing, or broken in its own way
    raise missing("PyAV", error, "av") from error

__all__ = ["av"]
