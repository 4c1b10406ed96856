"""Depth pictures in: folders of grey pictures of any bit depth, or of arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from .frame_times import pick_evenly
from .images import natural_key

DEPTH_SUFFIXES = {".png", ".tif", ".tiff", ".jpg", ".jpeg", ".webp", ".bmp", ".npy"}


def read_depth_folder(folder: Path | str, frames: int | None = None) -> Tensor:
    """Depth pictures ``(F, H, W)`` float32 of a folder in natural order, in whatever units they have.

    Sixteen bits and floats keep all their levels; of coloured pictures the mean of the channels is taken.

    Args:
        folder: Grey pictures, or ``.npy`` arrays ``(H, W)``.
        frames: How many to keep, evenly spread as a clip's frames are; all when None.

    Raises:
        InputError: No pictures, too few, unreadable ones, different sizes, or NaN.
    """
    folder = Path(folder)
    files = sorted(
        (p for p in folder.iterdir() if p.suffix.lower() in DEPTH_SUFFIXES and not p.name.startswith(".")),
        key=natural_key,
    )
    if not files or (frames is not None and len(files) < frames):
        raise InputError(
            f"the folder {folder} with {len(files)} depth pictures",
            "at least one" if frames is None else f"at least {frames}, one a frame",
            "choose the folder that holds the depth of the freeze-time clip",
        )
    pictures = [_read(files[i]) for i in pick_evenly(len(files), frames)]
    if any(p.shape != pictures[0].shape for p in pictures):
        raise InputError(f"depth pictures of different sizes in {folder}", "one size", "resize them")
    return torch.from_numpy(np.stack(pictures))


def _read(path: Path) -> np.ndarray:
    from ..needed.opencv import cv2

    try:
        if path.suffix.lower() == ".npy":
            found = np.load(path, allow_pickle=False)
        else:
            found = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    except (OSError, ValueError, cv2.error) as err:
        raise InputError(f"{path} can't be read ({err})", "a grey picture or an array", "write it again") from err
    if found is None or found.ndim not in (2, 3) or found.dtype.kind not in "uif":
        raise InputError(
            f"{path} can't be read as a picture", "a grey picture or an array (height, width)", "write it again"
        )
    if found.ndim == 3:
        found = found[..., :3].mean(-1)
    if not np.isfinite(found).all():
        raise InputError(
            f"{path} has NaN or infinite pixels", "finite values", "replace what is not known by the farthest"
        )
    depth: np.ndarray = found.astype(np.float32)
    return depth
