"""One completed grid against the truth, in the figures of the ablation table."""

from __future__ import annotations

from torch import Tensor

from ..errors import InputError
from .consistency import change_psnr
from .image_quality import psnr, ssim

FIGURES = ("psnr", "ssim", "subject_psnr", "temporal_psnr", "view_psnr")


def grid_quality(frames: Tensor, truth: Tensor, subject: Tensor, known: Tensor) -> dict[str, float]:
    """Figures of the cells that were not given.

    Args:
        frames: ``(V, T, H, W, 3)`` in ``[0, 1]``, completed.
        truth: Of the same shape.
        subject: ``(V, T, H, W)`` bool, what moves.
        known: ``(V, T)`` bool, the cells that were given.

    Returns:
        Means over the cells: ``psnr`` in dB and ``ssim``; ``subject_psnr`` over the subject's pixels, of the cells that
        show it, left out where none does; ``temporal_psnr`` and ``view_psnr``, see consistency.change_psnr.

    Raises:
        InputError: Shapes that don't fit, or every cell given.
    """
    if frames.shape != truth.shape or subject.shape != truth.shape[:4] or known.shape != truth.shape[:2]:
        raise InputError(
            f"a grid {tuple(frames.shape)}, a truth {tuple(truth.shape)}, masks {tuple(subject.shape)} "
            f"and known cells {tuple(known.shape)}",
            "one grid's",
            "compare the same cells",
        )
    cells = (~known).nonzero().tolist()
    if not cells:
        raise InputError("a grid in which every cell was given", "cells to score", "give fewer")
    pairs = [(frames[v, t], truth[v, t]) for v, t in cells]
    shown = [psnr(frames[v, t], truth[v, t], subject[v, t]) for v, t in cells if bool(subject[v, t].any())]
    found = {
        "psnr": sum(psnr(a, b) for a, b in pairs) / len(cells),
        "ssim": sum(ssim(a, b) for a, b in pairs) / len(cells),
    }
    if shown:
        found["subject_psnr"] = sum(shown) / len(shown)
    for name, axis in (("temporal_psnr", "time"), ("view_psnr", "view")):
        found[name] = float(change_psnr(frames, truth, axis, ~known).mean())
    return found
