"""Points of a scene at many times: the deformation is asked once, at its knots, and mixed for every time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .scene import Scene4D


@dataclass(frozen=True)
class MovingPoints:
    """World points that are wanted at many times, for renders without gradients.

    Attributes:
        scene: Where they move.
        points: ``(N, 3)`` at time 0.
        index: ``(M,)`` which of them move.
        by_knot: ``(M, knots, 3)`` their offsets at the deformation's knots, motion weights included.
    """

    scene: Scene4D
    points: Tensor
    index: Tensor
    by_knot: Tensor

    def at(self, time: float) -> Tensor:
        """The points ``(N, 3)`` at a time step; the same as ``Scene4D.deform`` to rounding."""
        if time == 0 or not len(self.index):
            return self.points
        weights = self.scene.deformation.knot_weights(self.scene.clip_time(time))
        offset = torch.einsum("k,mkc->mc", weights, self.by_knot)
        return self.points.index_put((self.index,), self.points[self.index] + offset)


def moving_points(scene: Scene4D, points: Tensor, motion_weight: Tensor) -> MovingPoints:
    """Prepares world points ``(N, 3)`` with motion weights ``(N,)``."""
    if scene.deformation is None:
        none = torch.empty(0, dtype=torch.long, device=points.device)
        return MovingPoints(scene, points, none, points.new_empty(0, 1, 3))
    index = motion_weight.nonzero()[:, 0]
    with torch.no_grad():
        by_knot = scene.deformation.at_knots(points[index]) * motion_weight[index, None, None]
    return MovingPoints(scene, points, index, by_knot)
