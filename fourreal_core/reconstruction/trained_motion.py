"""The motion of a scene as it is trained: where it puts the splats is kept, and its output follows every few steps.

The motion is the product of many waves with a small output. To go through it for every picture would cost more than to
render. So pictures pull at the places at the knots in time; from time to time these pulls are taken to the output
together, and the places are worked out anew.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..scene.motion_residual import residual_offsets
from ..scene.scene4d import Scene4D


class TrainedMotion:
    """Places of a scene's splats at its time steps, differentiable in what they are at the knots.

    Args:
        scene: With a deformation.

    Attributes:
        out: ``(features + 1, 3 knots)`` the output that is trained, at the start the scene's.
        index: ``(M,)`` which splats move.
        start: ``(M, 3)`` where these are at time 0.
        knots: For every knot what the output says there ``(M, 3)``, in world units, motion weights included.
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
            self._waves = deformation.encode(self.start).T.contiguous()
            self._reach = deformation.reach(self.start) * weight
            self.basis = torch.stack([deformation.knot_weights(scene.clip_time(t)) for t in times])
            self._beyond = None
            if scene.motion_residual is not None:
                view, places = scene.residual_places
                self._beyond = torch.stack(
                    [
                        weight
                        * residual_offsets(
                            scene.motion_residual, view[self.index], places[self.index], self.start[:, 2], t
                        )
                        for t in times
                    ]
                )
                self._beyond[0] = 0
        self.knots = [torch.empty_like(self.start).requires_grad_() for _ in range(self.spec.knots)]
        self._mixes = [[(k, float(w)) for k, w in enumerate(row) if w] for row in self.basis]
        self.refresh()

    def moved(self, time: int) -> Tensor:
        """Displacement of what moves ``(M, 3)`` at a time step."""
        offset = self.offsets(time)
        return offset if self._beyond is None else offset + self._beyond[time]

    def offsets(self, time: int) -> Tensor:
        """What the deformation alone says ``(M, 3)``, motion weights included."""
        mix = self._mixes[time]
        if not mix:
            return torch.zeros_like(self.start)
        return sum((w * self.knots[k] for k, w in mix[1:]), mix[0][1] * self.knots[mix[0][0]])

    def at_knots(self, chosen: Tensor) -> Tensor:
        """The same of some of the moving splats at every knot: ``(K, knots, 3)`` for indices ``(K,)`` among them."""
        return torch.stack([knot[chosen] for knot in self.knots], 1)

    @torch.no_grad()
    def pull(self) -> None:
        """Takes the gradients that the knots have gathered to the output, in place of the one it has."""
        self.out.grad = torch.zeros_like(self.out)
        pulled = [k for k, knot in enumerate(self.knots) if knot.grad is not None]
        if not pulled or not len(self.index):
            return
        together = torch.cat([self.knots[k].grad * self._reach for k in pulled], 1)
        found = (self._waves @ together).view(-1, len(pulled), 3)
        self.out.grad.view(-1, self.spec.knots, 3)[:, pulled] = found

    @torch.no_grad()
    def refresh(self) -> None:
        """Works out the knots from the output, and forgets their gradients."""
        found = (self.out.T.contiguous() @ self._waves).view(self.spec.knots, 3, -1)
        for knot, values in zip(self.knots, found, strict=True):
            knot.grad = None
            torch.mul(values.T, self._reach, out=knot.detach())
