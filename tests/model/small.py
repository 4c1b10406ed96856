"""A tiny model and tiny grids that the model tests share."""

from __future__ import annotations

import torch

from fourreal_core.model.dit import GridInputs
from fourreal_core.model.model4d import Model4D
from fourreal_core.model.spec import DiTSpec, Model4DSpec

TINY = DiTSpec(width=24, layers=3, heads=2, patch=4, conv_width=8)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def stirred(module: torch.nn.Module, seed: int = 2, size: float = 0.15) -> torch.nn.Module:
    """Every parameter moved off its start, as after training."""
    generator = rng(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * size)
    return module


def tiny_model(variant: str = "soft", spec: DiTSpec = TINY, seed: int = 0, **fields) -> Model4D:
    return stirred(Model4D(Model4DSpec(spec, variant, **fields), rng(seed))).eval()


def start_mask(batch: int, views: int, times: int) -> torch.Tensor:
    """Row 0 and column 0 known."""
    known = torch.zeros(batch, views, times, dtype=torch.bool)
    known[:, 0] = known[:, :, 0] = True
    return known


def grid_inputs(
    batch: int = 2,
    views: int = 3,
    times: int = 4,
    size: int = 8,
    spec: DiTSpec = TINY,
    seed: int = 5,
    dtype: torch.dtype = torch.float32,
    **more,
) -> GridInputs:
    side = size // spec.subpixel
    latents = torch.randn(batch, views, times, spec.latent_channels, side, side, generator=rng(seed), dtype=dtype)
    known = start_mask(batch, views, times)
    level = torch.where(known, 0, torch.rand(batch, views, times, generator=rng(seed + 1)) * 0.8 + 0.1).to(dtype)
    return GridInputs(latents, level, known, **more)
