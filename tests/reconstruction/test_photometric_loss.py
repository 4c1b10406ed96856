"""The photometric loss: by hand, over valid pixels only, and its gradient."""

from __future__ import annotations

import pytest
import torch

from fourreal_core.reconstruction.photometric_loss import photometric_loss

SIZE = (14, 16)


def pair(generator: torch.Generator, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    return tuple(torch.rand(*SIZE, 3, generator=generator, dtype=dtype) for _ in range(2))


def test_the_first_part_is_the_mean_difference_over_valid_pixels() -> None:
    truth = torch.zeros(2, 2, 3)
    image = torch.tensor([[[0.3, 0.0, 0.0], [0.6, 0.6, 0.6]], [[9.0, 9.0, 9.0], [0.0, 0.0, 0.0]]])
    valid = torch.tensor([[True, True], [False, True]])
    assert float(photometric_loss(image, truth, valid, 0.0)) == pytest.approx((0.1 + 0.6 + 0.0) / 3)


@pytest.mark.parametrize("weight", [0.0, 0.2, 1.0])
def test_equal_pictures_cost_nothing(generator: torch.Generator, weight: float) -> None:
    image, _ = pair(generator)
    valid = torch.ones(SIZE, dtype=torch.bool)
    assert float(photometric_loss(image, image.clone(), valid, weight)) == pytest.approx(0, abs=1e-9)


def test_the_share_mixes_the_two_parts(generator: torch.Generator) -> None:
    image, truth = pair(generator)
    valid = torch.ones(SIZE, dtype=torch.bool)
    l1, dissimilar, mixed = (float(photometric_loss(image, truth, valid, w)) for w in (0.0, 1.0, 0.25))
    assert 0 < dissimilar < 1
    assert mixed == pytest.approx(0.75 * l1 + 0.25 * dissimilar, rel=1e-9)


def test_invalid_pixels_do_not_count_in_the_difference(generator: torch.Generator) -> None:
    image, truth = pair(generator)
    valid = torch.rand(SIZE, generator=generator) > 0.4
    spoilt = torch.where(valid[..., None], image, torch.tensor(5.0, dtype=image.dtype))
    assert torch.equal(photometric_loss(spoilt, truth, valid, 0.0), photometric_loss(image, truth, valid, 0.0))


def test_far_from_invalid_pixels_similarity_does_not_see_them(generator: torch.Generator) -> None:
    image, truth = pair(generator)
    valid = torch.zeros(SIZE, dtype=torch.bool)
    valid[:, :4] = True
    spoilt = image.clone()
    spoilt[:, 12:] = 0.5  # more than the window's reach of 5 away
    torch.testing.assert_close(photometric_loss(spoilt, truth, valid, 0.3), photometric_loss(image, truth, valid, 0.3))


def test_nothing_valid_costs_nothing(generator: torch.Generator) -> None:
    image, truth = pair(generator)
    assert float(photometric_loss(image, truth, torch.zeros(SIZE, dtype=torch.bool), 0.2)) == 0


@pytest.mark.parametrize("weight", [0.0, 0.2])
def test_gradients_are_finite_differences(generator: torch.Generator, weight: float) -> None:
    image, truth = (x[:7, :7] for x in pair(generator))
    image = image.clone().requires_grad_()
    valid = torch.rand(7, 7, generator=generator) > 0.2
    assert torch.autograd.gradcheck(lambda x: photometric_loss(x, truth, valid, weight), (image,), fast_mode=True)
