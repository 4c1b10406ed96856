"""Solid textures: colours as functions of where a point lies, with detail at every scale that optical flow looks at."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class SolidNoise:
    """Smooth random values in 3D, a sum of waves in random directions over several octaves.

    Args:
        generator: Source of the waves.
        longest: Longest wavelength in world units.
        octaves: Each has half the wavelength and 0.7 of the amplitude of the one before.
        waves: Waves an octave.
    """

    def __init__(self, generator: torch.Generator, longest: float, octaves: int, waves: int = 10) -> None:
        direction = torch.nn.functional.normalize(torch.randn(octaves, waves, 3, generator=generator), dim=-1)
        stretch = 0.7 + 0.6 * torch.rand(octaves, waves, 1, generator=generator)
        octave = torch.arange(octaves, dtype=torch.float32)[:, None, None]
        self.frequencies = (2 * math.pi / longest * direction * stretch * 2**octave).reshape(-1, 3)
        self.phases = 2 * math.pi * torch.rand(octaves * waves, generator=generator)
        amplitude = 0.7 ** octave.expand(octaves, waves, 1).reshape(-1)
        self.amplitudes = amplitude / (amplitude**2 / 2).sum().sqrt()  # unit variance

    def __call__(self, points: Tensor) -> Tensor:
        """Values ``(N,)`` of mean 0 and variance 1 at ``points (N, 3)``."""
        return torch.cos(points @ self.frequencies.T + self.phases) @ self.amplitudes


def blend(low: tuple[float, float, float], high: tuple[float, float, float], amount: Tensor) -> Tensor:
    """Colours ``(N, 3)`` between two, by ``amount (N,)`` held in ``[0, 1]``."""
    a = amount.clamp(0, 1)[:, None]
    return torch.tensor(low) * (1 - a) + torch.tensor(high) * a


def tiles(u: Tensor, w: Tensor, size: float, joint: float) -> tuple[Tensor, Tensor]:
    """A tiling of the plane ``(u, w)``, every second row shifted by half a tile.

    Args:
        u: ``(N,)`` along the rows.
        w: ``(N,)`` across them.
        size: Length of a tile; its height is half of that.
        joint: Width of the joints.

    Returns:
        A pseudo-random value in ``[0, 1)`` a tile and bool where the joints are, both ``(N,)``.
    """
    row = torch.floor(w / (size / 2))
    shifted = u + row.remainder(2) * size / 2
    column = torch.floor(shifted / size)
    value = (torch.sin(row * 12.9898 + column * 78.233) * 43758.547).remainder(1)
    in_u, in_w = shifted - column * size, w - row * size / 2
    edge = torch.minimum(torch.minimum(in_u, size - in_u), torch.minimum(in_w, size / 2 - in_w))
    return value, edge < joint / 2


def lit(colors: Tensor, normals: Tensor, ambient: float = 0.55) -> Tensor:
    """Colours under a soft light from the upper left behind the camera, ``(N, 3)`` in ``[0, 1]``."""
    light = torch.nn.functional.normalize(torch.tensor([-0.5, -0.75, -0.6]), dim=0)
    shade = ambient + (1 - ambient) * (normals @ light * 0.5 + 0.5) ** 1.5 * 1.3
    return (colors * shade[:, None]).clamp(0, 1)
