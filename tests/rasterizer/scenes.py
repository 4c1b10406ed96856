"""Small seeded scenes, and the image formation written as the slowest possible loops."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from fourreal_core.rasterizer import RasterOptions, Rendered, rasterize

SIZE = (37, 45)  # no multiple of a tile
CAMERA = torch.tensor([[40.0, 0.0, 22.0], [0.0, 42.0, 19.0], [0.0, 0.0, 1.0]])
Splats = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def random_splats(count: int, channels: int = 3, dtype: torch.dtype = torch.float32, seed: int = 0) -> Splats:
    """Splats of all opacities in a cube in front of CAMERA, some of them beside the picture."""
    rng = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=rng, dtype=torch.float64).to(dtype)

    means = uniform(count, 3) * torch.tensor([3, 3, 2], dtype=dtype) - torch.tensor([1.5, 1.5, -1.5], dtype=dtype)
    return means, 0.01 + 0.1 * uniform(count), uniform(count), uniform(count, channels)


def slow_render(
    splats: Splats, camera: torch.Tensor, size: tuple[int, int], background: list[float], options: RasterOptions
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Image, alpha and depth in float64, pixel by pixel and splat by splat, straight from the definition."""
    means, scales, opacities, colors = (tensor.double().tolist() for tensor in splats)
    fx, fy, cx, cy = (camera[row, column].item() for row, column in ((0, 0), (1, 1), (0, 2), (1, 2)))
    height, width = size
    image = torch.zeros(height, width, len(background), dtype=torch.float64)
    alpha, depth = torch.zeros(2, height, width, dtype=torch.float64).unbind(0)
    order = sorted((i for i in range(len(means)) if means[i][2] >= options.near), key=lambda i: (means[i][2], i))
    for row in range(height):
        for column in range(width):
            transmittance, summed_depth, pixel = 1.0, 0.0, [0.0] * len(background)
            for i in order:
                if transmittance < options.min_transmittance:
                    break
                x, y, z = means[i]
                dx, dy = column + 0.5 - (fx * x / z + cx), row + 0.5 - (fy * y / z + cy)
                variance = fx * fy * (scales[i] / z) ** 2 + options.low_pass
                a = min(opacities[i] * math.exp(-(dx * dx + dy * dy) / (2 * variance)), options.max_alpha)
                if a < options.min_alpha:
                    continue
                weight = a * transmittance
                pixel = [p + weight * c for p, c in zip(pixel, colors[i], strict=True)]
                summed_depth += weight * z
                transmittance *= 1 - a
            covered = 1 - transmittance
            image[row, column] = torch.tensor(
                [p + transmittance * b for p, b in zip(pixel, background, strict=True)], dtype=torch.float64
            )
            alpha[row, column] = covered
            depth[row, column] = summed_depth / covered if covered > 0 else 0.0
    return image, alpha, depth


def render_and_gradients(
    splats: Splats,
    backend: str,
    camera: torch.Tensor = CAMERA,
    background: torch.Tensor | None = None,
    near: float = 0.01,
) -> tuple[Rendered, list[torch.Tensor | None]]:
    """A rendering and its gradients for a fixed random loss of all three outputs."""
    inputs = [tensor.detach().clone().requires_grad_() for tensor in splats]
    rendered = rasterize(*inputs, camera, SIZE, background, RasterOptions(near=near, backend=backend))
    loss = random_loss(rendered)
    return rendered, list(torch.autograd.grad(loss, inputs, allow_unused=True))


def random_loss(rendered: Rendered) -> torch.Tensor:
    """A fixed random linear function of image, alpha and depth."""
    rng = torch.Generator().manual_seed(9)
    parts = (rendered.image, rendered.alpha, rendered.depth)
    return sum((part * torch.randn(part.shape, generator=rng).to(part)).sum() for part in parts)


def assert_close(
    got: torch.Tensor, expected: torch.Tensor, tolerance: float, norm: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    """Asserts that the norm of the difference is at most the tolerance."""
    difference = norm(got.double() - expected.double()).item() if got.numel() else 0.0
    assert difference <= tolerance, f"differs by {difference}, allowed {tolerance}"
