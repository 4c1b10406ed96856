"""The fast back end for CPUs."""

from __future__ import annotations

from collections.abc import Sequence

from .inputs import Buffers, SplatView
from .options import RasterOptions, Rendered


def unavailable() -> str | None:
    """The reason why this back end can't be used, or None."""
    return "it isn't built yet"


def render(views: Sequence[SplatView], options: RasterOptions, buffers: Buffers | None = None) -> Rendered:
    """Renders all views."""
    raise ValueError("the numba back end isn't built yet")
