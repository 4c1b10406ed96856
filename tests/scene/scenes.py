"""A small scene worked out by hand: a painted wall at distance 2 before cameras that step one pixel to the right."""

from __future__ import annotations

import torch
from torch import Tensor

from fourreal_core.cameras import Cameras, intrinsics_from_focal, pixel_grid, project
from fourreal_core.grid import FrameGrid
from fourreal_core.scene.deformation_field import DeformationField, DeformationSpec, random_field
from fourreal_core.scene.gaussians import Splats
from fourreal_core.scene.render import render_cell
from fourreal_core.scene.scene4d import Scene4D
from fourreal_core.tracking.tracks import Tracks

SIZE, FOCAL, DISTANCE, OVER = (24, 32), 32.0, 2.0, 8
PIXEL = DISTANCE / FOCAL
"""What one pixel spans on the wall in world units."""


def psnr(a: Tensor, b: Tensor) -> float:
    return float(-10 * torch.log10(((a - b) ** 2).mean().clamp_min(1e-12)))


def wall_colors(at: Tensor) -> Tensor:
    """A smooth painting ``(N, 3)`` at pixels ``(N, 2)`` of the middle camera."""
    waves = torch.tensor([[0.5, 0.1, -0.4], [0.15, 0.45, 0.35]])
    return 0.5 + 0.4 * torch.sin(at @ waves + torch.tensor([0.0, 1.0, 2.0]))


def step_cameras(views: int) -> Cameras:
    """Cameras beside each other, one pixel of the wall apart; the central one is the world."""
    poses = torch.eye(4).repeat(views, 1, 1)
    poses[:, 0, 3] = -PIXEL * (torch.arange(views) - views // 2)
    return Cameras(poses, intrinsics_from_focal(FOCAL, SIZE).repeat(views, 1, 1), SIZE)


def wall_scene(views: int = 3, times: int = 4, deformation: DeformationField | None = None) -> Scene4D:
    """One splat a pixel of the middle camera and ``OVER`` pixels beyond its edges; all of it may move."""
    at = pixel_grid((SIZE[0] + 2 * OVER, SIZE[1] + 2 * OVER)).reshape(-1, 2) - OVER
    n = len(at)
    centred = (at - torch.tensor([SIZE[1] / 2, SIZE[0] / 2])) * PIXEL
    means = torch.cat([centred, torch.full((n, 1), DISTANCE)], 1)
    splats = Splats(means, torch.full((n,), PIXEL * 0.5).log(), torch.full((n,), 2.2), wall_colors(at))
    cameras = step_cameras(views)
    maps = torch.ones(views, *SIZE)
    return Scene4D(
        splats,
        cameras,
        torch.zeros(views, n, 3),
        torch.ones(views, n, dtype=torch.bool),
        torch.ones(n),
        DISTANCE * maps,
        maps,
        times,
        deformation,
        torch.tensor([0.1, 0.2, 0.3]),
    )


def sliding(times: int, pixels: tuple[float, float] = (2.0, -1.0)) -> DeformationField:
    """A field that carries everything on the wall evenly, by so many pixels over the clip."""
    spec = DeformationSpec(features=6, knots=times - 1)
    field = random_field(spec, torch.Generator().manual_seed(0))
    shift = torch.tensor([*pixels, 0.0]) * PIXEL / (DISTANCE * spec.extent)
    for k in range(spec.knots):
        field.weights[-1].view(-1, 3)[k] = shift * (k + 1) / spec.knots
    return field


def rendered_grid(scene: Scene4D) -> Tensor:
    """Every cell ``(V, T, H, W, 3)``."""
    with torch.no_grad():
        cells = [torch.stack([render_cell(scene, v, t).image for t in range(scene.times)]) for v in range(scene.views)]
    return torch.stack(cells).clamp(0, 1)


def known_cross(frames: Tensor, valid: Tensor | None = None) -> FrameGrid:
    """The grid with row 0 and column 0 of all frames known."""
    return FrameGrid.from_clips(frames[:, 0], frames[0], valid)


def true_time_tracks(scene: Scene4D) -> Tracks:
    """Where the pixels of view 0 go, from the scene's own motion."""
    k = scene.cameras.intrinsics
    inside = project(scene.cameras[0].to_camera(scene.splats.means)[0], k[0])
    keep = (inside >= 0).all(-1) & (inside[:, 0] < SIZE[1]) & (inside[:, 1] < SIZE[0])
    with torch.no_grad():
        positions = torch.stack([scene.in_view(0, t)[keep] for t in range(scene.times)])
    n = positions.shape[1]
    return Tracks(
        positions,
        torch.ones(scene.times, n, dtype=torch.bool),
        scene.splats.colors[keep],
        torch.zeros(n, dtype=torch.long),
        torch.full((n,), PIXEL),
        k[:1].repeat(scene.times, 1, 1),
        SIZE,
    )
