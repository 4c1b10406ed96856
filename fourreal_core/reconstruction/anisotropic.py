"""Anisotropic splats for comparison: each is drawn as three round ones along its own axis.

The rasterizer draws isotropic footprints only, which is what the paper found to look best from new cameras. To compare,
a Gaussian of covariance ``s^2 I + a a^T`` is replaced by three of covariance ``s^2 I`` at ``p`` and ``p +- sqrt(3) a``
(Gauss-Hermite nodes: moments up to the fifth are those of the original), whose opacities share its area on the screen.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from ..scene.gaussians import Splats
from ..scene.scene4d import Scene4D

_PLACES = (0.0, math.sqrt(3), -math.sqrt(3))
_SHARES = (2 / 3, 1 / 6, 1 / 6)


def draw_stretched(points: Tensor, scales: Tensor, opacities: Tensor, axes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Points ``(3 N, 3)``, scales ``(3 N,)`` and opacities ``(3 N,)`` of the round splats, differentiable.

    Args:
        points: ``(N, 3)`` in the space of ``axes``.
        scales: ``(N,)`` standard deviation across the axis.
        opacities: ``(N,)`` at the centre.
        axes: ``(N, 3)`` direction, and by its length the standard deviation that is added along it.
    """
    long = (scales.square() + axes.square().sum(-1)).sqrt()
    area = opacities * long / scales
    shares = area.new_tensor(_SHARES)[:, None]
    faint = (shares * area).clamp(max=0.999)
    # without an axis the three lie on each other: compositing them must give the one's opacity
    whole = 1 - (1 - opacities) ** shares
    blend = (axes.norm(dim=-1) / scales).clamp(max=1)
    out = torch.cat([points + place * axes for place in _PLACES])
    return out, scales.repeat(3), (whole + blend * (faint - whole)).flatten()


def round_splats(scene: Scene4D, axes: Tensor) -> Scene4D:
    """A scene of stretched splats as one of three times as many round ones, for everything that shows or saves it.

    Args:
        scene: Its splats are the middles.
        axes: ``(N, 3)`` in the world at time 0.
    """
    splats = scene.splats
    means, scales, opacities = draw_stretched(splats.means, splats.scales, splats.opacities, axes)
    views = (1, 3, 1)
    colors = None if scene.view_colors is None else scene.view_colors.repeat(views)
    return replace(
        scene,
        splats=Splats(means, scales.log(), torch.logit(opacities.clamp(1e-6, 1 - 1e-6)), splats.colors.repeat(3, 1)),
        view_offsets=scene.view_offsets.repeat(views),
        visible=scene.visible.repeat(1, 3),
        motion_weight=scene.motion_weight.repeat(3),
        view_colors=colors,
    )
