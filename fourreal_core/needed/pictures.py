"""imageio, which writes pictures, and Pillow, which reads them."""

from __future__ import annotations

from . import missing

try:
    import imageio.v3 as iio
    from PIL import Image, ImageOps
except Exception as error:  # missing, or broken in its own way
    raise missing("imageio", error, "imageio") from error

__all__ = ["Image", "ImageOps", "iio"]
