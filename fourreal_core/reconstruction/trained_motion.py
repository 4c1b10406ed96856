"""The motion of a scene while it is fitted: offsets at the knots are kept, the field's weights follow every few steps.

The field's read-out is linear, but a product with 512 features for every moving splat costs as much as a render. So
the gradients of renders are gathered at the offsets at the knots, and every few steps projected onto the weights
together; then the offsets are worked out anew.
"""

from __future__ import annotations

import torch

from ..scene.deformation_field import DeformationField, read_out
from ..scene.points_in_time import TimeOffsets
from ..scene.scene4d import Scene4D


class TrainedMotion:
    """``dp_time`` of a scene's splats, differentiable in the offsets at its knots.

    Args:
        scene: Whose splats move.
        field: Its deformation field.

    Attributes:
        weights: ``(features + 1, 3 knots)`` the read-out that is trained, at the start the field's.
        knots: For every knot the offsets ``(M, 3)`` that it gives, in world units, motion weights included.
        offsets: The same with what tracks measured beyond the field, ready for any time.
    """

    def __init__(self, scene: Scene4D, field: DeformationField) -> None:
        means, weight = scene.splats.means.detach(), scene.motion_weight
        start = scene.offsets_of(means, weight, *scene.residual_places, field)
        moving = means[start.index]
        self._features = field.features(moving)
        self._reach = field.reach(moving) * weight[start.index, None]
        self.weights = field.weights.detach().clone().requires_grad_()
        self.knots = [torch.empty_like(moving).requires_grad_() for _ in range(field.spec.knots)]
        self.offsets = TimeOffsets(start.index, self.knots, start.times, start.residual)
        self.update_knots()

    @torch.no_grad()
    def project_gradients(self) -> None:
        """Projects the gradients gathered at the knots onto the weights, in place of those the weights have."""
        gradient = torch.zeros_like(self.weights)
        touched = [(k, knot.grad) for k, knot in enumerate(self.knots) if knot.grad is not None]
        if touched:
            gathered = torch.cat([g * self._reach for _, g in touched], 1)
            projected = (self._features @ gathered).view(-1, len(touched), 3)
            gradient.view(-1, len(self.knots), 3)[:, [k for k, _ in touched]] = projected
        self.weights.grad = gradient

    @torch.no_grad()
    def update_knots(self) -> None:
        """Works out the offsets at the knots from the weights, and forgets their gradients."""
        for knot, offsets in zip(self.knots, read_out(self._features, self.weights, self._reach), strict=True):
            knot.grad = None
            knot.detach().copy_(offsets)
