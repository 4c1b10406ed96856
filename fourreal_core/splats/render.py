"""Renders of a 4D scene: cells of its grid, any camera at any time, and the usual camera paths."""

from __future__ import annotations

import torch
from torch import Tensor

from ..cameras import Cameras, interpolate, orbit
from ..progress import OnStep, no_progress
from ..rasterizer import RasterOptions, Rendered, rasterize
from .scene import Scene4D


def render_cell(scene: Scene4D, view: int, time: float, options: RasterOptions | None = None,
                deformed: Tensor | None = None) -> Rendered:
    """Cell ``[view, time]`` with its view-dependent offsets.

    Args:
        scene: What to render.
        view: Which of the clip's cameras.
        time: Time step, fractions allowed.
        options: Rasterizer options.
        deformed: World positions ``(N, 3)`` of the splats at that time where they are known already.
    """
    splats, cameras = scene.splats, scene.cameras
    return rasterize(scene.in_view(view, time, deformed), splats.scales, splats.opacities, splats.colors,
                     cameras.intrinsics[view], cameras.size, scene.background, options or RasterOptions())


def render_camera(scene: Scene4D, camera: Cameras, time: float, options: RasterOptions | None = None) -> Rendered:
    """One camera that need not be any of the clip's, without view-dependent offsets.

    Args:
        scene: What to render.
        camera: Exactly one camera.
        time: Time step, fractions allowed.
        options: Rasterizer options.
    """
    splats = scene.splats
    return rasterize(camera.to_camera(scene.deformed(time))[0], splats.scales, splats.opacities, splats.colors,
                     camera.intrinsics[0], camera.size, scene.background, options or RasterOptions())


def render_path(scene: Scene4D, cameras: Cameras, times: Tensor, options: RasterOptions | None = None,
                on_step: OnStep = no_progress) -> Tensor:
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


def bullet_time(scene: Scene4D, frames: int = 48, options: RasterOptions | None = None,
                on_step: OnStep = no_progress) -> Tensor:
    """Time and camera move together: the camera sways once along its path and back while the clip plays once."""
    phase = torch.linspace(0, 1, frames)
    place = (1 - (2 * phase - 1).abs()) * (scene.views - 1)
    return render_path(scene, interpolate(scene.cameras, place), phase * (scene.times - 1), options, on_step)


def freeze_time(scene: Scene4D, time: float = 0.0, frames: int = 48, options: RasterOptions | None = None,
                on_step: OnStep = no_progress) -> Tensor:
    """Time stands at a step while the camera runs along its path."""
    place = torch.linspace(0, scene.views - 1, frames)
    return render_path(scene, interpolate(scene.cameras, place), torch.full((frames,), float(time)), options, on_step)


def fixed_view(scene: Scene4D, view: float = 0.0, frames: int = 48, options: RasterOptions | None = None,
               on_step: OnStep = no_progress) -> Tensor:
    """The camera stands at a place of its path while time runs."""
    cameras = interpolate(scene.cameras, torch.full((frames,), float(view)))
    return render_path(scene, cameras, torch.linspace(0, scene.times - 1, frames), options, on_step)


def orbit_time(scene: Scene4D, time: float = 0.0, frames: int = 48, degrees: float = 10.0,
               options: RasterOptions | None = None, on_step: OnStep = no_progress) -> Tensor:
    """Time stands while the central camera sways about the middle of what it sees."""
    middle = scene.cameras[scene.views // 2]
    seen = scene.splats.means[scene.visible[scene.views // 2]]
    points = seen if len(seen) else scene.splats.means
    centre = torch.stack([points.new_tensor(0.0), points.new_tensor(0.0), points[:, 2].median()])
    path = orbit(middle, centre, frames, degrees)
    return render_path(scene, path, torch.full((frames,), float(time)), options, on_step)
