"""The pixels of a view as points of the scene: what reads a view's own frame again at another time.

Canonical splats are shared by all views, so in any one view their silhouettes are off by what tracking was. The view's
own pixels, lifted by the depth that view sees, are exact there; the scene moves them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..cameras import lift, pixel_grid, project
from ..rasterizer import RasterOptions, rasterize
from .points_in_time import MovingPoints, moving_points
from .scene4d import Scene4D


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
    inside = (at[:, 0] >= 0) & (at[:, 0] < w) & (at[:, 1] >= 0) & (at[:, 1] < h) & (here[:, 2] > 0)
    column, row = at[:, 0].long().clamp(0, w - 1), at[:, 1].long().clamp(0, h - 1)
    near = (here[:, 2] - scene.view_depth[view, row, column]).abs() < same_surface * here[:, 2]
    return column, row, inside & near


def view_lattice(scene: Scene4D, view: int) -> MovingPoints:
    """The same points, ready for many times."""
    points = view_points(scene, view)
    h, w = scene.cameras.size
    places = pixel_grid(scene.cameras.size, points.device).reshape(-1, 2) / points.new_tensor([w, h]) * 2 - 1
    own = torch.full((len(points),), view, dtype=torch.long, device=points.device)
    return moving_points(scene, points, scene.view_motion[view].reshape(-1), own, places)


def render_source_map(
    lattice: MovingPoints, view: int, time: float, source: float, options: RasterOptions | None = None
) -> tuple[Tensor, Tensor]:
    """Where what cell ``[view, time]`` shows stands in cell ``[view, source]``.

    Args:
        lattice: The view's pixels as points, from view_lattice.
        view: The view of both cells.
        time: Time step of the cell to be made.
        source: Time step of the cell to read.
        options: Rasterizer options.

    Returns:
        Displacement ``(H, W, 2)`` in pixels to the source, and how well it is covered ``(H, W)`` in ``[0, 1]``.
    """
    scene = lattice.scene
    camera, intrinsics = scene.cameras[view], scene.cameras.intrinsics[view]
    now, then = camera.to_camera(lattice.at(time))[0], camera.to_camera(lattice.at(source))[0]
    shift = project(then, intrinsics) - project(now, intrinsics)
    scales = scene.view_depth[view].reshape(-1) / intrinsics[0, 0] * 0.35  # pixels: the low-pass adds the rest
    rendered = rasterize(
        now,
        scales,
        torch.full_like(scales, 0.95),
        shift,
        intrinsics,
        scene.cameras.size,
        None,
        options or RasterOptions(),
    )
    return rendered.image / rendered.alpha.clamp_min(1e-6)[..., None], rendered.alpha
