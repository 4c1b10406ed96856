"""Structural similarity with its gradient written out, since a fit spends more on it than on anything but rendering.

The window is a Gaussian of 11 x 11 with sigma 1.5 (Wang et al. 2004), normalised to the part of it that lies inside the
picture. Every sum over windows is a separable blur: five for the value, three for the gradient.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_TAPS, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


def similarity(image: Tensor, truth: Tensor) -> Tensor:
    """SSIM of every pixel and channel ``(H, W, C)`` of two pictures in ``[0, 1]``; gradients go to ``image`` alone.

    Args:
        image: ``(H, W, C)``.
        truth: Of the same shape.
    """
    score: Callable[..., Tensor] = _Similarity.apply
    return score(image, truth)


class _Similarity(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, truth: Tensor) -> Tensor:
        mean, true_mean, square, true_square, product = (
            _blur(x) for x in (image, truth, image * image, truth * truth, image * truth)
        )
        means, covariance = mean * true_mean, product - mean * true_mean
        a1, a2 = 2 * means + _C1, 2 * covariance + _C2
        b1, b2 = mean * mean + true_mean * true_mean + _C1, square + true_square + _C2
        b2 = b2 - mean * mean - true_mean * true_mean
        score = a1 * a2 / (b1 * b2)
        if ctx.needs_input_grad[0]:
            by_product = 2 * a1 / (b1 * b2)
            by_square = -score / b2
            by_mean = 2 * true_mean * (a2 - a1) / (b1 * b2) - 2 * mean * score * (1 / b1 - 1 / b2)
            ctx.save_for_backward(image, truth, by_mean, by_square, by_product)
        return score

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        image, truth, by_mean, by_square, by_product = ctx.saved_tensors
        out = _spread(gradient * by_mean) + 2 * image * _spread(gradient * by_square)
        return out + truth * _spread(gradient * by_product), None


def _blur(x: Tensor) -> Tensor:
    """Means ``(H, W, C)`` over the window about every pixel."""
    return _summed(x) / _mass(tuple(x.shape[:2]), x.dtype, x.device)[..., None]


def _spread(gradient: Tensor) -> Tensor:
    """What ``_blur`` is in reverse: its transpose."""
    return _summed(gradient / _mass(tuple(gradient.shape[:2]), gradient.dtype, gradient.device)[..., None])


def _summed(x: Tensor) -> Tensor:
    """Sums weighted by the window, with nothing outside the picture; symmetric, so its own transpose."""
    if x.device.type == "cpu":
        from ..needed.opencv import cv2

        kernel = _window(torch.float64).numpy()
        pixels = x.detach().contiguous().numpy()
        found = cv2.sepFilter2D(pixels, -1, kernel, kernel, borderType=cv2.BORDER_CONSTANT)
        return torch.from_numpy(found.reshape(pixels.shape))
    taps = _window(x.dtype).to(x.device)
    planes: Tensor = x.permute(2, 0, 1)[:, None]
    planes = torch.nn.functional.conv2d(planes, taps[None, None, :, None], padding=(_TAPS // 2, 0))
    planes = torch.nn.functional.conv2d(planes, taps[None, None, None], padding=(0, _TAPS // 2))
    return planes[:, 0].permute(1, 2, 0)


def _window(dtype: torch.dtype) -> Tensor:
    at = torch.arange(_TAPS, dtype=dtype) - _TAPS // 2
    taps = torch.exp(-(at**2) / (2 * _SIGMA**2))
    return taps / taps.sum()


@functools.lru_cache(maxsize=8)
def _mass(size: tuple[int, int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Share ``(H, W)`` of the window that lies inside the picture."""
    return _summed(torch.ones(*size, 1, dtype=dtype, device=device))[..., 0]
