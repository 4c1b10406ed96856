"""Where a splat falls on the image: the footprint that all back ends share, in differentiable torch."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .inputs import SplatView
from .options import RasterOptions


@dataclass(frozen=True)
class Footprints:
    """The splats that can be seen, in the order of the input.

    Attributes:
        index: ``(M,)`` int64, which of the N splats these are.
        centers: ``(M, 2)`` u and v, pixels.
        variances: ``(M,)`` isotropic variance, px^2, low-pass term included.
        depths: ``(M,)`` z, scene units.
        opacities: ``(M,)``.
        reach: ``(M,)`` distance at which the alpha has fallen to ``min_alpha``, pixels; carries no gradient.
    """

    index: torch.Tensor
    centers: torch.Tensor
    variances: torch.Tensor
    depths: torch.Tensor
    opacities: torch.Tensor
    reach: torch.Tensor

    def __post_init__(self) -> None:
        if len({len(tensor) for tensor in vars(self).values()}) != 1:
            raise ValueError("footprints' tensors differ in length, expected one entry a splat in each")

    def __getitem__(self, chosen: torch.Tensor) -> Footprints:
        return Footprints(**{name: tensor[chosen] for name, tensor in vars(self).items()})


def project(view: SplatView, options: RasterOptions) -> Footprints:
    """Projects the splats that lie at or beyond the near plane, are opaque enough and touch the screen.

    ``u = fx x / z + cx``, ``v = fy y / z + cy``, ``s2 = fx fy scale^2 / z^2 + low_pass``.
    """
    camera = view.camera
    # chosen before the division by z, so that no splat behind the camera puts a NaN into the gradients
    index = ((view.means[:, 2] >= options.near) & (view.opacities >= options.min_alpha)).nonzero()[:, 0]
    x, y, z = view.means[index].unbind(-1)
    opacities = view.opacities[index]
    centers = torch.stack([camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy], dim=-1)
    variances = camera.fx * camera.fy * (view.scales[index] / z) ** 2 + options.low_pass
    with torch.no_grad():
        reach = (2 * variances * torch.log(opacities / options.min_alpha)).sqrt()
    footprints = Footprints(index, centers, variances, z, opacities, reach)
    height, width = view.size
    return footprints[touching(footprints, (0, 0, height, width))]


def touching(footprints: Footprints, box: tuple[int, int, int, int]) -> torch.Tensor:
    """Indices of the footprints that may reach a pixel centre in the box (top, left, bottom, right; pixels)."""
    top, left, bottom, right = box
    u, v = footprints.centers.detach().unbind(-1)
    # half a pixel more than needed: the exact test is that of alpha against min_alpha
    reach = footprints.reach
    inside = (u + reach >= left) & (u - reach <= right) & (v + reach >= top) & (v - reach <= bottom)
    return inside.nonzero()[:, 0]
