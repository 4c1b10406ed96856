"""Figures of the pictures themselves: against the truth, flicker, sharpness."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..flow.flow_field import to_gray
from ..metrics import psnr, ssim
from ..metrics.consistency import AXES, change_psnr
from .grids import EvaluatedGrid

FLICKER_BLOCK_PX = 32
"""Side of the blocks whose mean luma is followed in time."""

Cells = dict[tuple[int, int], float]


def truth_cells(grid: EvaluatedGrid, truth: EvaluatedGrid) -> dict[str, Cells]:
    """``psnr`` and ``ssim`` of every scored cell, over the pixels that count."""
    found: dict[str, Cells] = {"psnr": {}, "ssim": {}}
    for v, t in grid.scored.nonzero().tolist():
        found["psnr"][v, t] = psnr(grid.frames[v, t], truth.frames[v, t], grid.valid)
        found["ssim"][v, t] = ssim(grid.frames[v, t], truth.frames[v, t], grid.valid)
    return found


def change_figures(grid: EvaluatedGrid, truth: EvaluatedGrid) -> dict[str, float]:
    """``temporal_psnr`` and ``view_psnr`` over the scored cells whose cell before is in the truth, see change_psnr."""
    found = {}
    for name, axis in (("temporal_psnr", "time"), ("view_psnr", "view")):
        before = torch.zeros_like(grid.scored)
        size = truth.there.shape[AXES[axis]]
        before.narrow(AXES[axis], 1, size - 1).copy_(truth.there.narrow(AXES[axis], 0, size - 1))
        counts = grid.scored & before
        if bool(counts.any()):
            found[name] = float(change_psnr(grid.frames, truth.frames, axis, counts).mean())
    return found


def flicker(rows: Tensor, valid: Tensor) -> float | None:
    """Mean absolute second difference in time of block luma, in 8-bit grey levels; None for fewer than three times.

    Motion at a steady pace changes a block steadily and costs little; light that comes and goes costs in full.

    Args:
        rows: ``(V, T, H, W, 3)`` in ``[0, 1]``.
        valid: ``(H, W)`` bool; blocks with an invalid pixel don't count.
    """
    views, times, h, w = rows.shape[:4]
    if times < 3:
        return None
    block = min(FLICKER_BLOCK_PX, h, w)
    tall, wide = h // block, w // block
    luma = torch.from_numpy(np.stack(to_gray(rows.reshape(-1, h, w, 3)))).float()
    blocks = luma[:, : tall * block, : wide * block].reshape(views, times, tall, block, wide, block).mean((3, 5))
    whole = valid[: tall * block, : wide * block].reshape(tall, block, wide, block).all(3).all(1)
    if not bool(whole.any()):
        return None
    return float(blocks.diff(dim=1).diff(dim=1).abs()[:, :, whole].mean())


def sharpness(grid: EvaluatedGrid) -> Cells:
    """Mean absolute Laplacian of every cell that was not given, over that of its view's given cell at time 0."""
    found: Cells = {}
    for v in range(grid.shape[0]):
        if not bool(grid.given[v, 0] & grid.there[v, 0]):
            continue
        sharp = _laplacian(grid.frames[v, 0], grid.valid)
        for t in range(1, grid.shape[1]):
            if bool(grid.there[v, t] & ~grid.given[v, t]) and sharp > 0:
                found[v, t] = _laplacian(grid.frames[v, t], grid.valid) / sharp
    return found


def _laplacian(frame: Tensor, valid: Tensor) -> float:
    from ..needed.opencv import cv2

    curved = cv2.Laplacian(to_gray(frame[None])[0].astype(np.float32), cv2.CV_32F, ksize=1)
    return float(np.abs(curved)[valid.cpu().numpy()].mean())
