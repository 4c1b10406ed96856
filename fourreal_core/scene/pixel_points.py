"""The pixels of a view as points of the scene, from which its own frames are read again at other times.

Canonical splats are shared by all views, so in any one view their silhouettes are off by what tracking was. The view's
own pixels, lifted by the depth that view sees, are exact there; the scene moves them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..cameras import inside_image, lift, pixel_grid, project
from ..rasterizer import RasterOptions, rasterize
from .points_in_time import TimeOffsets, displaced_points
from .scene4d import Scene4D

SPREAD = 0.35
"""Standard deviation of a pixel's splat in pixels; the rasterizer's low-pass adds the rest."""
OPAQUE = 0.95
"""Opacity of a pixel's splat."""


@dataclass(frozen=True)
class PixelPoints:
    """The pixels of one view as world points that move with the scene.

    Attributes:
        scene: Where they move.
        view: Whose pixels they are.
        rest: ``(H W, 3)`` world points at time 0, row by row.
        offsets: ``dp_time`` of these points by the tracks' own weights; None in a scene that does not move.
    """

    scene: Scene4D
    view: int
    rest: Tensor
    offsets: TimeOffsets | None

    def at(self, time: float) -> Tensor:
        """World points ``(H W, 3)`` at a time step, fractions allowed (eq. 3; these pixels need no ``dp_view``)."""
        return self.rest if self.offsets is None else displaced_points(self.rest, self.offsets, time)


def pixel_points(scene: Scene4D, view: int) -> PixelPoints:
    """The pixels of a view, ready for any time."""
    rest, field = view_points(scene, view), scene.deformation
    if field is None:
        return PixelPoints(scene, view, rest, None)
    if scene.tracked_weights is not None:
        field = replace(field, weights=scene.tracked_weights)
    h, w = scene.cameras.size
    places = pixel_grid(scene.cameras.size, rest.device).reshape(-1, 2) / rest.new_tensor([w, h]) * 2 - 1
    views = torch.full((len(rest),), view, dtype=torch.long, device=rest.device)
    with torch.no_grad():
        offsets = scene.offsets_of(rest, scene.view_motion[view].reshape(-1), views, places, field)
    return PixelPoints(scene, view, rest, offsets)


def view_points(scene: Scene4D, view: int) -> Tensor:
    """World points ``(H W, 3)`` of what every pixel of a view sees at time 0, row by row."""
    points = lift(
        pixel_grid(scene.cameras.size, scene.view_depth.device), scene.view_depth[view], scene.cameras.intrinsics[view]
    )
    rot, trans = scene.cameras.world_to_cam[view, :3, :3], scene.cameras.world_to_cam[view, :3, 3]
    return (points.reshape(-1, 3) - trans) @ rot


def look_up(scene: Scene4D, view: int, points: Tensor, same_surface: float) -> tuple[Tensor, Tensor, Tensor]:
    """Where a view shows world points at time 0.

    Args:
        scene: Its cameras, and the depth that every view sees.
        view: Which view.
        points: ``(N, 3)`` world points.
        same_surface: Relative depth difference up to which the view sees a point.

    Returns:
        Column and row ``(N,)`` long, on the picture always, and whether the view sees the point there ``(N,)`` bool.
    """
    h, w = scene.cameras.size
    here = scene.cameras[view].to_camera(points)[0]
    at = project(here, scene.cameras.intrinsics[view])
    inside = inside_image(at, (h, w))
    column, row = at[:, 0].long().clamp(0, w - 1), at[:, 1].long().clamp(0, h - 1)
    # never true behind the camera, where the right side is negative
    near = (here[:, 2] - scene.view_depth[view, row, column]).abs() < same_surface * here[:, 2]
    return column, row, inside & near


def render_source_map(
    points: PixelPoints, time: float, source: float, options: RasterOptions | None = None
) -> tuple[Tensor, Tensor]:
    """Where what a view shows at one time stands at another.

    Args:
        points: The pixels of the view.
        time: Time step of the cell to be made.
        source: Time step of the cell to read.
        options: Rasterizer options.

    Returns:
        Displacement ``(H, W, 2)`` in pixels to the source, and how well it is covered ``(H, W)`` in ``[0, 1]``.
    """
    scene, view = points.scene, points.view
    camera, intrinsics = scene.cameras[view], scene.cameras.intrinsics[view]
    now, then = camera.to_camera(points.at(time))[0], camera.to_camera(points.at(source))[0]
    shift = project(then, intrinsics) - project(now, intrinsics)
    scales = scene.view_depth[view].reshape(-1) / intrinsics[0, 0] * SPREAD
    rendered = rasterize(
        now,
        scales,
        torch.full_like(scales, OPAQUE),
        shift,
        intrinsics,
        scene.cameras.size,
        None,
        options or RasterOptions(),
    )
    return rendered.image / rendered.alpha.clamp_min(1e-6)[..., None], rendered.alpha
