"""The temporal deformation field ``dp_time(p, t)`` of supplement eq. 3, an MLP of canonical position and time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import InputError


@dataclass(frozen=True)
class DeformationSpec:
    """Sizes of a deformation MLP; saved with a scene.

    Attributes:
        width: Hidden units a layer.
        layers: Hidden layers.
        position_octaves: Frequencies of the positional encoding, the lowest one half wave over the scene.
        time_octaves: Frequencies of the time encoding over the clip.
        centre: World point that is the origin of the encoding.
        extent: Radius of the scene about ``centre`` in world units.
    """

    width: int = 96
    layers: int = 3
    position_octaves: int = 5
    time_octaves: int = 3
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)
    extent: float = 1.0

    def __post_init__(self) -> None:
        if min(self.width, self.layers, self.position_octaves, self.time_octaves) < 1 or not self.extent > 0:
            raise InputError(f"a deformation of {self.layers} layers of {self.width} units, "
                             f"{self.position_octaves} + {self.time_octaves} octaves and extent {self.extent}",
                             "positive sizes", "leave them at their defaults")


class Deformation(nn.Module):
    """``dp_time``: offsets of canonical points at a time; zero at initialisation, and always zero at time 0.

    Times are clip positions: 0 is the moment of the freeze-time clip, 1 the last frame. The MLP's output is multiplied by
    nothing else, so the field at time 0 is anchored by subtracting its own value there, which makes "time stands" exact.

    Args:
        spec: Sizes.
        generator: Source of the initial hidden weights.
    """

    def __init__(self, spec: DeformationSpec, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.spec = spec
        inputs = 3 + 6 * spec.position_octaves + 1 + 2 * spec.time_octaves
        sizes = [inputs] + [spec.width] * spec.layers
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:], strict=True))
        self.out = nn.Linear(sizes[-1], 3)
        with torch.no_grad():
            for layer in self.hidden:
                bound = math.sqrt(6 / layer.in_features)
                layer.weight.uniform_(-bound, bound, generator=generator)
                layer.bias.zero_()
            self.out.weight.zero_()
            self.out.bias.zero_()
        self.register_buffer("centre", torch.tensor(spec.centre), persistent=False)

    def forward(self, points: Tensor, time: Tensor) -> Tensor:
        """Offsets ``(..., 3)`` in world units of canonical points ``(..., 3)`` at times ``(...)`` in ``[0, 1]``."""
        return self._field(points, time) - self._field(points, torch.zeros_like(time))

    def _field(self, points: Tensor, time: Tensor) -> Tensor:
        unit = (points - self.centre) / self.spec.extent
        x = torch.cat([unit, _fourier(unit, self.spec.position_octaves), time[..., None],
                       _fourier(time[..., None], self.spec.time_octaves)], -1)
        for layer in self.hidden:
            x = torch.relu(layer(x))
        return self.out(x) * self.spec.extent


def _fourier(x: Tensor, octaves: int) -> Tensor:
    freq = math.pi / 2 * 2.0 ** torch.arange(octaves, dtype=x.dtype, device=x.device)
    phase = (x[..., None] * freq).flatten(-2)
    return torch.cat([phase.sin(), phase.cos()], -1)
