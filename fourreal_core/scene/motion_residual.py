"""Reads a scene's motion residual: which view's map a point takes, and what it says at a time (see residual_maps)."""

from __future__ import annotations

import torch
from torch import Tensor

from ..cameras import Cameras, project


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


def residual_offsets(maps: Tensor, view: Tensor, places: Tensor, depth: Tensor, time: float) -> Tensor:
    """Offsets ``(N, 3)`` in world units at a time step, fractions allowed.

    Args:
        maps: ``(V, T, 3, h, w)`` from residual_maps.
        view: ``(N,)`` whose map each point reads.
        places: ``(N, 2)`` where, in ``[-1, 1]``.
        depth: ``(N,)`` world depth of the points, the unit of the maps.
        time: Time step.
    """
    last = maps.shape[1] - 1
    at = min(max(float(time), 0.0), float(last))
    low = min(int(at), max(last - 1, 0))
    out = maps.new_zeros(len(places), 3)
    for v in view.unique().tolist():
        mixed = torch.lerp(maps[v, low], maps[v, min(low + 1, last)], at - low)
        mine = view == v
        out[mine] = torch.nn.functional.grid_sample(
            mixed[None], places[mine][None, None], align_corners=False, padding_mode="border"
        )[0, :, 0].T
    return out * depth.clamp_min(1e-2)[:, None]
