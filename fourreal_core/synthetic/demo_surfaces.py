"""Points evenly spread over simple surfaces, with normals and the spacing that gives splats their size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SurfacePoints:
    """N points of a surface.

    Attributes:
        positions: ``(N, 3)`` in world units.
        normals: ``(N, 3)`` unit vectors out of the surface.
        spacing: ``(N,)`` distance to the neighbours in world units.
    """

    positions: Tensor
    normals: Tensor
    spacing: Tensor

    def __len__(self) -> int:
        return self.positions.shape[0]


def join(parts: list[SurfacePoints]) -> SurfacePoints:
    """Several surfaces as one."""
    return SurfacePoints(
        *(torch.cat([getattr(p, name) for p in parts]) for name in ("positions", "normals", "spacing"))
    )


def ellipsoid(centre: Tensor, radii: Tensor, spacing: float) -> SurfacePoints:
    """An ellipsoid with half-axes ``radii (3,)`` along x, y and z, on a Fibonacci lattice."""
    a, b, c = (float(r) for r in radii)
    area = 4 * math.pi * (((a * b) ** 1.6 + (a * c) ** 1.6 + (b * c) ** 1.6) / 3) ** (1 / 1.6)  # Thomsen's formula
    n = max(64, math.ceil(area / spacing**2))
    index = torch.arange(n, dtype=torch.float32) + 0.5
    y = 1 - 2 * index / n
    ring, turn = (1 - y * y).sqrt(), index * (math.pi * (3 - math.sqrt(5)))
    unit = torch.stack([ring * turn.cos(), y, ring * turn.sin()], -1)
    normals = torch.nn.functional.normalize(unit / radii, dim=-1)
    return SurfacePoints(centre + unit * radii, normals, torch.full((n,), spacing))


def box(centre: Tensor, half: Tensor, spacing: float) -> SurfacePoints:
    """The six faces of a box with half-sizes ``half (3,)``."""
    faces = []
    for axis in range(3):
        u, w = (axis + 1) % 3, (axis + 2) % 3
        plane = _lattice(float(half[u]), float(half[w]), spacing)
        for side in (-1.0, 1.0):
            p = torch.zeros(len(plane), 3)
            p[:, u], p[:, w], p[:, axis] = plane[:, 0], plane[:, 1], side * half[axis]
            normal = torch.zeros(3)
            normal[axis] = side
            faces.append(SurfacePoints(centre + p, normal.expand(len(plane), 3), torch.full((len(plane),), spacing)))
    return join(faces)


def upright_tube(foot: Tensor, radius: float, height: float, spacing: float) -> SurfacePoints:
    """The side of an upright cylinder on ``foot (3,)``; up is -y."""
    around = max(8, round(2 * math.pi * radius / spacing))
    levels = max(2, round(height / spacing))
    turn = (torch.arange(around) + 0.5) / around * 2 * math.pi
    level = (torch.arange(levels) + 0.5) / levels * height
    turn, level = (x.flatten() for x in torch.meshgrid(turn, level, indexing="ij"))
    normals = torch.stack([turn.cos(), torch.zeros_like(turn), turn.sin()], -1)
    positions = foot + radius * normals + torch.stack([torch.zeros_like(level), -level, torch.zeros_like(level)], -1)
    return SurfacePoints(positions, normals, torch.full((len(turn),), spacing))


def ground_strip(y: float, near: float, far: float, eye_z: float, pixels: tuple[float, float]) -> SurfacePoints:
    """A level floor whose points are as far apart as the image needs, closer together near the camera.

    Args:
        y: Height of the floor (down is positive).
        near: z at which the floor starts.
        far: z at which it ends.
        eye_z: z of the cameras, about.
        pixels: Spacing as a part of the distance, and half the floor's width as a part of the distance.
    """
    step, half_width = pixels
    rows = []
    z = near
    while z < far:
        distance = z - eye_z
        count = math.ceil(2 * half_width / step)
        # rows are staggered by half a step, which covers the floor with fewer points
        x = (torch.arange(count) - count / 2 + 0.5 * (len(rows) % 2)) * step * distance
        rows.append(torch.stack([x, torch.full_like(x, y), torch.full_like(x, z)], -1))
        z += step * distance
    positions = torch.cat(rows)
    return SurfacePoints(
        positions, torch.tensor([0.0, -1.0, 0.0]).expand(len(positions), 3), step * (positions[:, 2] - eye_z)
    )


def wall(z: float, half_width: float, top: float, bottom: float, spacing: float) -> SurfacePoints:
    """An upright wall that faces the cameras, from height ``top`` down to ``bottom`` (down is positive)."""
    plane = _lattice(half_width, (bottom - top) / 2, spacing)
    positions = torch.stack([plane[:, 0], plane[:, 1] + (top + bottom) / 2, torch.full((len(plane),), z)], -1)
    return SurfacePoints(
        positions, torch.tensor([0.0, 0.0, -1.0]).expand(len(plane), 3), torch.full((len(plane),), spacing)
    )


def _lattice(half_u: float, half_w: float, spacing: float) -> Tensor:
    axes = []
    for half in (half_u, half_w):
        n = max(2, round(2 * half / spacing))
        axes.append(((torch.arange(n) + 0.5) / n * 2 - 1) * half)
    return torch.stack([x.flatten() for x in torch.meshgrid(*axes, indexing="ij")], -1)
