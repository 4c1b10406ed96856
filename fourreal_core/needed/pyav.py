"""PyAV, which reads and writes videos."""

from __future__ import annotations

from . import missing

try:
    import av
    from av.filter import Graph, filters_available
    from av.video.reformatter import ColorRange, Colorspace, Interpolation
except Exception as error:  # missing, or broken in its own way
    raise missing("PyAV", error, "av") from error

__all__ = ["ColorRange", "Colorspace", "Graph", "Interpolation", "av", "filters_available"]
