"""The motion of a scene as it is trained: the waves encoded once, the output free."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .residual_lookup import residual_offsets
from .scene import Scene4D


class TrainedMotion:
    """Places of a scene's splats at its time steps, differentiable in the deformation's output.

    Args:
        scene: With a deformation.

    Attributes:
        out: ``(features + 1, 3 knots)`` the output that is trained, at the start the scene's.
        index: ``(M,)`` which splats move.
        start: ``(M, 3)`` where these are at time 0.
        basis: ``(T, knots)`` weights of the knots at every time step.
    """

    def __init__(self, scene: Scene4D) -> None:
        deformation = scene.deformation
        self.spec, times = deformation.spec, range(scene.times)
        self.out = deformation.out.detach().clone().requires_grad_()
        self.index = scene.motion_weight.nonzero()[:, 0]
        self.start = scene.splats.means.detach()[self.index]
        with torch.no_grad():
            weight = scene.motion_weight[self.index, None]
            self._waves = deformation.encode(self.start).T.contiguous()  # waves first: see _Mixed
            self._reach = deformation.reach(self.start) * weight
            self.basis = torch.stack([deformation.knot_weights(scene.clip_time(t)) for t in times])
            self._beyond = None
            if scene.motion_residual is not None:
                view, places = scene.residual_places
                self._beyond = torch.stack([weight * residual_offsets(
                    scene.motion_residual, view[self.index], places[self.index], self.start[:, 2], t) for t in times])
                self._beyond[0] = 0

    def at(self, means: Tensor, time: int) -> Tensor:
        """World positions ``(N, 3)`` of splats whose places at time 0 are ``means (N, 3)``."""
        if time == 0 or not len(self.index):
            return means
        offset = self.offsets(time)
        if self._beyond is not None:
            offset = offset + self._beyond[time]
        return means.index_add(0, self.index, offset)

    def offsets(self, time: int) -> Tensor:
        """What the deformation alone says ``(M, 3)``, motion weights included."""
        by_knot = self.out.view(-1, self.spec.knots, 3)
        return _Mixed.apply(torch.einsum("k,fkc->fc", self.basis[time], by_knot), self._waves) * self._reach

    def at_knots(self, chosen: Tensor) -> Tensor:
        """The same of some of the moving splats at every knot: ``(K, knots, 3)`` for indices ``(K,)`` among them."""
        found = self._waves[:, chosen].T @ self.out * self._reach[chosen]
        return found.view(len(chosen), self.spec.knots, 3)


class _Mixed(torch.autograd.Function):
    """Waves ``(F, M)`` mixed by weights ``(F, 3)`` to ``(M, 3)``, laid out so that neither way is a slow product.

    Three columns are the worst case of a matrix product by rows: its gradient takes four times as long.
    """

    @staticmethod
    def forward(ctx: Any, weights: Tensor, waves: Tensor) -> Tensor:
        ctx.save_for_backward(waves)
        return (weights.T.contiguous() @ waves).T

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (waves,) = ctx.saved_tensors
        return torch.stack([waves @ gradient[:, c].contiguous() for c in range(gradient.shape[1])], 1), None
