"""PSNR and SSIM over valid pixels, of frames as they would stand in 8-bit files."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import InputError

_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_LUMA = (9798, 19235, 3735)
"""0.299, 0.587 and 0.114 in units of 2**-15: BT.601 luma in whole numbers, as OpenCV computes it."""


def psnr(frame: Tensor, truth: Tensor, valid: Tensor | None = None) -> float:
    """Peak signal-to-noise ratio in dB over all channels of the valid pixels.

    Both are rounded to 8 bits first, so that the figure is that of the written files. Equal frames give 148.1 dB (the
    squared error in 8-bit steps is held at 1e-10).

    Args:
        frame: ``(H, W, 3)`` RGB in ``[0, 1]``.
        truth: Of the same shape.
        valid: ``(H, W)`` bool, pixels that count; all when None.

    Raises:
        InputError: Other shapes, or no valid pixel.
    """
    a, b = _pair(frame, truth, valid)
    error = (a - b) ** 2
    mse = (error if valid is None else error[valid]).mean().clamp_min(1e-10)
    return float(10 * torch.log10(255.0**2 / mse))


def ssim(frame: Tensor, truth: Tensor, valid: Tensor | None = None) -> float:
    """Structural similarity of the 8-bit luma, averaged over the valid pixels (Wang et al. 2004).

    Gaussian window of 11 x 11 with sigma 1.5; borders are mirrored without repeating the edge pixel.

    Args:
        frame: ``(H, W, 3)`` RGB in ``[0, 1]``; at least 6 x 6 pixels.
        truth: Of the same shape.
        valid: ``(H, W)`` bool, pixels that count; all when None. The windows still see the others.

    Raises:
        InputError: Other shapes, or no valid pixel.
    """
    a, b = _pair(frame, truth, valid)
    a, b = _luma(a), _luma(b)
    mean_a, mean_b, aa, bb, ab = _blur(torch.stack([a, b, a * a, b * b, a * b]))
    var_a, var_b, cov = aa - mean_a**2, bb - mean_b**2, ab - mean_a * mean_b
    score = ((2 * mean_a * mean_b + _C1) * (2 * cov + _C2)) / ((mean_a**2 + mean_b**2 + _C1) * (var_a + var_b + _C2))
    return float((score if valid is None else score[valid]).mean())


def _pair(frame: Tensor, truth: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
    if frame.shape != truth.shape or frame.ndim != 3 or frame.shape[-1] != 3:
        raise InputError(
            f"frames of shapes {tuple(frame.shape)} and {tuple(truth.shape)} to compare",
            "one shape (height, width, 3)",
            "compare frames of the same size",
        )
    if valid is not None and (valid.shape != frame.shape[:2] or not bool(valid.any())):
        raise InputError(
            f"a mask of shape {tuple(valid.shape)} with {int(valid.sum())} valid pixels",
            f"{tuple(frame.shape[:2])} with at least one",
            "use the mask of the same clip",
        )
    return _in_8_bits(frame), _in_8_bits(truth)


def _in_8_bits(frame: Tensor) -> Tensor:
    return (frame.detach().double().clamp(0, 1) * 255).round()


def _luma(rgb: Tensor) -> Tensor:
    weights = torch.tensor(_LUMA, dtype=rgb.dtype, device=rgb.device)
    return ((rgb @ weights + 2**14) / 2**15).floor()


def _blur(x: Tensor) -> Tensor:
    at = torch.arange(_WINDOW, dtype=x.dtype, device=x.device) - _WINDOW // 2
    kernel = torch.exp(-(at**2) / (2 * _SIGMA**2))
    kernel = kernel / kernel.sum()
    padded = F.pad(x[:, None], [_WINDOW // 2] * 4, mode="reflect")
    return F.conv2d(F.conv2d(padded, kernel[None, None, :, None]), kernel[None, None, None])[:, 0]
