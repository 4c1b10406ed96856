"""A tiny model and tiny starts that the sampling tests share."""

from __future__ import annotations

import torch

from fourreal_core.model.model4d import Model4D
from fourreal_core.model.spec import DiTSpec, Model4DSpec
from fourreal_core.sampling.extend import StartClips
from fourreal_core.sampling.known_cells import KnownCells

TINY = DiTSpec(width=24, layers=2, heads=2, patch=4, conv_width=8)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tiny_model(variant: str = "soft", **fields) -> Model4D:
    spec = DiTSpec(**{**{"width": 24, "layers": 2, "heads": 2, "patch": 4, "conv_width": 8}, **fields})
    model, generator = Model4D(Model4DSpec(spec, variant), rng()), rng(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return model.eval()


def clips(views: int, times: int, size: int = 8, seed: int = 3) -> StartClips:
    frames = torch.rand(views + times, 3, size, size, generator=rng(seed)) * 2 - 1
    fixed = frames[views:]
    return StartClips(torch.cat([fixed[:1], frames[1:views]]), fixed)


def start(views: int, times: int, batch: int = 1, size: int = 8, seed: int = 3) -> KnownCells:
    latents = torch.rand(batch, views, times, 3, size, size, generator=rng(seed)) * 2 - 1
    mask = torch.zeros(batch, views, times, dtype=torch.bool)
    mask[:, 0] = mask[:, :, 0] = True
    return KnownCells(mask, latents)
