"""Points of a scene at many times: the deformation is asked once, at its knots, and mixed for every time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .motion_residual import residual_offsets
from .scene4d import Scene4D


@dataclass(frozen=True)
class MovingPoints:
    """World points that are wanted at many times, for renders without gradients.

    Attributes:
        scene: Where they move.
        points: ``(N, 3)`` at time 0.
        index: ``(M,)`` which of them move.
        by_knot: ``(M, knots, 3)`` their offsets at the deformation's knots, motion weights included.
        weight: ``(M,)`` their motion weights.
        view: ``(M,)`` whose motion residual they read.
        places: ``(M, 2)`` where in that view, in ``[-1, 1]``.
    """

    scene: Scene4D
    points: Tensor
    index: Tensor
    by_knot: Tensor
    weight: Tensor
    view: Tensor
    places: Tensor

    def at(self, time: float) -> Tensor:
        """The points ``(N, 3)`` at a time step; of splats the same as ``Scene4D.deformed`` to rounding."""
        if time == 0 or not len(self.index):
            return self.points
        weights = self.scene.deformation.knot_weights(self.scene.clip_time(time))
        offset = torch.einsum("k,mkc->mc", weights, self.by_knot)
        moving = self.points[self.index]
        if self.scene.motion_residual is not None:
            beyond = residual_offsets(self.scene.motion_residual, self.view, self.places, moving[:, 2], time)
            offset = offset + self.weight[:, None] * beyond
        return self.points.index_put((self.index,), moving + offset)


def moving_points(scene: Scene4D, points: Tensor, motion_weight: Tensor, view: Tensor, places: Tensor) -> MovingPoints:
    """Prepares world points for many times, by the motion as the tracks gave it.

    Rendering fits the motion to splats as they are, sizes and faults included, which is not how pixels move.

    Args:
        scene: Where they move.
        points: ``(N, 3)`` at time 0.
        motion_weight: ``(N,)``.
        view: ``(N,)`` whose motion residual each point reads.
        places: ``(N, 2)`` where in that view, in ``[-1, 1]``.
    """
    return _prepared(scene, points, motion_weight, view, places, scene.tracked_output)


def moving_splats(scene: Scene4D) -> MovingPoints:
    """The scene's splats, ready for many times, by the motion that was fitted to them."""
    return _prepared(scene, scene.splats.means, scene.motion_weight, *scene.residual_places, None)


def _prepared(
    scene: Scene4D, points: Tensor, motion_weight: Tensor, view: Tensor, places: Tensor, output: Tensor | None
) -> MovingPoints:
    index = motion_weight.nonzero()[:, 0] if scene.deformation is not None else motion_weight.new_zeros(0).long()
    weight = motion_weight[index]
    if scene.deformation is None:
        by_knot = points.new_empty(0, 1, 3)
    else:
        with torch.no_grad():
            by_knot = scene.deformation.at_knots(points[index], output) * weight[:, None, None]
    return MovingPoints(scene, points, index, by_knot, weight, view[index], places[index])
