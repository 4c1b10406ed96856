"""Isotropic 3D Gaussians: one mean, one scale, one opacity and one colour a splat."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError


@dataclass(frozen=True)
class Splats:
    """N isotropic Gaussians (supplement 3: isotropy keeps artifacts away from other viewpoints).

    Attributes:
        means: ``(N, 3)`` centres in world space, which is the canonical frame's camera space.
        log_scales: ``(N,)`` natural logarithm of the standard deviation in world units.
        opacity_logits: ``(N,)`` inverse sigmoid of the opacity.
        colors: ``(N, 3)`` RGB, nominally in ``[0, 1]``.
    """

    means: Tensor
    log_scales: Tensor
    opacity_logits: Tensor
    colors: Tensor

    def __post_init__(self) -> None:
        n = self.means.shape[0]
        shapes = [tuple(x.shape) for x in (self.means, self.log_scales, self.opacity_logits, self.colors)]
        if shapes != [(n, 3), (n,), (n,), (n, 3)]:
            raise InputError(
                f"splats of shapes {shapes}",
                "(N, 3), (N,), (N,), (N, 3)",
                "give every splat one mean, scale, opacity and colour",
            )

    def __len__(self) -> int:
        return self.means.shape[0]

    @property
    def scales(self) -> Tensor:
        """Standard deviations ``(N,)`` in world units."""
        return self.log_scales.exp()

    @property
    def opacities(self) -> Tensor:
        """Opacities ``(N,)`` in ``(0, 1)``."""
        return torch.sigmoid(self.opacity_logits)

    def select(self, keep: Tensor) -> Splats:
        """The splats picked by a bool mask or an index tensor."""
        return Splats(self.means[keep], self.log_scales[keep], self.opacity_logits[keep], self.colors[keep])
