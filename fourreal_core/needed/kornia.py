"""kornia, which warps the pictures of pseudo-4D grids."""

from __future__ import annotations

from . import missing

try:
    import kornia.geometry.transform as kgt
except Exception as error:  # missing, or broken in its own way
    raise missing("kornia", error, "kornia") from error

__all__ = ["kgt"]
