"""Structural similarity: by its definition, and with exact gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fourreal_core.reconstruction import ssim as module
from fourreal_core.reconstruction.ssim import similarity


def pair(generator: torch.Generator, *size: int) -> tuple[torch.Tensor, torch.Tensor]:
    return tuple(torch.rand(*size, generator=generator, dtype=torch.float64) for _ in range(2))


def test_by_definition(generator: torch.Generator) -> None:
    a, b = pair(generator, 13, 15, 2)
    at = np.arange(-5, 6)
    window = np.exp(-(at[:, None] ** 2 + at[None] ** 2) / (2 * 1.5**2))
    found = similarity(a, b).numpy()
    for y, x, c in ((0, 0, 0), (6, 7, 1), (12, 3, 0), (4, 14, 1)):
        rows, columns = np.clip([y - 5, y + 6], 0, 13), np.clip([x - 5, x + 6], 0, 15)
        part = (slice(*rows), slice(*columns))
        weight = window[rows[0] - y + 5 : rows[1] - y + 5, columns[0] - x + 5 : columns[1] - x + 5]
        weight = weight / weight.sum()
        p, q = a.numpy()[part][..., c], b.numpy()[part][..., c]
        mp, mq = (weight * p).sum(), (weight * q).sum()
        vp, vq, cov = (
            (weight * (u - m) * (v - n)).sum() for u, m, v, n in ((p, mp, p, mp), (q, mq, q, mq), (p, mp, q, mq))
        )
        expected = (2 * mp * mq + 1e-4) * (2 * cov + 9e-4) / ((mp**2 + mq**2 + 1e-4) * (vp + vq + 9e-4))
        assert found[y, x, c] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("size", [(6, 7, 3), (16, 5, 1)])
def test_gradients_are_finite_differences(generator: torch.Generator, size: tuple[int, ...]) -> None:
    a, b = pair(generator, *size)
    assert torch.autograd.gradcheck(lambda x: similarity(x, b), (a.requires_grad_(),))


def test_a_blur_is_the_sum_over_its_window(generator: torch.Generator) -> None:
    x = pair(generator, 20, 24, 3)[0]
    taps = module._window(x.dtype)
    windows = torch.nn.functional.pad(x.permute(2, 0, 1), (5, 5, 5, 5)).unfold(1, 11, 1).unfold(2, 11, 1)
    torch.testing.assert_close(module._summed(x), torch.einsum("chwij,i,j->hwc", windows, taps, taps))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_it_is_the_same(generator: torch.Generator) -> None:
    a, b = pair(generator, 20, 24, 3)
    torch.testing.assert_close(similarity(a.cuda(), b.cuda()).cpu(), similarity(a, b))


def test_equal_pictures_are_alike_and_others_less(generator: torch.Generator) -> None:
    a, b = pair(generator, 12, 12, 3)
    torch.testing.assert_close(similarity(a, a), torch.ones_like(a))
    assert float(similarity(a, b).mean()) < 0.3 and float(similarity(a, b).max()) < 1
    assert similarity(a.float(), b.float()).dtype == torch.float32
