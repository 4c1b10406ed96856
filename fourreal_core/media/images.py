"""Single pictures: read as RGB whatever they were stored as, written as PNG."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from .files import write_bytes
from .picture_files import first_picture

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
"""What counts as a picture in a folder of pictures."""


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Sort key that puts ``frame2`` before ``frame10``."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in parts]


def read_image(path: Path | str, size: tuple[int, int] | None = None) -> Tensor:
    """Reads a picture as RGB ``(H, W, 3)`` float32 in ``[0, 1]``.

    EXIF orientation is applied, grey and palette pictures become RGB, transparency is laid over black, 16-bit values
    keep their upper 8 bits.

    Args:
        path: A picture file.
        size: ``(height, width)`` to resize to.

    Raises:
        InputError: Missing, empty or not a picture.
    """
    path = Path(path)
    check_readable(path)
    with path.open("rb") as file:
        return to_float(resize(first_picture(str(path), file), size))


def save_image(image: Tensor, path: Path | str) -> Path:
    """Writes ``(H, W, 3)``, or ``(H, W, 4)`` with straight alpha, in ``[0, 1]`` as an 8-bit PNG, whole or not at all.

    Frames that were read from 8-bit files are written with exactly the values they were read with.

    Raises:
        InputError: The folder can't be written or is full.
    """
    return write_bytes(path, png_bytes(to_uint8(image)))


def png_bytes(image: np.ndarray) -> bytes:
    """PNG file contents of ``(H, W, 3)`` uint8 RGB, or ``(H, W, 4)`` RGBA."""
    from ..needed.pictures import iio

    return iio.imwrite("<bytes>", image, extension=".png", plugin="pillow", compress_level=4)


def webp_bytes(image: np.ndarray, quality: int = 85) -> bytes:
    """WebP file contents, with losses, of ``(H, W, 3)`` uint8 RGB."""
    from ..needed.pictures import iio

    return iio.imwrite("<bytes>", image, extension=".webp", plugin="pillow", quality=quality)


def check_readable(path: Path) -> None:
    """Raises InputError when ``path`` is missing, not a file, or has no bytes."""
    if not path.exists():
        raise InputError(f"{path} does not exist", "a file", "check the path")
    if not path.is_file():
        raise InputError(f"{path} is not a file", "a file", "check the path")
    if path.stat().st_size == 0:
        raise InputError(f"{path} has 0 bytes", "a complete file", "write or download it again")


def resize(picture: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """``(H, W, 3)`` uint8 at another ``(height, width)``: averaged when made smaller, cubic when made larger."""
    if size is None or picture.shape[:2] == size:
        return picture
    from ..needed.opencv import cv2

    smaller = size[0] * size[1] < picture.shape[0] * picture.shape[1]
    return cv2.resize(picture, (size[1], size[0]), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)


def to_float(pictures: np.ndarray) -> Tensor:
    """uint8 to float32 in ``[0, 1]``."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).float().div_(255)


def to_uint8(frames: Tensor) -> np.ndarray:
    """Frames in ``[0, 1]`` to uint8, rounded to nearest; the inverse of ``to_float``.

    Raises:
        InputError: NaN or infinite pixels, which no file can hold.
    """
    if not bool(torch.isfinite(frames).all()):
        raise InputError(
            "frames with NaN or infinite pixels",
            "finite values in [0, 1]",
            "find the step before this one that divides by zero",
        )
    return (frames.detach().clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
