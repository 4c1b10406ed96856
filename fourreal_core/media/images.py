"""Single pictures: read as RGB whatever they were stored as, written as PNG."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from .files import write_bytes

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
    return to_float(resize(read_pictures(path)[0], size))


def read_mask(path: Path | str, size: tuple[int, int]) -> Tensor:
    """Reads a mask of pixels to look at, ``(H, W)`` bool: true where the picture is not black.

    Args:
        path: A picture; black hides pixels.
        size: ``(height, width)`` of the frames. A mask of another size is resized, and a pixel of which any part is
            hidden is hidden.

    Raises:
        InputError: Not a picture, of another aspect ratio, or with nothing left to look at.
    """
    valid = (read_image(path) > 0).any(-1)
    h, w = valid.shape
    if abs(w / h / (size[1] / size[0]) - 1) > 0.02:
        raise InputError(
            f"the mask {path} of {w} x {h} pixels",
            f"the aspect ratio of the frames, {size[1]} x {size[0]}",
            "draw it on a frame of the clip",
        )
    if (h, w) != size:
        from ..needed.opencv import cv2

        area = cv2.resize(
            valid.numpy().astype(np.float32),
            (size[1], size[0]),
            interpolation=cv2.INTER_AREA if h > size[0] else cv2.INTER_LINEAR,
        )
        valid = torch.from_numpy(area > 1 - 1e-3)
    if not bool(valid.any()):
        raise InputError(
            f"the mask {path} hides every pixel",
            "some pixels that are not black",
            "paint black only what should be ignored",
        )
    return valid


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


def read_pictures(path: Path) -> list[np.ndarray]:
    """All pictures of a file (an animated WebP or GIF has many) as ``(H, W, 3)`` uint8 RGB."""
    from ..needed.pictures import iio

    try:
        with iio.imopen(path, "r", plugin="pillow") as file:
            mode = file.metadata(index=0).get("mode", "")
            if mode.startswith("I") or mode == "F":
                return [_deep_to_rgb(picture, path) for picture in file.iter()]
            reader: Any = file  # the plugin's own options are not part of imageio's types
            return [_over_black(picture) for picture in reader.iter(mode="RGBA", rotate=True)]
    except InputError:
        raise
    except Exception as err:  # each codec has its own exceptions for the same thing: these bytes are no picture
        raise InputError(
            f"{path} can't be read as a picture ({type(err).__name__}: {err})",
            "a PNG, JPEG, WebP, GIF, BMP or TIFF file",
            "convert it or choose another file",
        ) from err


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
    return torch.from_numpy(np.ascontiguousarray(pictures)).float() / 255


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


def _over_black(picture: np.ndarray) -> np.ndarray:
    rgb, alpha = picture[..., :3], picture[..., 3:]
    if alpha.min() == 255:
        return np.ascontiguousarray(rgb)
    laid: np.ndarray = (rgb.astype(np.uint16) * alpha + 127) // 255
    return laid.astype(np.uint8)


def _deep_to_rgb(picture: np.ndarray, path: Path) -> np.ndarray:
    if picture.dtype.kind == "f":
        if not np.isfinite(picture).all() or picture.min() < 0 or picture.max() > 1:
            raise InputError(
                f"{path} has values from {picture.min():.3g} to {picture.max():.3g}",
                "finite values in [0, 1]",
                "save it as an 8-bit PNG",
            )
        grey = (picture * 255).round().astype(np.uint8)
    else:
        grey = (picture.astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, -1)
