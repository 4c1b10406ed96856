"""PSNR and SSIM against hand computation, and against the same definition written with OpenCV."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.metrics import psnr, ssim


def by_opencv(a: torch.Tensor, b: torch.Tensor, valid: torch.Tensor) -> tuple[float, float]:
    """PSNR and SSIM of 8-bit pictures with OpenCV's luma and Gaussian blur."""
    a, b = ((x * 255).round().byte().numpy() for x in (a, b))
    mse = ((a.astype(np.float64) - b) ** 2)[valid.numpy()].mean()
    a, b = (cv2.cvtColor(x, cv2.COLOR_RGB2GRAY).astype(np.float64) for x in (a, b))

    def blur(x: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(x, (11, 11), 1.5)

    ma, mb = blur(a), blur(b)
    va, vb, cov = blur(a * a) - ma * ma, blur(b * b) - mb * mb, blur(a * b) - ma * mb
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    score = (2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
    return 10 * math.log10(255**2 / mse), float(score[valid.numpy()].mean())


@pytest.mark.parametrize("size", [(32, 48), (6, 40), (61, 37)])
@pytest.mark.parametrize("noise", [0.01, 0.1, 0.5])
def test_both_agree_with_opencv(generator, pictures, size, noise):
    a = pictures(1, *size)[0]
    b = (a + noise * torch.randn(a.shape, generator=generator)).clamp(0, 1)
    valid = torch.rand(size, generator=generator) > 0.3
    expected = by_opencv(a, b, valid)
    assert psnr(a, b, valid) == pytest.approx(expected[0], abs=1e-9)
    assert ssim(a, b, valid) == pytest.approx(expected[1], abs=1e-9)


def test_luma_rounds_as_opencv_rounds(generator):
    colors = torch.randint(0, 256, (64, 64, 3), generator=generator).float() / 255
    flat = torch.zeros_like(colors)
    everywhere = torch.ones(64, 64, dtype=torch.bool)
    assert ssim(colors, flat) == pytest.approx(by_opencv(colors, flat, everywhere)[1], abs=1e-12)


def test_psnr_by_hand():
    a = torch.zeros(2, 3, 3)
    b = a.clone()
    b[0, 0] = 51 / 255  # one of six pixels is off by 51 steps
    assert psnr(b, a) == pytest.approx(10 * math.log10(255**2 / (51**2 / 6)))
    only = torch.zeros(2, 3, dtype=torch.bool)
    only[0, 0] = True
    assert psnr(b, a, only) == pytest.approx(20 * math.log10(5))


def test_ssim_of_flat_pictures_by_hand():
    a, b = torch.full((16, 16, 3), 100 / 255), torch.full((16, 16, 3), 150 / 255)
    c1 = 2.55**2
    assert ssim(a, b) == pytest.approx((2 * 100 * 150 + c1) / (100**2 + 150**2 + c1), abs=1e-6)


def test_equal_pictures(pictures):
    a = pictures(1)[0]
    assert psnr(a, a) == pytest.approx(10 * math.log10(255**2 / 1e-10)) and ssim(a, a) == pytest.approx(1.0)


def test_differences_below_half_an_8_bit_step_do_not_count(pictures):
    a = pictures(1)[0]
    assert psnr(a + 0.4 / 255, a) == psnr(a, a)


def test_masked_pixels_do_not_count(pictures):
    a = pictures(1)[0]
    b = a.clone()
    b[:4] = 1 - b[:4]
    valid = torch.ones(a.shape[:2], dtype=torch.bool)
    valid[:4] = False
    assert psnr(a, b, valid) == psnr(a, a) and psnr(a, b) < 40


@pytest.mark.parametrize("function", [psnr, ssim])
def test_what_can_not_be_compared_is_refused(function):
    a = torch.zeros(16, 16, 3)
    with pytest.raises(InputError, match="frames of the same size"):
        function(a, torch.zeros(16, 17, 3))
    with pytest.raises(InputError, match="0 valid pixels"):
        function(a, a, torch.zeros(16, 16, dtype=torch.bool))
    with pytest.raises(InputError, match="mask of shape"):
        function(a, a, torch.ones(8, 8, dtype=torch.bool))
