"""Whether a grid changes along time and along view as the truth does: flicker and jumping subjects cost here.

A cell can look right by itself and still not follow its neighbour. So the *changes* between neighbouring cells are
compared: ``I[v, t] - I[v, t - 1]`` for consistency in time, ``I[v, t] - I[v - 1, t]`` across views.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InputError

AXES = {"view": 0, "time": 1}


def change_psnr(frames: Tensor, truth: Tensor, axis: str, cells: Tensor | None = None) -> Tensor:
    """PSNR of the change to every cell from the one before it, against the true change.

    Args:
        frames: ``(V, T, H, W, 3)`` in ``[0, 1]``.
        truth: Of the same shape.
        axis: ``time`` or ``view``.
        cells: ``(V, T)`` bool, the cells that count; all when None. Their neighbours count only as neighbours.

    Returns:
        Decibels of the cells that count and have a cell before them, ``(N,)``, in the grid's order. The peak is 1, the
        greatest change that one direction knows; equal changes give 100 dB.

    Raises:
        InputError: Other shapes or another axis, or no cell that counts.
    """
    if axis not in AXES or frames.shape != truth.shape or frames.ndim != 5:
        raise InputError(
            f"grids of shapes {tuple(frames.shape)} and {tuple(truth.shape)} along {axis!r}",
            "one shape (V, T, H, W, 3), and an axis " + " or ".join(AXES),
            "compare the same cells",
        )
    error = (frames.float().diff(dim=AXES[axis]) - truth.float().diff(dim=AXES[axis])) ** 2
    counts = torch.ones(frames.shape[:2], dtype=torch.bool) if cells is None else cells
    counts = counts.narrow(AXES[axis], 1, counts.shape[AXES[axis]] - 1).to(error.device)
    if not bool(counts.any()):
        raise InputError("no cell with one before it", "at least one", "count more cells, or compare a larger grid")
    return -10 * torch.log10(error.flatten(2).mean(-1)[counts].clamp_min(1e-10))
