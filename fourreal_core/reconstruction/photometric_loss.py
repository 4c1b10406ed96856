"""Rendering losses over the valid pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from ..rasterizer.numba_backend import give_up, unavailable
from .ssim import similarity


def photometric_loss(image: Tensor, truth: Tensor, valid: Tensor, ssim_weight: float) -> Tensor:
    """L1 and structural dissimilarity, mixed.

    Args:
        image: ``(H, W, 3)`` render.
        truth: ``(H, W, 3)`` in ``[0, 1]``.
        valid: ``(H, W)`` bool, pixels that count; or by how much they do.
        ssim_weight: Share of ``(1 - SSIM) / 2`` in ``[0, 1]``; the rest is L1.
    """
    if ssim_weight > 0 and image.device.type == "cpu" and image.dtype == truth.dtype == torch.float32 and _compiled():
        from .fused_loss import fused_loss

        try:
            return fused_loss(image, truth, valid, ssim_weight)
        except MemoryError:
            raise
        except Exception as error:  # numba's, at its first call
            give_up(error)
    return plain_loss(image, truth, valid, ssim_weight)


def plain_loss(image: Tensor, truth: Tensor, valid: Tensor, ssim_weight: float) -> Tensor:
    """The same by torch alone, in any precision and on any device: the definition."""
    mass = valid.sum().clamp_min(1)
    l1 = ((image - truth).abs().mean(-1) * valid).sum() / mass
    if ssim_weight == 0:
        return l1
    score = similarity(image, truth).mean(-1)
    return (1 - ssim_weight) * l1 + ssim_weight * (((1 - score) / 2) * valid).sum() / mass


def _compiled() -> bool:
    return unavailable() is None


def missing_code() -> bool:
    """Whether the compiled twin of the loss, where there is one, lies neither in memory nor in the cache on disk."""
    if not _compiled():
        return False
    from ..rasterizer.compiling import has_code
    from .photometric_kernel import gradient_bands

    return not has_code(gradient_bands)


def warm_up() -> None:
    """Measures a loss of small pictures, whereby its compiled twin is made and kept on disk."""
    with torch.inference_mode(False):
        picture = torch.zeros(16, 16, 3)
        photometric_loss(picture, picture.clone(), torch.ones(16, 16, dtype=torch.bool), 0.2)
