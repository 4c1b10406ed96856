"""Where view 0 sees what another view's pixels show: by flow between their pictures, by geometry where flow fails.

What view 0's tracks measured is carried to every view through these matches. Depth is least sure just where it matters,
at thin and moving things; flow between the pictures finds them, whatever their depth was taken for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..cameras import pixel_grid
from ..errors import InputError
from ..flow.flow_cache import MeasuredFlow
from ..flow.flow_field import Flow
from ..flow.robust_flow import appearance_error
from ..scene.pixel_points import look_up, view_points
from ..scene.scene4d import Scene4D


@dataclass(frozen=True)
class MatchOptions:
    """How far matches are trusted.

    Attributes:
        falls_px: Forward-backward error in pixels at which the trust in a flow has fallen to 1/e.
        unsure: Trust in a flow below which geometry is asked.
        by_geometry: Trust in a match by geometry between pixels that look alike.
        falls_gray: Colour difference in grey levels of 255 at which that trust has fallen to 1/e.
        window_px: Standard deviation of the window over which colours are compared.
        same_surface: Relative depth difference up to which view 0 sees a point of another view.
    """

    falls_px: float = 1.0
    unsure: float = 0.05
    by_geometry: float = 0.05
    falls_gray: float = 4.0
    window_px: float = 3.0
    same_surface: float = 0.06

    def __post_init__(self) -> None:
        if min(self.falls_px, self.falls_gray, self.window_px, self.same_surface) <= 0:
            raise InputError(
                f"trust that falls over {self.falls_px} px and {self.falls_gray} grey levels",
                "positive numbers",
                "leave them at their defaults",
            )


@dataclass(frozen=True)
class ViewMatch:
    """For every pixel of a view, row by row, its match in view 0.

    Attributes:
        column: ``(H W,)`` long, on the picture always.
        row: ``(H W,)`` long.
        trust: ``(H W,)`` in 0..1, zero where view 0 does not show it.
    """

    column: Tensor
    row: Tensor
    trust: Tensor


def match_by_geometry(scene: Scene4D, view: int, options: MatchOptions | None = None) -> ViewMatch:
    """Matches by the scene's cameras and depth alone."""
    options = options or MatchOptions()
    column, row, seen = look_up(scene, 0, view_points(scene, view), options.same_surface)
    return ViewMatch(column, row, seen.float())


def match_by_flow(
    scene: Scene4D, view: int, flow: MeasuredFlow, frames: Tensor, options: MatchOptions | None = None
) -> ViewMatch:
    """Matches by flow where it returns to where it began, by geometry where it does not.

    Args:
        scene: Its cameras, and the depth that every view sees.
        view: Not 0.
        flow: From this view's frame at time 0 to view 0's.
        frames: The freeze-time clip ``(V, H, W, 3)`` in ``[0, 1]``.
        options: See MatchOptions.
    """
    options = options or MatchOptions()
    h, w = scene.cameras.size
    device = scene.view_depth.device
    pixels = pixel_grid((h, w), device).reshape(-1, 2)
    at = pixels + torch.from_numpy(flow.best).to(device).reshape(-1, 2)
    inside = (at[:, 0] >= 0) & (at[:, 0] < w) & (at[:, 1] >= 0) & (at[:, 1] < h)
    trust = inside * torch.exp(-torch.from_numpy(flow.error).to(device).reshape(-1) / options.falls_px)
    geometry = match_by_geometry(scene, view, options)
    shift = torch.stack([geometry.column, geometry.row], -1) + 0.5 - pixels
    apart = _apart(frames[view], frames[0], shift.view(h, w, 2).cpu().numpy(), options.window_px)
    fallback = geometry.trust * options.by_geometry * torch.exp(-apart.to(device).reshape(-1) / options.falls_gray)
    ask = (trust < options.unsure) & (fallback > 0)
    return ViewMatch(
        torch.where(ask, geometry.column, at[:, 0].long().clamp(0, w - 1)),
        torch.where(ask, geometry.row, at[:, 1].long().clamp(0, h - 1)),
        torch.where(ask, fallback, trust),
    )


def _apart(a: Tensor, b: Tensor, flow: Flow, window_px: float) -> Tensor:
    """Mean colour difference ``(H, W)`` in grey levels of 255."""
    error = appearance_error(a.float().cpu().numpy(), b.float().cpu().numpy(), flow.astype(np.float32), window_px)
    return torch.from_numpy(255 * error)
