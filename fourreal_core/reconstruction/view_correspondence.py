"""Where view 0 sees what another view's pixels show: by flow between their pictures, by geometry where flow fails.

What view 0's tracks measured is transferred to every view along these matches. Depth is least sure just where it
matters, at thin and moving things; flow between the pictures finds them, whatever their depth was taken for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..cameras import inside_image, pixel_grid
from ..flow.flow_cache import FlowCache, MeasuredFlow
from ..flow.robust_flow import appearance_error
from ..scene.pixel_points import look_up, view_points
from ..scene.scene4d import Scene4D

FALLOFF_PX = 1.0
"""Forward-backward error in pixels at which the confidence in a flow has fallen to 1/e."""
UNSURE = 0.05
"""Confidence in a flow below which geometry is asked."""
GEOMETRY = 0.05
"""Confidence in a match by geometry between pixels that look alike."""
FALLOFF_GRAY = 4.0
"""Colour difference in grey levels of 255 at which that has fallen to 1/e."""
WINDOW_PX = 3.0
"""Standard deviation of the window over which colours are compared."""
SAME_SURFACE = 0.06
"""Relative depth difference up to which view 0 sees a point of another view."""


@dataclass(frozen=True)
class ViewMatch:
    """For every pixel of a view, row by row, its match in view 0.

    Attributes:
        column: ``(H W,)`` long, on the picture always.
        row: ``(H W,)`` long.
        confidence: ``(H W,)`` in 0..1, zero where view 0 does not show it.
    """

    column: Tensor
    row: Tensor
    confidence: Tensor


def matches_with_first(scene: Scene4D, frames: Tensor, flows: FlowCache) -> list[ViewMatch]:
    """Every view's matches with view 0 at time 0.

    Args:
        scene: Its cameras, and the depth that every view sees.
        frames: The freeze-time clip ``(V, H, W, 3)`` in ``[0, 1]``.
        flows: Between known cells.
    """
    others = [match_by_flow(scene, v, flows((v, 0), (0, 0)), frames) for v in range(1, scene.views)]
    return [match_by_geometry(scene, 0), *others]


def match_by_geometry(scene: Scene4D, view: int) -> ViewMatch:
    """Matches by the scene's cameras and depth alone."""
    column, row, seen = look_up(scene, 0, view_points(scene, view), SAME_SURFACE)
    return ViewMatch(column, row, seen.float())


def match_by_flow(scene: Scene4D, view: int, flow: MeasuredFlow, frames: Tensor) -> ViewMatch:
    """Matches by flow where it returns to where it began, by geometry where it does not.

    Args:
        scene: Its cameras, and the depth that every view sees.
        view: Not 0.
        flow: From this view's frame at time 0 to view 0's.
        frames: The freeze-time clip ``(V, H, W, 3)`` in ``[0, 1]``.
    """
    h, w = scene.cameras.size
    device = scene.view_depth.device
    pixels = pixel_grid((h, w), device).reshape(-1, 2)
    at = pixels + torch.tensor(flow.best, device=device).reshape(-1, 2)
    inside = inside_image(at, (h, w))
    confidence = inside * torch.exp(-torch.from_numpy(flow.error).to(device).reshape(-1) / FALLOFF_PX)
    geometry = match_by_geometry(scene, view)
    shift = (torch.stack([geometry.column, geometry.row], -1) + 0.5 - pixels).view(h, w, 2).cpu().numpy()
    here, there = (frames[v].float().cpu().numpy() for v in (view, 0))
    difference = 255 * torch.from_numpy(appearance_error(here, there, shift.astype(np.float32), WINDOW_PX))
    fallback = geometry.confidence * GEOMETRY * torch.exp(-difference.to(device).reshape(-1) / FALLOFF_GRAY)
    by_geometry = (confidence < UNSURE) & (fallback > 0)
    return ViewMatch(
        torch.where(by_geometry, geometry.column, at[:, 0].long().clamp(0, w - 1)),
        torch.where(by_geometry, geometry.row, at[:, 1].long().clamp(0, h - 1)),
        torch.where(by_geometry, fallback, confidence),
    )
