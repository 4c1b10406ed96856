"""Renders of a 4D scene: cells of its grid, any camera at any time, and videos along camera paths."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..cameras import Cameras
from ..progress import OnStep, no_progress
from ..rasterizer import RasterOptions, Rendered, rasterize
from .camera_paths import CameraPath, bullet_time_path
from .scene4d import Scene4D


def render_cell(scene: Scene4D, view: int, time: float, options: RasterOptions | None = None, rim: int = 0) -> Rendered:
    """Cell ``[view, time]`` with its view-dependent offsets and colours.

    Args:
        scene: What to render.
        view: Which of the clip's cameras.
        time: Time step, fractions allowed.
        options: Rasterizer options.
        rim: Pixels to show beyond each edge of the cell, as its camera would if its picture were larger.
    """
    splats, cameras = scene.splats, scene.cameras
    (h, w), intrinsics = cameras.size, cameras.intrinsics[view]
    if rim:
        intrinsics = intrinsics.clone()
        intrinsics[:2, 2] += rim
    return rasterize(
        scene.in_view(view, time),
        splats.scales,
        scene.opacities_at(time),
        scene.colors_in(view),
        intrinsics,
        (h + 2 * rim, w + 2 * rim),
        scene.background,
        options or RasterOptions(),
    )


def render_camera(scene: Scene4D, camera: Cameras, time: float, options: RasterOptions | None = None) -> Rendered:
    """One camera that need not be any of the clip's, without view-dependent offsets and colours.

    Args:
        scene: What to render.
        camera: Exactly one camera.
        time: Time step, fractions allowed.
        options: Rasterizer options.
    """
    splats = scene.splats
    return rasterize(
        camera.to_camera(scene.deformed(time))[0],
        splats.scales,
        scene.opacities_at(time),
        splats.colors,
        camera.intrinsics[0],
        camera.size,
        scene.background,
        options or RasterOptions(),
    )


def render_along(
    scene: Scene4D,
    path: CameraPath,
    options: RasterOptions | None = None,
    on_step: OnStep = no_progress,
    alpha: bool = False,
) -> Tensor:
    """A clip ``(F, H, W, 3)`` in ``[0, 1]`` along a camera path.

    Args:
        scene: What to render.
        path: F cameras and times.
        options: Rasterizer options.
        on_step: Progress with the frame as preview.
        alpha: Leave the background out: frames are ``(F, H, W, 4)`` with straight alpha, black where nothing is.
    """
    frames = torch.empty(len(path.cameras), *path.cameras.size, 4 if alpha else 3)
    if alpha:
        scene = replace(scene, background=torch.zeros_like(scene.background))
    with torch.no_grad():
        for k in range(len(path.cameras)):
            rendered = render_camera(scene, path.cameras[k], float(path.times[k]), options)
            frame = rendered.image.clamp(0, 1).cpu()
            on_step(k + 1, len(path.cameras), frame)
            if alpha:
                share = rendered.alpha.cpu()[..., None]
                frame = torch.cat([(frame / share.clamp_min(1e-6)).clamp(0, 1), share], -1)
            frames[k] = frame
    return frames


def bullet_time(
    scene: Scene4D, frames: int = 48, options: RasterOptions | None = None, on_step: OnStep = no_progress
) -> Tensor:
    """Time and camera move together: the camera moves along its path and back while the clip plays once."""
    return render_along(scene, bullet_time_path(scene, frames), options, on_step)
