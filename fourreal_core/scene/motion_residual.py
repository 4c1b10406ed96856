"""Reads a scene's motion residual: what tracks in time measured beyond the deformation field (see track_residual)."""

from __future__ import annotations

import torch
from torch import Tensor

from ..cameras import Cameras, project
from .deformation_field import NEAREST


def places_in_views(means: Tensor, cameras: Cameras, view_offsets: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
    """The first view that sees each splat, and where.

    Args:
        means: ``(N, 3)`` world positions at time 0.
        cameras: V cameras.
        view_offsets: ``(V, N, 3)`` view-dependent offsets in each camera's space.
        visible: ``(V, N)`` bool.

    Returns:
        View ``(N,)`` long, and place ``(N, 2)`` in ``[-1, 1]`` over that view's image.
    """
    h, w = cameras.size
    view = visible.to(torch.uint8).argmax(0)
    places = torch.zeros_like(means[:, :2])
    for v in view.unique().tolist():
        at = project(cameras[v].to_camera(means)[0] + view_offsets[v], cameras.intrinsics[v])
        places = torch.where((view == v)[:, None], at / at.new_tensor([w, h]) * 2 - 1, places)
    return view, places


class SampledResidual:
    """A motion residual at some points; every time step is sampled once, when it is first asked for.

    Args:
        maps: ``(V, T, 3, h, w)`` from residual_maps, in units of a point's depth.
        view: ``(M,)`` long, which view's map each point reads.
        places: ``(M, 2)`` where, in ``[-1, 1]``.
        points: ``(M, 3)`` world points.
        weight: ``(M,)`` motion weights.
    """

    def __init__(self, maps: Tensor, view: Tensor, places: Tensor, points: Tensor, weight: Tensor) -> None:
        self._maps, self._view, self._places = maps, view, places
        self._unit = points[:, 2:].clamp_min(NEAREST) * weight[:, None]
        self._steps: dict[int, Tensor] = {}

    def at(self, time: float) -> Tensor:
        """Offsets ``(M, 3)`` in world units at a time step, linear between steps and held beyond the ends."""
        last = self._maps.shape[1] - 1
        at = min(max(float(time), 0.0), float(last))
        low, part = int(at), at - int(at)
        return torch.lerp(self._step(low), self._step(low + 1), part) if part else self._step(low)

    @torch.no_grad()
    def _step(self, step: int) -> Tensor:
        if step not in self._steps:
            out = torch.zeros_like(self._places[:, :1]).repeat(1, 3)
            for v in self._view.unique().tolist() if step > 0 else []:  # at time 0 nothing has moved
                mine = self._view == v
                sampled = torch.nn.functional.grid_sample(
                    self._maps[v, step][None],
                    self._places[mine][None, None],
                    align_corners=False,
                    padding_mode="border",
                )
                out[mine] = sampled[0, :, 0].T
            self._steps[step] = out * self._unit
        return self._steps[step]
