"""Figures of every stage of a reconstruction against a world of which everything is known (see reconstruction.py)."""

from __future__ import annotations

import torch
from synthetic_worlds import World
from torch import Tensor

from fourreal_core.cameras import Cameras, inside_image, interpolate, project, sample_map
from fourreal_core.geometry.geometry import Geometry
from fourreal_core.metrics import psnr
from fourreal_core.metrics.track_quality import TrackQuality, track_quality
from fourreal_core.pipeline import PipelineResult
from fourreal_core.scene.render import render_camera, render_cell
from fourreal_core.tracking.tracks import Tracks

POINTS = 4000  # true points that tracks are compared at


def depth_figures(geometry: Geometry, depth: Tensor) -> dict[str, float]:
    """Depth ``(V, H, W)`` against the truth after one common factor."""
    factor = float((depth / geometry.depth).median())
    error = (geometry.depth * factor / depth - 1).abs()
    return {
        "depth_error": float(error.median()),
        "depth_mean": float(error.mean()),
        "depth_near": float((error < 0.05).float().mean()),
    }


def camera_figures(geometry: Geometry, true: Cameras, depth: Tensor) -> dict[str, float]:
    """Cameras relative to the central one, against the truth."""
    middle, factor = len(true) // 2, float((depth / geometry.depth).median())
    turns, centres = [], []
    for w2c in (geometry.cameras.world_to_cam, true.world_to_cam):
        relative = w2c.double() @ torch.linalg.inv(w2c[middle].double())
        turns.append(relative[:, :3, :3])
        centres.append(-(relative[:, :3, :3].transpose(1, 2) @ relative[:, :3, 3:])[..., 0])
    cosine = ((turns[0] @ turns[1].transpose(1, 2)).diagonal(dim1=1, dim2=2).sum(-1) - 1) / 2
    base = float((centres[1][:, None] - centres[1]).norm(dim=-1).max())
    focal = float(geometry.intrinsics[0, 0, 0] / true.intrinsics[0, 0, 0])
    return {
        "rotation_deg": float(torch.rad2deg(torch.arccos(cosine.clamp(-1, 1))).max()),
        "centre_error": float((centres[0] * factor - centres[1]).norm(dim=-1).max()) / base,
        "focal_error": focal - 1,
    }


def track_figures(tracks: Tracks, world: World, depth: Tensor, axis: str) -> dict[str, float]:
    """Tracks through views at time 0 or through times at view 0, at true points that the starting frame sees.

    ``px`` is where they are seen: unlike the others, it asks for no depth but one that all frames agree on.
    """
    views, times = depth.shape[:2]
    steps = [(v, 0) for v in range(views)] if axis == "views" else [(0, t) for t in range(times)]
    start = views // 2 if axis == "views" else 0
    true = torch.stack([world.in_view(v, t / (times - 1)) for v, t in steps])
    intrinsics = torch.stack([world.cameras.intrinsics[v] for v, _ in steps])
    pixels = project(true, intrinsics[:, None])
    seen = torch.stack([on_surface(p, q, depth[v, t]) for p, q, (v, t) in zip(true, pixels, steps, strict=True)])
    nearest = _tracks_by_pixel(tracks, start)
    at = pixels[start].long().clamp(min=0)
    index = nearest[at[:, 1].clamp(max=nearest.shape[0] - 1), at[:, 0].clamp(max=nearest.shape[1] - 1)]
    usable = (seen[start] & (index >= 0)).nonzero()[:, 0]
    figures = {}
    generator = torch.Generator().manual_seed(0)
    moving = world.moving[usable]
    for name, among in (("", usable), ("moving_", usable[moving]), ("standing_", usable[~moving])):
        pick = among[torch.randperm(len(among), generator=generator)[:POINTS]]
        quality: TrackQuality = track_quality(
            tracks.positions[:, index[pick]],
            tracks.visible[:, index[pick]],
            true[:, pick],
            seen[:, pick],
            intrinsics[:, 0, 0],
            tracks.size,
        )
        figures |= {
            f"{name}aj": quality.average_jaccard,
            f"{name}apd": quality.apd,
            f"{name}occlusion": quality.occlusion_accuracy,
            f"{name}px": _pixels_off(tracks, index[pick], pixels[:, pick], seen[:, pick], start),
        }
    return figures


def _pixels_off(tracks: Tracks, index: Tensor, pixels: Tensor, seen: Tensor, start: int) -> float:
    """Mean distance in pixels from where points ``(F, N, 2)`` are truly seen, in all frames but the starting one."""
    found = project(tracks.positions[:, index], tracks.intrinsics[:, None])
    counted = tracks.visible[:, index] & seen
    counted[start] = False
    return float((found - pixels).norm(dim=-1)[counted].mean()) if bool(counted.any()) else 0.0


def on_surface(points: Tensor, pixels: Tensor, depth: Tensor) -> Tensor:
    """Which camera-space points ``(N, 3)``, at these pixels, lie within 2 % of the depth ``(H, W)`` there."""
    inside = inside_image(pixels, tuple(depth.shape)) & (points[:, 2] > 0)
    return inside & ((points[:, 2] - sample_map(depth, pixels)).abs() < 0.02 * points[:, 2])


def _tracks_by_pixel(tracks: Tracks, frame: int) -> Tensor:
    """Which track started at or next to every pixel ``(H, W)`` of a frame; -1 where none did."""
    h, w = tracks.size
    mine = (tracks.keyframe == frame).nonzero()[:, 0]
    at = project(tracks.positions[frame, mine], tracks.intrinsics[frame]).long()
    table = torch.full((h, w), -1, dtype=torch.long)
    for dy, dx in ((1, 1), (1, 0), (0, 1), (-1, -1), (-1, 0), (0, -1), (0, 0)):  # last the pixel itself
        table[(at[:, 1] + dy).clamp(0, h - 1), (at[:, 0] + dx).clamp(0, w - 1)] = mine
    return table


def picture_figures(result: PipelineResult, world: World, frames: Tensor) -> dict[str, float]:
    """PSNR of cells, of views between the cameras and of times between the steps."""
    scene, grid = result.scene, result.grid
    views, times = grid.views, grid.times
    unknown = [(v, t) for v in range(1, views) for t in range(1, times)]
    with torch.no_grad():
        cell = {(v, t): render_cell(scene, v, t).image.clamp(0, 1) for v in range(views) for t in range(times)}
        between, later = [], []
        for k in range(views - 1):
            for t in (0, times - 1):
                camera = interpolate(scene.cameras, torch.tensor([k + 0.5]))
                between.append(
                    psnr(
                        render_camera(scene, camera, t).image.clamp(0, 1), world.between(k + 0.5, t / max(times - 1, 1))
                    )
                )
        for t in range(times - 1):
            for v in (0, views // 2):
                later.append(
                    psnr(render_cell(scene, v, t + 0.5).image.clamp(0, 1), world.cell(v, (t + 0.5) / (times - 1))[0])
                )
    subject = {(v, t): world.subject_mask(v, t / max(times - 1, 1)) for v, t in unknown}
    known = [psnr(cell[v, t], frames[v, t]) for v in range(views) for t in range(times) if v == 0 or t == 0]
    return {
        "psnr_cells": _mean([psnr(grid.frames[c], frames[c]) for c in unknown]),
        "psnr_splats": _mean([psnr(cell[c], frames[c]) for c in unknown]),
        "psnr_front": _mean([psnr(cell[c], frames[c], s) for c, s in subject.items() if bool(s.any())]),
        "psnr_back": _mean([psnr(cell[c], frames[c], ~s) for c, s in subject.items() if not bool(s.all())]),
        "psnr_known": _mean(known),
        "psnr_between_views": _mean(between),
        "psnr_between_times": _mean(later),
        "psnr_frozen": _mean([psnr(frames[v, 0], frames[v, t]) for v, t in unknown]),
    }


def _mean(values: list[float]) -> float:
    return sum(values) / max(len(values), 1)
