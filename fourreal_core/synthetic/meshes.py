"""Triangle meshes of simple surfaces, each one or more sheets bent into shape, with texture coordinates."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
"""Mostly float32; numpy makes float64 of it here and there on the way."""
Ints = NDArray[np.integer[Any]]


def vector(*values: float) -> Floats:
    """A float32 vector."""
    return np.array(values, np.float32)


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh.

    Attributes:
        points: ``(N, 3)`` corners in world units (x right, y down, z forward).
        faces: ``(F, 3)`` numbers of corners; seen from outside they run counter-clockwise about the normal.
        uv: ``(N, 2)`` texture coordinates, 1 being a whole texture, which repeats.
        weld: ``(N,)`` corners with the same number share a normal.
        closed: The inside is never seen.
    """

    points: Floats
    faces: Ints
    uv: Floats
    weld: Ints
    closed: bool

    def moved(self, shift: Sequence[float] | Floats) -> Mesh:
        """The mesh elsewhere."""
        return replace(self, points=self.points + np.asarray(shift, np.float32))

    def turned(self, rotation: Floats) -> Mesh:
        """The mesh turned by a rotation matrix ``(3, 3)`` about the origin."""
        return replace(self, points=self.points @ rotation.T.astype(np.float32))


def join(meshes: list[Mesh]) -> Mesh:
    """Several meshes as one; it counts as closed when all are."""
    starts = np.cumsum([0, *(len(m.points) for m in meshes[:-1])]).astype(np.int32)
    return Mesh(
        np.concatenate([m.points for m in meshes]),
        np.concatenate([m.faces + s for m, s in zip(meshes, starts, strict=True)]),
        np.concatenate([m.uv for m in meshes]),
        np.concatenate([m.weld + s for m, s in zip(meshes, starts, strict=True)]),
        all(m.closed for m in meshes),
    )


def sheet(
    bend: Callable[[Floats, Floats], Floats],
    across: int,
    down: int,
    wrap: bool = False,
    density: float = 1.0,
    closed: bool = False,
) -> Mesh:
    """A grid of triangles bent by a function.

    Args:
        bend: From ``u`` and ``v`` ``(M,)`` in ``[0, 1]`` to points ``(M, 3)``; outward is ``dP/du x dP/dv``.
        across: Squares along u.
        down: Squares along v.
        wrap: The edges ``u = 0`` and ``u = 1`` meet.
        density: Textures per world unit.
        closed: As in Mesh.
    """
    u, v = np.meshgrid(np.linspace(0, 1, across + 1, dtype=np.float32), np.linspace(0, 1, down + 1, dtype=np.float32))
    points = bend(u.ravel(), v.ravel()).astype(np.float32).reshape(down + 1, across + 1, 3)
    along_u = float(np.linalg.norm(np.diff(points, axis=1), axis=-1).sum(1).max()) * density
    along_v = float(np.linalg.norm(np.diff(points, axis=0), axis=-1).sum(0).max()) * density
    if wrap:
        along_u = max(1.0, round(along_u))
    number = np.arange((across + 1) * (down + 1), dtype=np.int32).reshape(down + 1, across + 1)
    weld = number.copy()
    if wrap:
        weld[:, -1] = weld[:, 0]
    for row in (0, -1):  # a whole edge in one place is a pole
        if np.ptp(points[row], axis=0).max() < 1e-5:
            weld[row] = weld[row, 0]
    a, b, c, d = number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:]
    faces = np.concatenate([np.stack([a, b, d], -1).reshape(-1, 3), np.stack([a, d, c], -1).reshape(-1, 3)])
    uv = np.stack([u * along_u, v * along_v], -1).reshape(-1, 2).astype(np.float32)
    return Mesh(points.reshape(-1, 3), faces, uv, weld.ravel(), closed)


def superquadric(
    radii: Sequence[float],
    roundness: tuple[float, float] = (1.0, 1.0),
    density: float = 1.0,
    detail: int = 14,
) -> Mesh:
    """An ellipsoid whose ``roundness`` about and along the y axis goes from 0.2 (a box) over 1 to 2 (a double cone)."""

    def power(x: Floats, e: float) -> Floats:
        return np.sign(x) * np.abs(x) ** e

    def bend(u: Floats, v: Floats) -> Floats:
        about, up = -2 * np.pi * u, np.pi * (v - 0.5)
        ring = power(np.cos(up), roundness[1])
        return np.stack(
            [
                radii[0] * ring * power(np.cos(about), roundness[0]),
                radii[1] * power(np.sin(up), roundness[1]),
                radii[2] * ring * power(np.sin(about), roundness[0]),
            ],
            -1,
        )

    return outward(sheet(bend, detail, max(6, detail * 3 // 4), True, density, True))


def lathe(heights: Floats, radii: Floats, density: float = 1.0, detail: int = 14) -> Mesh:
    """A surface of revolution about the y axis through a profile of ``heights`` and ``radii`` ``(M,)``."""
    at = np.linspace(0, 1, len(heights))

    def bend(u: Floats, v: Floats) -> Floats:
        ring, angle = np.interp(v, at, radii), -2 * np.pi * u
        return np.stack([ring * np.cos(angle), np.interp(v, at, heights), ring * np.sin(angle)], -1)

    return outward(sheet(bend, detail, len(heights) - 1, True, density, True))


def capsule(start: Floats, end: Floats, radii: tuple[float, float], density: float = 1.0, detail: int = 10) -> Mesh:
    """A round-ended limb between two points, thicker or thinner at the end."""
    start, end = np.asarray(start, np.float32), np.asarray(end, np.float32)
    length = float(np.linalg.norm(end - start))
    cap = np.linspace(0, np.pi / 2, 4)
    heights = np.concatenate([-radii[0] * np.cos(cap), [length / 2], length + radii[1] * np.sin(cap)])
    rings = np.concatenate([radii[0] * np.sin(cap), [(radii[0] + radii[1]) / 2], radii[1] * np.cos(cap)])
    mesh = lathe(heights.astype(np.float32), rings.astype(np.float32), density, detail)
    return mesh.turned(_from_y((end - start) / max(length, 1e-6))).moved(start)


def box(half: Sequence[float], density: float = 1.0, squares: int = 2) -> Mesh:
    """A box with sharp edges about the origin."""
    sides = []
    for axis in range(3):
        for sign in (-1.0, 1.0):

            def bend(u: Floats, v: Floats, axis: int = axis, sign: float = sign) -> Floats:
                p = np.empty((len(u), 3), np.float32)
                p[:, axis] = sign * half[axis]
                p[:, (axis + 1) % 3] = (2 * u - 1) * half[(axis + 1) % 3] * sign
                p[:, (axis + 2) % 3] = (2 * v - 1) * half[(axis + 2) % 3]
                return p

            sides.append(sheet(bend, squares, squares, density=density, closed=True))
    return join(sides)


def torus(radius: float, thickness: float, density: float = 1.0, detail: int = 20) -> Mesh:
    """A ring about the z axis."""

    def bend(u: Floats, v: Floats) -> Floats:
        about, tube = 2 * np.pi * u, 2 * np.pi * v
        ring = radius + thickness * np.cos(tube)
        return np.stack([ring * np.cos(about), ring * np.sin(about), thickness * np.sin(tube)], -1)

    return outward(sheet(bend, detail, max(6, detail // 2), True, density, True))


def toothed_wheel(radius: float, thickness: float, teeth: int, depth: float, density: float = 1.0) -> Mesh:
    """A gear (or, with few deep teeth, a star) about the z axis."""
    count = teeth * 4
    outline = np.where(np.arange(count) % 4 < 2, 1.0, 1.0 - depth) * radius
    angle = 2 * np.pi * (np.arange(count) + 0.5) / count
    rim = np.stack([outline * np.cos(angle), outline * np.sin(angle)], -1).astype(np.float32)

    def bend(u: Floats, v: Floats) -> Floats:
        at = rim[np.round(u * count).astype(int) % count]
        level = v * 5  # centre, front rim twice, back rim twice, centre; the rims twice, so that their edges are sharp
        share = np.clip(np.minimum(level, 5 - level), 0, 1)
        z = np.where(level < 2.5, -thickness, thickness)
        return np.concatenate([at * share[:, None], z[:, None]], -1)

    return outward(sheet(bend, count, 5, True, density, True))


def tube(curve: Floats, radii: Floats, density: float = 1.0, detail: int = 10) -> Mesh:
    """A tube along ``curve (M, 3)`` with ``radii (M,)``; see ``tube_points`` to move it."""

    def bend(u: Floats, v: Floats) -> Floats:
        return np.asarray(tube_points(curve[None], radii, detail)[0])

    return replace(sheet(bend, detail, len(curve) - 1, True, density), closed=False)


def tube_points(curves: Floats, radii: Floats, detail: int = 10) -> Floats:
    """Points ``(T, M (detail + 1), 3)`` of tubes along ``curves (T, M, 3)`` with ``radii (M,)``, in a tube's order."""
    tangent = np.gradient(curves, axis=1)
    tangent /= np.linalg.norm(tangent, axis=-1, keepdims=True) + 1e-8
    aside = np.zeros_like(tangent)
    aside[..., 2] = 1.0
    side = np.cross(tangent, aside)
    weak = np.linalg.norm(side, axis=-1, keepdims=True) < 0.05
    side = np.where(weak, vector(1, 0, 0), side)
    side /= np.linalg.norm(side, axis=-1, keepdims=True)
    other = np.cross(tangent, side)
    angle = -2 * np.pi * np.linspace(0, 1, detail + 1, dtype=np.float32)
    ring = np.cos(angle)[:, None] * side[:, :, None] + np.sin(angle)[:, None] * other[:, :, None]
    points = curves[:, :, None] + ring * np.asarray(radii, np.float32)[:, None, None]
    return np.asarray(points.reshape(len(curves), -1, 3), np.float32)


def outward(mesh: Mesh) -> Mesh:
    """A closed mesh with its faces the right way round: the volume inside is positive."""
    a, b, c = (mesh.points[mesh.faces[:, i]] for i in range(3))
    volume = float(np.einsum("ij,ij->", a, np.cross(b, c)))
    return mesh if volume >= 0 else replace(mesh, faces=mesh.faces[:, ::-1].copy())


def rotation(axis: Floats | Sequence[float], angle: float | Floats) -> Floats:
    """Rotation matrices ``(..., 3, 3)`` about one axis by ``angle (...)`` radians (Rodrigues)."""
    x, y, z = np.asarray(axis, np.float32) / (np.linalg.norm(axis) + 1e-12)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]], np.float32)
    a = np.asarray(angle, np.float32)[..., None, None]
    return np.asarray(np.eye(3, dtype=np.float32) + np.sin(a) * cross + (1 - np.cos(a)) * (cross @ cross), np.float32)


def _from_y(direction: Floats) -> Floats:
    """A rotation that takes the y axis to ``direction``."""
    y = np.array([0, 1, 0], np.float32)
    axis, cosine = np.cross(y, direction), float(np.clip(direction[1], -1, 1))
    if np.linalg.norm(axis) < 1e-5:
        return np.eye(3, dtype=np.float32) if cosine > 0 else np.diag([1, -1, -1]).astype(np.float32)
    return rotation(axis, math.acos(cosine))
