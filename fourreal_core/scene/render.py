"""Renders of a 4D scene: cells of its grid, any camera at any time, and videos along camera paths."""

from __future__ import annotations

import torch
from torch import Tensor

from ..cameras import Cameras
from ..progress import OnStep, no_progress
from ..rasterizer import RasterOptions, Rendered, rasterize
from .camera_paths import CameraPath, bullet_time_path, fixed_view_path, freeze_time_path, orbit_path
from .scene4d import Scene4D


def render_cell(
    scene: Scene4D, view: int, time: float, options: RasterOptions | None = None, deformed: Tensor | None = None
) -> Rendered:
    """Cell ``[view, time]`` with its view-dependent offsets and colours.

    Args:
        scene: What to render.
        view: Which of the clip's cameras.
        time: Time step, fractions allowed.
        options: Rasterizer options.
        deformed: World positions ``(N, 3)`` of the splats at that time where they are known already.
    """
    splats, cameras = scene.splats, scene.cameras
    return rasterize(
        scene.in_view(view, time, deformed),
        splats.scales,
        splats.opacities,
        scene.colors_in(view),
        cameras.intrinsics[view],
        cameras.size,
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
        splats.opacities,
        splats.colors,
        camera.intrinsics[0],
        camera.size,
        scene.background,
        options or RasterOptions(),
    )


def render_path(
    scene: Scene4D, cameras: Cameras, times: Tensor, options: RasterOptions | None = None, on_step: OnStep = no_progress
) -> Tensor:
    """A clip ``(F, H, W, 3)`` in ``[0, 1]`` along F cameras at F time steps.

    Args:
        scene: What to render.
        cameras: F cameras.
        times: ``(F,)`` time steps, fractions allowed.
        options: Rasterizer options.
        on_step: Progress with the frame as preview.
    """
    frames = []
    with torch.no_grad():
        for k in range(len(cameras)):
            frame = render_camera(scene, cameras[k], float(times[k]), options).image.clamp(0, 1)
            frames.append(frame.cpu())
            on_step(k + 1, len(cameras), frames[-1])
    return torch.stack(frames)


def render_along(
    scene: Scene4D, path: CameraPath, options: RasterOptions | None = None, on_step: OnStep = no_progress
) -> Tensor:
    """A clip ``(F, H, W, 3)`` in ``[0, 1]`` along a camera path."""
    return render_path(scene, path.cameras, path.times, options, on_step)


def bullet_time(
    scene: Scene4D, frames: int = 48, options: RasterOptions | None = None, on_step: OnStep = no_progress
) -> Tensor:
    """Time and camera move together: the camera sways once along its path and back while the clip plays once."""
    return render_along(scene, bullet_time_path(scene, frames), options, on_step)


def freeze_time(
    scene: Scene4D,
    time: float = 0.0,
    frames: int = 48,
    options: RasterOptions | None = None,
    on_step: OnStep = no_progress,
) -> Tensor:
    """Time stands at a step while the camera runs along its path."""
    return render_along(scene, freeze_time_path(scene, time, frames), options, on_step)


def fixed_view(
    scene: Scene4D,
    view: float = 0.0,
    frames: int = 48,
    options: RasterOptions | None = None,
    on_step: OnStep = no_progress,
) -> Tensor:
    """The camera stands at a place of its path while time runs."""
    return render_along(scene, fixed_view_path(scene, view, frames), options, on_step)


def orbit_time(
    scene: Scene4D,
    time: float = 0.0,
    frames: int = 48,
    degrees: float = 10.0,
    options: RasterOptions | None = None,
    on_step: OnStep = no_progress,
) -> Tensor:
    """Time stands while the central camera sways about the middle of what it sees."""
    return render_along(scene, orbit_path(scene, time, frames, degrees), options, on_step)
