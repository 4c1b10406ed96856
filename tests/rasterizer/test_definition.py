"""The torch back end, which defines the rendering, against loops, numbers worked out by hand and finite differences."""

from __future__ import annotations

import math

import pytest
import torch

from fourreal_core.rasterizer import RasterOptions, rasterize

from .scenes import CAMERA, SIZE, random_splats, slow_render

TORCH = RasterOptions(backend="torch")


def test_agrees_with_a_slow_loop_in_float64() -> None:
    splats = random_splats(60, dtype=torch.float64)
    background = [0.2, 0.5, 0.1]
    expected = slow_render(splats, CAMERA, SIZE, background, TORCH)
    got = rasterize(*splats, CAMERA, SIZE, torch.tensor(background, dtype=torch.float64), TORCH)
    for part, slow in zip((got.image, got.alpha, got.depth), expected, strict=True):
        torch.testing.assert_close(part, slow, rtol=0, atol=1e-12)  # the same operations, in another order of sums


def test_gradients_agree_with_finite_differences() -> None:
    splats = [tensor.requires_grad_() for tensor in random_splats(3, 2, torch.float64, seed=3)]
    camera = torch.tensor([[6.0, 0, 3.0], [0, 6.0, 2.5], [0, 0, 1]])

    def outputs(*inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        rendered = rasterize(*inputs, camera, (5, 6), options=TORCH)
        return rendered.image, rendered.alpha, rendered.depth

    assert outputs(*splats)[1].max() > 0.5  # the splats are in the picture
    # steps of 1e-6 cross no 1/255 edge of these splats; the default tolerances are for float64
    assert torch.autograd.gradcheck(outputs, splats)


def test_one_splat_by_hand() -> None:
    # at the centre of pixel (1, 1), 2 px deep focal length: variance = 2 * 2 * 0.5^2 / 1 + 0.3 = 1.3
    camera = torch.tensor([[2.0, 0, 1.5], [0, 2.0, 1.5], [0, 0, 1]])
    got = rasterize(
        torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([0.5]), torch.tensor([0.6]), torch.tensor([[1.0, 0.5]]), camera,
        (3, 3), torch.tensor([0.0, 1.0]), TORCH,
    )  # fmt: skip
    beside = 0.6 * math.exp(-1 / 2.6)
    # float32 has 7 digits
    assert got.alpha[1, 1].item() == pytest.approx(0.6, abs=1e-6)
    assert got.alpha[1, 2].item() == pytest.approx(beside, abs=1e-6)
    assert got.image[1, 1].tolist() == pytest.approx([0.6, 0.5 * 0.6 + 0.4], abs=1e-6)
    assert got.depth[0, 1].item() == pytest.approx(1.0, abs=1e-6)


def test_two_opaque_splats_by_hand() -> None:
    camera = torch.tensor([[1.0, 0, 0.5], [0, 1.0, 0.5], [0, 0, 1]])
    means = torch.tensor([[0.0, 0.0, 4.0], [0.0, 0.0, 2.0]])
    opacities, colors = torch.tensor([0.5, 1.0]), torch.tensor([[1.0], [3.0]])
    got = rasterize(means, torch.ones(2), opacities, colors, camera, (1, 1), None, TORCH)
    # the nearer one is clipped at 0.99; 0.01 * 0.5 is left for the other
    assert got.image.item() == pytest.approx(0.99 * 3 + 0.005 * 1, abs=1e-6)
    assert got.alpha.item() == pytest.approx(0.995, abs=1e-6)
    assert got.depth.item() == pytest.approx((0.99 * 2 + 0.005 * 4) / 0.995, abs=1e-6)


def test_a_closed_pixel_takes_nothing_more() -> None:
    camera = torch.tensor([[1.0, 0, 0.5], [0, 1.0, 0.5], [0, 0, 1]])
    means = torch.tensor([[0.0, 0.0, z] for z in (1.0, 2.0, 3.0, 4.0)])
    colors = torch.tensor([[0.0], [0.0], [0.0], [1.0]])
    # transmittance behind the third splat is 1e-6, less than 1e-4
    got = rasterize(means, torch.full((4,), 9.0), torch.ones(4), colors, camera, (1, 1), None, TORCH)
    assert got.image.item() == 0


def test_moving_everything_a_pixel_moves_the_picture_a_pixel() -> None:
    splats = random_splats(40, dtype=torch.float64)
    shifted = CAMERA.clone()
    shifted[0, 2] += 1
    first = rasterize(*splats, CAMERA, SIZE, options=TORCH)
    second = rasterize(*splats, shifted, SIZE, options=TORCH)
    torch.testing.assert_close(second.image[:, 1:], first.image[:, :-1], rtol=0, atol=1e-12)  # float64 rounding


def test_the_order_of_the_splats_does_not_matter() -> None:
    splats = random_splats(40, dtype=torch.float64)
    shuffled = tuple(tensor.flip(0) for tensor in splats)
    first, second = (rasterize(*some, CAMERA, SIZE, options=TORCH) for some in (splats, shuffled))
    torch.testing.assert_close(first.image, second.image, rtol=0, atol=1e-12)  # float64 rounding


def test_recomputed_tiles_have_the_same_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    def gradients() -> list[torch.Tensor]:
        inputs = [tensor.requires_grad_() for tensor in random_splats(30, dtype=torch.float64)]
        rendered = rasterize(*inputs, CAMERA, SIZE, options=TORCH)
        return list(torch.autograd.grad(rendered.image.square().sum() + rendered.depth.sum(), inputs))

    kept = gradients()
    monkeypatch.setattr("fourreal_core.rasterizer.torch_backend._CHECKPOINT_ABOVE", 0)
    for first, second in zip(kept, gradients(), strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=0)  # the same operations: the same bits
