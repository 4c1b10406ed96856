"""The compiled photometric loss: what its definition gives, for any size, and the same whatever the threads."""

from __future__ import annotations

import pytest
import torch

from fourreal_core.rasterizer.numba_backend import unavailable
from fourreal_core.reconstruction import photometric_loss as losses
from fourreal_core.reconstruction.photometric_loss import photometric_loss, plain_loss

pytestmark = pytest.mark.skipif(unavailable() is not None, reason="no numba")

# narrower than the window, shorter than it, rows that are no whole number of lanes, several bands, other channels
SIZES = [(40, 48, 3), (83, 37, 3), (7, 5, 1), (4, 60, 3), (60, 4, 4), (1, 1, 3)]


def pictures(size: tuple[int, ...], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    truth = torch.rand(size, generator=generator)
    image = truth + 0.3 * torch.randn(size, generator=generator)
    image[: size[0] // 2, : size[1] // 2] = truth[: size[0] // 2, : size[1] // 2]  # equal parts have no slope in L1
    return image, truth, torch.rand(size[:2], generator=generator) > 0.3


def slope(loss: object, image: torch.Tensor, *rest: object) -> tuple[float, torch.Tensor]:
    image = image.clone().requires_grad_()
    value = loss(image, *rest)
    value.backward()
    return value.item(), image.grad


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("weight", [0.2, 1.0])
def test_it_is_the_definition(size: tuple[int, ...], weight: float) -> None:
    image, truth, valid = pictures(size)
    valid = torch.where(valid, 1.0, 0.1) if size[0] % 2 else valid
    value, gradient = slope(photometric_loss, image, truth, valid, weight)
    true_value, true_gradient = slope(plain_loss, image.double(), truth.double(), valid, weight)
    assert value == pytest.approx(true_value, rel=1e-5, abs=1e-7)
    # where nothing varies, as in a picture of one pixel, float32's rounding of 1e-7 stands beside a constant of 9e-4
    scale = float(true_gradient.abs().max()) + 1e-12
    assert float((gradient - true_gradient).abs().max()) < 1e-4 * scale


def test_float32_on_the_cpu_is_compiled_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    image, truth, valid = pictures((9, 9, 3))
    calls = []
    monkeypatch.setattr(losses, "plain_loss", lambda *args: calls.append(args) or plain_loss(*args))
    photometric_loss(image, truth, valid, 0.2)
    assert not calls
    photometric_loss(image.double(), truth.double(), valid, 0.2)
    photometric_loss(image, truth, valid, 0.0)
    assert len(calls) == 2
    monkeypatch.setattr(losses, "_compiled", lambda: False)
    photometric_loss(image, truth, valid, 0.2)
    assert len(calls) == 3


def test_threads_do_not_show() -> None:
    image, truth, valid = pictures((150, 40, 3))
    threads = torch.get_num_threads()
    try:
        found = []
        for count in (1, 3):
            torch.set_num_threads(count)
            found.append(slope(photometric_loss, image, truth, valid, 0.2))
    finally:
        torch.set_num_threads(threads)
    assert found[0][0] == found[1][0] and torch.equal(found[0][1], found[1][1])


def test_a_picture_that_is_not_contiguous_and_a_factor() -> None:
    image, truth, valid = pictures((12, 20, 3))
    turned, other = image.transpose(0, 1), truth.transpose(0, 1)
    value, gradient = slope(lambda *args: 3 * photometric_loss(*args), turned, other, valid.T, 0.2)
    straight, expected = slope(photometric_loss, image, truth, valid, 0.2)
    assert value == pytest.approx(3 * straight, rel=1e-6)
    torch.testing.assert_close(gradient.transpose(0, 1), 3 * expected, rtol=1e-4, atol=1e-8)  # other order of sums


def test_nothing_valid_costs_nothing() -> None:
    image, truth, valid = pictures((9, 9, 3))
    value, gradient = slope(photometric_loss, image, truth, torch.zeros_like(valid), 0.2)
    assert value == 0 and not gradient.any()
