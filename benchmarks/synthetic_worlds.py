"""Worlds of which everything is known: rigid, articulated and soft motion, with views that agree or do not.

The pieces are points on surfaces, drawn as small splats. ``views_off`` bends every view but the central one by a smooth
field of its own, as a video model's views are off, and changes its light a little.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fourreal_core.cameras import Cameras, interpolate, intrinsics_from_focal
from fourreal_core.rasterizer import rasterize
from fourreal_core.synthetic.demo_surfaces import SurfacePoints, box, ellipsoid, ground_strip, wall
from fourreal_core.synthetic.demo_textures import SolidNoise, blend, lit, tiles

EYE, TARGET = (0.0, -0.3, -3.2), (0.0, 0.15, 0.3)
FLOOR, ARC_DEGREES = 0.8, 22.0
SKY = (0.55, 0.65, 0.75)
Motion = Callable[[Tensor, float], Tensor]


@dataclass(frozen=True)
class World:
    """Surface points with their motion, and the cameras.

    Attributes:
        points: ``(N, 3)`` at time 0 in world units.
        colors: ``(N, 3)``.
        scales: ``(N,)`` of the splats that draw them.
        parts: Slices of the points that move, each with what moves it.
        cameras: The V cameras of the freeze-time clip.
        offsets: ``(V, N, 3)`` by which each view is off, in its camera's space.
        gains: ``(V, 3)`` light of each view.
    """

    points: Tensor
    colors: Tensor
    scales: Tensor
    parts: list[tuple[slice, Motion]]
    cameras: Cameras
    offsets: Tensor
    gains: Tensor

    def at(self, time: float) -> Tensor:
        """World positions ``(N, 3)`` at a place ``0..1`` of the clip."""
        out = self.points.clone()
        for where, motion in self.parts:
            out[where] = motion(self.points[where], time)
        return out

    def in_view(self, view: int, time: float) -> Tensor:
        """Camera-space positions ``(N, 3)`` as view v has them, its own error included."""
        return self.cameras[view].to_camera(self.at(time))[0] + self.offsets[view]

    def cell(self, view: int, time: float) -> tuple[Tensor, Tensor]:
        """Picture ``(H, W, 3)`` and depth ``(H, W)`` of a view at a time."""
        image, depth = self._draw(self.in_view(view, time), self.cameras[view])
        return (image * self.gains[view]).clamp(0, 1), depth

    def between(self, place: float, time: float) -> Tensor:
        """Picture ``(H, W, 3)`` from a place between two cameras, of the world as it is."""
        camera = interpolate(self.cameras, torch.tensor([place]))
        return self._draw(camera.to_camera(self.at(time))[0], camera)[0].clamp(0, 1)

    def _draw(self, points: Tensor, camera: Cameras) -> tuple[Tensor, Tensor]:
        drawn = rasterize(
            points,
            self.scales,
            torch.full_like(self.scales, 0.97),
            self.colors,
            camera.intrinsics[0],
            camera.size,
            torch.tensor(SKY),
        )
        return drawn.image, drawn.depth


def make_world(kind: str, views: int, size: tuple[int, int], views_off: float = 0.0, seed: int = 0) -> World:
    """One of the worlds of ``WORLDS``.

    Args:
        kind: Its name.
        views: Cameras on an arc of 22 degrees.
        size: ``(height, width)``.
        views_off: Standard deviation in pixels by which a view is off, about; 0 for views that agree.
        seed: Of textures and errors.
    """
    generator = torch.Generator().manual_seed(seed)
    step = 1.0 / size[1]  # a pixel at distance 1
    surfaces, motions = WORLDS[kind](step * -EYE[2])
    pieces = [*_stage(step), *surfaces]
    noise = SolidNoise(generator, 0.35, 4)
    colors = [_painted(k, piece, noise) for k, piece in enumerate(pieces)]
    points = torch.cat([p.positions for p in pieces])
    scales = 0.6 * torch.cat([p.spacing for p in pieces])
    parts, start = [], sum(len(p) for p in pieces[:2])
    for piece, motion in zip(surfaces, motions, strict=True):
        parts.append((slice(start, start + len(piece)), motion))
        start += len(piece)
    cameras = _arc(views, size)
    seen = _in_sight(points, cameras)
    kept = torch.cumsum(seen, 0) - 1
    parts = [(slice(int(kept[s.start]), int(kept[s.stop - 1]) + 1), m) for s, m in parts]
    points, scales, colors = points[seen], scales[seen], torch.cat(colors)[seen]
    offsets, gains = _errors(points, cameras, views_off, generator)
    return World(points, colors, scales, parts, cameras, offsets, gains)


def _stage(step: float) -> list[SurfacePoints]:
    """Floor and back wall."""
    return [
        ground_strip(FLOOR, EYE[2] + 1.3, 2.4, EYE[2], (1.2 * step, 0.85)),
        wall(2.4, 5.0, -2.6, FLOOR, 1.1 * step * 5.6),
    ]


def _rigid(gap: float) -> tuple[list[SurfacePoints], list[Motion]]:
    """A crate that slides and turns, a ball that comes nearer, and one that stands."""

    def crate(p: Tensor, t: float) -> Tensor:
        return _turned(p, (-0.45, 0.3, 0.0), (0.0, 0.5 * t, 0.0)) + torch.tensor([0.35 * t, 0.0, 0.1 * t])

    def ball(p: Tensor, t: float) -> Tensor:
        return _turned(p, (0.6, 0.45, 0.5), (-0.8 * t, 0.0, 0.0)) + torch.tensor([-0.05 * t, 0.0, -0.5 * t])

    things = [
        box(torch.tensor([-0.45, 0.45, 0.0]), torch.tensor([0.25, 0.35, 0.25]), gap),
        ellipsoid(torch.tensor([0.6, 0.45, 0.5]), torch.full((3,), 0.33), gap),
        ellipsoid(torch.tensor([0.25, 0.6, 1.2]), torch.tensor([0.2, 0.6, 0.2]), 1.3 * gap),
    ]
    return things, [crate, ball, lambda p, t: p]


def _articulated(gap: float) -> tuple[list[SurfacePoints], list[Motion]]:
    """A body with a head and two arms of two parts, which wave."""
    body = ellipsoid(torch.tensor([0.0, 0.35, 0.0]), torch.tensor([0.24, 0.42, 0.18]), gap)
    head = ellipsoid(torch.tensor([0.0, -0.24, 0.0]), torch.full((3,), 0.18), gap)
    parts, motions = [body, head], [lambda p, t: p, lambda p, t: _turned(p, (0, 0, 0), (0.0, 0.4 * t, 0.15 * t))]
    for side in (-1.0, 1.0):
        shoulder, elbow = (side * 0.26, 0.05, 0.0), (side * 0.55, 0.2, 0.0)
        upper = ellipsoid(torch.tensor([side * 0.4, 0.13, 0.0]), torch.tensor([0.17, 0.09, 0.09]), gap)
        lower = ellipsoid(torch.tensor([side * 0.68, 0.2, -0.05]), torch.tensor([0.16, 0.075, 0.075]), gap)

        def raised(p: Tensor, t: float, joint: tuple[float, ...] = shoulder, side: float = side) -> Tensor:
            return _turned(p, joint, (0.0, 0.0, -side * 0.7 * math.sin(math.pi / 2 * t)))

        def bent(
            p: Tensor, t: float, joint: tuple[float, ...] = elbow, side: float = side, above: Motion = raised
        ) -> Tensor:
            return above(_turned(p, joint, (0.0, 0.3 * side * t, -side * 0.8 * t)), t)

        parts += [upper, lower]
        motions += [raised, bent]
    return parts, motions


def _soft(gap: float) -> tuple[list[SurfacePoints], list[Motion]]:
    """A column that bends, and a blob that breathes and sways: no part of them moves rigidly."""

    def column(p: Tensor, t: float) -> Tensor:
        up = (FLOOR - p[:, 1]).clamp_min(0)
        return p + torch.stack([0.35 * t * up**2, 0.08 * t * up**2, -0.15 * t * up**2], 1)

    def blob(p: Tensor, t: float) -> Tensor:
        out = p - torch.tensor([0.5, 0.4, 0.1])
        swell = 1 + 0.25 * math.sin(math.pi * t) * torch.sin(3 * out[:, 1:2] + 4 * t)
        wave = 0.1 * t * torch.sin(6 * out[:, 1] + 3 * t)
        return torch.tensor([0.5, 0.4, 0.1]) + out * swell + torch.stack([wave, 0 * wave, 0 * wave], 1)

    things = [
        ellipsoid(torch.tensor([-0.45, 0.25, 0.1]), torch.tensor([0.2, 0.55, 0.2]), gap),
        ellipsoid(torch.tensor([0.5, 0.4, 0.1]), torch.tensor([0.3, 0.38, 0.3]), gap),
    ]
    return things, [column, blob]


WORLDS: dict[str, Callable[[float], tuple[list[SurfacePoints], list[Motion]]]] = {
    "rigid": _rigid,
    "articulated": _articulated,
    "soft": _soft,
}
"""What moves in each world."""


def _painted(index: int, piece: SurfacePoints, noise: SolidNoise) -> Tensor:
    """Tiles on the stage, grain and stripes on everything else, under one light."""
    at, grain = piece.positions, noise(piece.positions)
    if index < 2:
        across = at[:, 2] if index == 0 else at[:, 1]
        tile, joint = tiles(at[:, 0], across, 0.6, 0.04)
        low, high = ((0.42, 0.36, 0.3), (0.78, 0.7, 0.58)) if index == 0 else ((0.45, 0.2, 0.15), (0.8, 0.5, 0.35))
        color = torch.where(joint[:, None], torch.tensor([0.3, 0.28, 0.25]), blend(low, high, tile + 0.12 * grain))
        return lit(color, piece.normals)
    hue = 2.4 * index
    low = tuple(0.3 + 0.25 * math.cos(hue + c) for c in (0.0, 2.1, 4.2))
    high = tuple(0.7 + 0.25 * math.cos(hue + 0.7 + c) for c in (0.0, 2.1, 4.2))
    stripes = ((at[:, 1] + 0.3 * at[:, 0]) / 0.13).remainder(1) > 0.5
    return lit(blend(low, high, 0.5 + 0.3 * grain + 0.25 * (stripes.float() - 0.5)), piece.normals)


def _errors(points: Tensor, cameras: Cameras, pixels: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """How each view is off: a smooth field, as large at any distance in pixels, and a light of its own."""
    views = len(cameras)
    offsets, gains = torch.zeros(views, len(points), 3), torch.ones(views, 3)
    for v in range(views):
        fields = [SolidNoise(generator, 1.6, 2) for _ in range(3)]
        gain = 1 + 0.04 * torch.randn(3, generator=generator)
        if pixels == 0 or v == views // 2:
            continue
        depth = cameras[v].to_camera(points)[0, :, 2]
        unit = pixels * depth / cameras.intrinsics[v, 0, 0]
        offsets[v] = torch.stack([field(points) for field in fields], 1) * unit[:, None] * torch.tensor([1, 1, 2.0])
        gains[v] = gain
    return offsets, gains


def _arc(views: int, size: tuple[int, int]) -> Cameras:
    target, out = torch.tensor(TARGET), torch.tensor(EYE) - torch.tensor(TARGET)
    poses = []
    for v in range(views):
        angle = math.radians(ARC_DEGREES) * (v / max(views - 1, 1) - 0.5)
        eye = target + _rotation((0.0, -angle, 0.0)) @ out - torch.tensor([0.0, 0.1 * v / max(views - 1, 1), 0.0])
        forward = torch.nn.functional.normalize(target - eye, dim=0)
        right = torch.nn.functional.normalize(torch.linalg.cross(torch.tensor([0.0, 1.0, 0.0]), forward), dim=0)
        pose = torch.eye(4)
        pose[:3, :3] = torch.stack([right, torch.linalg.cross(forward, right), forward])
        pose[:3, 3] = -pose[:3, :3] @ eye
        poses.append(pose)
    return Cameras(torch.stack(poses), intrinsics_from_focal(float(size[1]), size).repeat(views, 1, 1), size)


def _in_sight(points: Tensor, cameras: Cameras) -> Tensor:
    """What some camera has in its image or nearly; the moving things all lie inside."""
    at = cameras.to_camera(points)
    px = at[..., :2] / at[..., 2:].clamp_min(1e-3) * cameras.intrinsics[:, None, 0, :1]
    half = torch.tensor([cameras.size[1], cameras.size[0]]) / 2 * 1.1
    return ((px.abs() < half).all(-1) & (at[..., 2] > 0.1)).any(0)


def _turned(points: Tensor, joint: tuple[float, ...], angles: tuple[float, float, float]) -> Tensor:
    centre = torch.tensor(joint)
    return (points - centre) @ _rotation(angles).T + centre


def _rotation(angles: tuple[float, float, float]) -> Tensor:
    """Turns about x, then y, then z by so many radians."""
    (cx, sx), (cy, sy), (cz, sz) = ((math.cos(a), math.sin(a)) for a in angles)
    about_x = torch.tensor([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = torch.tensor([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = torch.tensor([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x
