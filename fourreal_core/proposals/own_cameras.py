"""Completed cells as each time's own camera sees them: the motion that was taken out of the fixed view, put back.

Camera v at time t is view v's, moved as the fixed view's camera was at that time. Cells are read anew, each pixel at
the depth that the scene has there; what lies beyond a cell's rim is the scene's render, in the light of the cell.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..flow.flow_field import invert_flow
from ..geometry.camera_fit import FrameMotion
from ..geometry.camera_motion import LEFT_ALONE
from ..geometry.steady_grid import SteadyGrid, motion_flow, resampled, with_given_row
from ..grid import FrameGrid
from ..media.hole_filling import fill_holes
from ..rasterizer import RasterOptions
from ..scene.render import render_cell
from ..scene.scene4d import Scene4D
from .image_filters import Image
from .scene_candidates import COVERED_ALPHA

INVERSIONS = 8
"""Steps that invert where the pixels of a steady cell go."""
LEAST_RIM_PX = 4
"""Width of what is rendered around a cell, beyond how far its motion reaches."""


def own_cells(scene: Scene4D, grid: SteadyGrid, raster: RasterOptions | None = None) -> FrameGrid:
    """A completed grid as each time's own camera sees it; row 0 and all other known cells are as they were given.

    Args:
        scene: Fitted to the steady grid.
        grid: Completed.
        raster: Rasterizer options.

    Raises:
        InputError: A grid of another shape than the scene's.
    """
    if (grid.views, grid.times) != (scene.views, scene.times):
        raise InputError(
            f"a grid of {grid.views} x {grid.times} cells",
            f"{scene.views} x {scene.times} as the scene",
            "give the scene that was fitted to the grid",
        )
    out = with_given_row(grid)
    frames = out.frames.clone()
    with torch.no_grad():
        for t, motion in enumerate(grid.motion.motions):
            if grid.motion.shift_px[t] <= LEFT_ALONE * grid.size[1]:
                continue
            for v in range(1, grid.views):
                if not grid.known[v, t]:
                    frames[v, t] = moved_cell(scene, (v, t), grid.frames[v, t], motion, raster)
    return replace(out, frames=frames)


def moved_cell(
    scene: Scene4D, cell: tuple[int, int], picture: Tensor, motion: FrameMotion, raster: RasterOptions | None = None
) -> Tensor:
    """A cell ``(H, W, 3)`` as its camera sees it after a motion.

    Args:
        scene: What is seen.
        cell: View and time.
        picture: ``(H, W, 3)`` the cell as the view's camera sees it.
        motion: Of the camera.
        raster: Rasterizer options.
    """
    h, w = scene.cameras.size
    reach = np.abs(motion_flow(motion, (h, w))).max()
    rim = min(int(reach) + LEAST_RIM_PX, max(h, w))
    wide, inv_depth = _with_rim(scene, cell, picture, rim, raster)
    flow = motion_flow(motion, (h + 2 * rim, w + 2 * rim), inv_depth)
    seen = resampled(wide, invert_flow(flow, INVERSIONS))
    return torch.from_numpy(seen[rim : rim + h, rim : rim + w].copy()).to(picture)


def _with_rim(
    scene: Scene4D, cell: tuple[int, int], picture: Tensor, rim: int, raster: RasterOptions | None
) -> tuple[Image, Image]:
    """A cell with the scene's render around it ``(H + 2 rim, W + 2 rim, 3)``, and the inverse depth of all that."""
    (view, time), (h, w) = cell, scene.cameras.size
    size = h + 2 * rim, w + 2 * rim
    drawn = render_cell(scene, view, time, raster, rim)
    inside = torch.zeros(size, dtype=torch.bool)
    inside[rim : rim + h, rim : rim + w] = True
    image, covered = drawn.image.clamp(0, 1).cpu(), drawn.alpha.cpu() > COVERED_ALPHA
    wide = torch.zeros(*size, 3)
    wide[rim : rim + h, rim : rim + w] = picture.cpu()
    light = fill_holes(wide - image, inside)
    outside = torch.where(covered[..., None], image + light, fill_holes(wide, inside))
    wide = torch.where(inside[..., None], wide, outside).clamp(0, 1)
    depth = drawn.depth.cpu().clamp_min(1e-3)
    inverse = fill_holes((1 / depth)[..., None], covered)[..., 0]
    return wide.numpy(), inverse.numpy()
