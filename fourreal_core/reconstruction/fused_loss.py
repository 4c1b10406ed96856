"""The photometric loss with its gradient by the compiled kernel, for pictures on the CPU in float32."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

log = logging.getLogger(__name__)


def fused_loss(image: Tensor, truth: Tensor, valid: Tensor, ssim_weight: float) -> Tensor:
    """What ``photometric_loss`` gives; see there. Gradients go to ``image`` alone.

    Args:
        image: ``(H, W, C)`` float32 on the CPU.
        truth: Of the same shape.
        valid: ``(H, W)`` bool, or weights.
        ssim_weight: Share of structural dissimilarity.
    """
    loss: Callable[..., Tensor] = _FusedLoss.apply
    return loss(image, truth, valid, ssim_weight)


class _FusedLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, truth: Tensor, valid: Tensor, ssim_weight: float) -> Tensor:
        loss, gradient = _loss_and_gradient(image, truth, valid, ssim_weight)
        ctx.save_for_backward(gradient)
        return loss

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None, None]:
        return ctx.saved_tensors[0] * upstream, None, None, None


def _loss_and_gradient(image: Tensor, truth: Tensor, valid: Tensor, ssim_weight: float) -> tuple[Tensor, Tensor]:
    from ..rasterizer.compiling import has_code
    from ..rasterizer.workers import run_on_workers
    from .photometric_kernel import BAND, REACH, Frame, gradient_bands, score_bands, stride

    if not has_code(gradient_bands):
        log.info("fit: compiling its loss once (about 15 s); the code is kept on disk")
    height, width, channels = image.shape
    counts = valid.contiguous().view(-1).numpy().astype(np.float32, copy=False)
    counted = float(counts.sum(dtype=np.float64)) * channels
    shown = max(counted, channels)
    frame = Frame(height, width, channels, -0.5 * ssim_weight / shown, (1 - ssim_weight) / shown)
    window = _window(frame)
    pictures = (*(x.detach().contiguous().view(-1).numpy() for x in (image, truth)), counts)
    maps = np.empty((3, height, stride(frame)), np.float32)
    pad = REACH * channels
    maps[..., :pad] = 0
    maps[..., pad + width * channels :] = 0
    sums = np.zeros((-(-height // BAND), 2))
    gradient = torch.empty_like(image, memory_format=torch.contiguous_format)
    run_on_workers(score_bands, pictures, frame, window, maps.reshape(-1), sums.reshape(-1))
    run_on_workers(
        gradient_bands, pictures, frame, window, maps.reshape(-1), gradient.view(-1).numpy(), sums.reshape(-1)
    )
    similar, apart = sums.sum(0)
    loss = ((1 - ssim_weight) * apart + 0.5 * ssim_weight * (counted - similar)) / shown
    return torch.tensor(loss, dtype=image.dtype), gradient


@functools.lru_cache(maxsize=8)
def _window(frame: Any) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """The window's taps from its middle, and one over the mass of it that lies inside, along rows and across them."""
    from .photometric_kernel import REACH, SIGMA, TAPS, stride

    at = np.arange(TAPS) - REACH
    taps = np.exp(-(at**2) / (2 * SIGMA**2))
    taps /= taps.sum()
    down, columns = (1 / np.convolve(np.ones(n), taps)[REACH : REACH + n] for n in (frame.height, frame.width))
    across = np.ones(stride(frame))
    across[REACH * frame.channels :][: frame.width * frame.channels] = np.repeat(columns, frame.channels)
    middle, along, between = (np.ascontiguousarray(x, np.float32) for x in (taps[REACH:], across, down))
    return middle, along, between
