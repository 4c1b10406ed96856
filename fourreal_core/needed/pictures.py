"""imageio, which reads and writes pictures."""

from __future__ import annotations

from . import missing

try:
    import imageio.v3 as iio
    import PIL.Image  # noqa: F401 - what imageio reads pictures with
except Exception as error:  # missing, or broken in its own way
    raise missing("imageio", error, "imageio") from error

__all__ = ["iio"]
