"""Draws a whole grid of a moving scene of meshes, with its truth: masks, depth, and the paths of surface points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..cameras import Cameras
from .backgrounds import Standing
from .meshes import Floats, Ints
from .motions import Piece
from .random_choices import SceneRng
from .textures import Picture

_SHADOW_SIDE, _SHADOW_REACH, _SHADOW_BIAS = 128, 2.6, 0.06
_SUBJECT, _CLOSED, _SHINES, _CASTS = 1, 2, 4, 8  # as in kernels.py, which needs numba to be imported


@dataclass(frozen=True)
class Light:
    """A sun and the light from everywhere.

    Attributes:
        toward: ``(3,)`` unit vector to the sun.
        ambient: Share of light that needs no sun.
        haze: Share of what lies at distance 10 that haze hides.
        haze_grey: Its brightness from 0 to 255.
    """

    toward: Floats
    ambient: float
    haze: float
    haze_grey: float

    @classmethod
    def any(cls, dice: SceneRng) -> Light:
        """A sun somewhere above, behind or beside the cameras."""
        toward = np.float32([dice.uniform(-0.9, 0.9), -dice.uniform(0.5, 1.2), dice.uniform(-1.0, 0.2)])
        return cls(
            toward / np.linalg.norm(toward),
            dice.uniform(0.4, 0.75),
            dice.pick((0.0, 0.0, 0.15, 0.4)),
            dice.uniform(120, 235),
        )


@dataclass(frozen=True)
class MovingMeshes:
    """All faces of a scene through the clip.

    Attributes:
        points: ``(T, N, 3)`` corners in world space.
        normals: ``(T, N, 3)`` unit vectors.
        faces: ``(F, 3)``.
        flags: ``(F,)`` uint8 bits, see ``kernels``.
        picture: ``(F,)`` int32.
        uv: ``(N, 2)``.
        pictures: ``(P, S, S, 3)`` uint8.
    """

    points: Floats
    normals: Floats
    faces: Ints
    flags: NDArray[np.uint8]
    picture: Ints
    uv: Floats
    pictures: NDArray[np.uint8]


@dataclass(frozen=True)
class Drawn:
    """A drawn grid.

    Attributes:
        cells: ``(V, T, H, W, 3)`` uint8 RGB.
        masks: ``(V, T, H, W)`` bool, the subject.
        depth: ``(V, T, H, W)`` float32 z-depth of the nearest surface in the pixel.
        tracks: ``(T, N, 3)`` world positions of surface points, the first half on the subject; N is 0 if not asked for.
        seen: ``(V, T, N)`` bool, whether a cell sees the point.
        flows: ``(V, T, 2, 2, H, W)`` float32, how far away in pixels (x, y) the point that a pixel shows is in the cell
            of the same view at the first time, and in the cell of the first view at the same time; seen there or not.
    """

    cells: Tensor
    masks: Tensor
    depth: Tensor
    tracks: Tensor
    seen: Tensor
    flows: Tensor


def assemble(subject: list[Piece], paints: list[Picture], standing: list[Standing]) -> MovingMeshes:
    """Joins a subject, whose pieces show ``paints`` by number, and its surroundings."""
    from .raster_kernels import vertex_normals

    times = len(subject[0].positions)
    meshes = [p.mesh for p in subject] + [s.mesh for s in standing]
    starts = np.cumsum([0, *(len(m.points) for m in meshes)])
    faces = np.concatenate([m.faces + s for m, s in zip(meshes, starts[:-1], strict=True)]).astype(np.int32)
    weld = np.concatenate([m.weld + s for m, s in zip(meshes, starts[:-1], strict=True)]).astype(np.int32)
    flags, picture = [], []
    for i, mesh in enumerate(meshes):
        still = standing[i - len(subject)] if i >= len(subject) else None
        bits = _SUBJECT | _CASTS if still is None else still.shines * _SHINES | still.casts * _CASTS
        flags.append(np.full(len(mesh.faces), bits | mesh.closed * _CLOSED, np.uint8))
        number = subject[i].paint if still is None else len(paints) + i - len(subject)
        picture.append(np.full(len(mesh.faces), number, np.int32))
    moving, still_points = int(starts[len(subject)]), int(starts[-1])
    points = np.empty((times, still_points, 3), np.float32)
    points[:, :moving] = np.concatenate([p.positions for p in subject], 1)
    points[:, moving:] = np.concatenate([s.mesh.points for s in standing])[None]
    normals = np.empty_like(points)
    own = faces.max(1) < moving
    vertex_normals(points[:, :moving], faces[own], weld[:moving], normals[:, :moving])
    once = np.empty((1, still_points - moving, 3), np.float32)
    vertex_normals(points[:1, moving:], faces[~own] - moving, weld[moving:] - moving, once)
    normals[:, moving:] = once
    pictures = np.stack([*paints, *(s.picture for s in standing)])
    return MovingMeshes(
        points,
        normals,
        faces,
        np.concatenate(flags),
        np.concatenate(picture),
        np.concatenate([m.uv for m in meshes]),
        (pictures * 255).round().astype(np.uint8),
    )


def draw(scene: MovingMeshes, cameras: Cameras, light: Light, tracked: int = 0, dice: SceneRng | None = None) -> Drawn:
    """Draws every cell.

    Args:
        scene: What to draw, over T times.
        cameras: V cameras.
        light: Sun and haze.
        tracked: Surface points to follow; half of them on the subject.
        dice: Chooses them; needed where there are any.
    """
    from . import raster_kernels as kernels

    times, views, (height, width) = len(scene.points), len(cameras), cameras.size
    pyramid, levels = _pyramid(scene.pictures)
    facing, in_light, blockers = _lit(scene, light)
    picks = _choose_points(scene, tracked, dice) if tracked and dice is not None else None
    tracks = (
        np.zeros((times, 0, 3), np.float32)
        if picks is None
        else np.einsum("nk,tnkc->tnc", picks[1], scene.points[:, scene.faces[picks[0]]]).astype(np.float32)
    )
    cells = np.empty((views, times, height, width, 3), np.uint8)
    masks, depth = (
        np.empty((views, times, height, width), np.uint8),
        np.empty((views, times, height, width), np.float32),
    )
    seen = np.zeros((views, times, tracks.shape[1]), np.uint8)
    screen = np.zeros((scene.points.shape[1], 3), np.float32)
    nearness, owner = np.empty((2 * height, 2 * width), np.float32), np.empty((2 * height, 2 * width), np.int32)
    constants = np.float32([light.ambient, _SHADOW_BIAS, light.haze, light.haze_grey])
    flows = np.empty((views, times, 2, 2, height, width), np.float32)
    poses = cameras.world_to_cam[:, :3].numpy()
    k = 2 * cameras.intrinsics.numpy()
    lenses = np.stack([k[:, 0, 0], k[:, 1, 1], k[:, 0, 2], k[:, 1, 2]], -1).astype(np.float32)
    for v in range(views):
        for t in range(times):
            seen_by = (poses[v], lenses[v])
            kernels.draw_faces(scene.points[t], *seen_by, scene.faces, scene.flags, screen, nearness, owner)
            kernels.shade_cell(
                screen,
                nearness,
                owner,
                scene.faces,
                scene.flags,
                scene.picture,
                scene.uv,
                facing[t],
                in_light[t],
                blockers[t],
                constants,
                pyramid,
                levels,
                cells[v, t],
                masks[v, t],
                depth[v, t],
            )
            kernels.see_points(tracks[t], *seen_by, nearness, np.float32(0.02), seen[v, t])
            corners = (scene.points[0], scene.points[t])
            kernels.trace_cell(
                screen, nearness, owner, scene.faces, *corners, *seen_by, poses[0], lenses[0], flows[v, t]
            )
    truth = (torch.from_numpy(masks).bool(), torch.from_numpy(depth), torch.from_numpy(tracks))
    return Drawn(torch.from_numpy(cells), *truth, torch.from_numpy(seen).bool(), torch.from_numpy(flows))


def _pyramid(pictures: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """All levels of all pictures, flat, and where each level starts, how much one picture takes, and its side."""
    level, parts, rows, start = pictures.astype(np.uint16), [], [], 0
    while level.shape[1] >= 4:
        count, side = level.shape[:2]
        parts.append(level.astype(np.uint8).ravel())
        rows.append((start, side * side * 3, side))
        start += count * side * side * 3
        level = (level.reshape(count, side // 2, 2, side // 2, 2, 3).sum((2, 4)) + 2) // 4
    return np.concatenate(parts), np.array(rows, np.int64)


def _lit(scene: MovingMeshes, light: Light) -> tuple[Floats, Floats, Floats]:
    """Cosines ``(T, N)`` to the sun, places ``(T, N, 3)`` in the shadow maps, and the maps ``(T, M, M)``."""
    from .raster_kernels import shadow_map

    facing = np.ascontiguousarray(scene.normals @ light.toward).astype(np.float32)
    forward = -light.toward
    right = np.cross(np.float32([0, 1, 0.1]), forward)
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(forward, right), forward]).astype(np.float32)
    scale = _SHADOW_SIDE / (2 * _SHADOW_REACH)
    in_light = (
        scene.points @ axes.T * np.float32([scale, scale, 1]) + np.float32([_SHADOW_SIDE / 2, _SHADOW_SIDE / 2, 0])
    ).astype(np.float32)
    blockers = np.empty((len(scene.points), _SHADOW_SIDE, _SHADOW_SIDE), np.float32)
    for t in range(len(scene.points)):
        shadow_map(in_light[t], scene.faces, scene.flags, blockers[t])
    return facing, in_light, blockers


def _choose_points(scene: MovingMeshes, count: int, dice: SceneRng) -> tuple[Ints, Floats]:
    """Faces ``(N,)`` and weights ``(N, 3)`` of random surface points, even over the areas of subject and the rest."""
    a, b, c = (scene.points[0, scene.faces[:, i]] for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=-1)
    subject = (scene.flags & _SUBJECT) > 0
    chosen = []
    for part, share in ((subject, count // 2), (~subject & ((scene.flags & _SHINES) == 0), count - count // 2)):
        total = np.cumsum(area * part)
        chosen.append(np.searchsorted(total, dice.shares(share) * total[-1] * 0.999999))
    u, v = dice.shares(count), dice.shares(count)
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    return np.concatenate(chosen).astype(np.int32), np.stack([1 - u - v, u, v], -1).astype(np.float32)
