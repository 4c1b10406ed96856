"""Renders a scene: colour, depth and subject mask of every cell, and where asked true tracks and flows."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import torch
from numpy.typing import NDArray

from ..cameras import Cameras
from ..compiled import announce_plain, unavailable
from ..errors import InputError
from ..progress import OnStep, no_progress
from .meshes import Floats, Ints, join, vector
from .random_choices import SceneRng
from .raster_numpy import (
    CASTS,
    CLOSED,
    EMISSIVE,
    SUBJECT,
    Cell,
    Lighting,
    Pinhole,
    Pyramid,
    Surfaces,
    ZBuffer,
    trace_cell,
    vertex_normals,
    visible_points,
)
from .scene import Light, Scene, SceneGrid

_SHADOW_SIDE, _SHADOW_REACH, _SHADOW_BIAS = 128, 2.6, 0.06


@dataclass(frozen=True)
class RenderOptions:
    """What to render beside colour, depth and masks, and by what.

    Attributes:
        tracked: Surface points to follow; half of them on the subject.
        flows: Measure true flows.
        backend: ``numba``, ``numpy``, which needs no compiler and is slower, or ``auto``.
    """

    tracked: int = 0
    flows: bool = False
    backend: str = "auto"

    def __post_init__(self) -> None:
        if self.tracked < 0 or self.backend not in ("auto", "numba", "numpy"):
            raise InputError(
                f"{self.tracked} tracks by backend {self.backend!r}",
                "0 tracks or more by auto, numba or numpy",
                "change the options",
            )


@dataclass(frozen=True)
class SceneMesh:
    """All faces of a scene through the clip.

    Attributes:
        rest: ``(N, 3)`` corners where the parts' own meshes have them.
        points: ``(T, N, 3)`` corners in world space.
        normals: ``(T, N, 3)`` unit vectors.
        surfaces: Faces and what they show.
    """

    rest: Floats
    points: Floats
    normals: Floats
    surfaces: Surfaces


@dataclass(frozen=True)
class SurfaceSamples:
    """Points on a mesh: ``face (N,)`` and ``weights (N, 3)`` of its corners."""

    face: Ints
    weights: Floats

    def at(self, points: Floats, mesh: SceneMesh) -> Floats:
        """Positions ``(..., N, 3)`` where the mesh's corners are at ``points (..., M, 3)``."""
        corners = points[..., mesh.surfaces.faces[self.face], :]
        return np.asarray(np.einsum("nk,...nkc->...nc", self.weights, corners), np.float32)


def render(
    scene: Scene,
    options: RenderOptions | None = None,
    rng: SceneRng | None = None,
    on_step: OnStep = no_progress,
) -> SceneGrid:
    """Renders every cell.

    Args:
        scene: What to render, over T times.
        options: What else is wanted.
        rng: Chooses the points that are tracked; a fresh one when None.
        on_step: Called after every cell.
    """
    options = options or RenderOptions()
    kernels = raster_backend(options.backend)
    mesh, cameras = assemble(scene), scene.cameras
    samples = sample_surface(mesh, options.tracked, rng or SceneRng(0))
    tracks = samples.at(mesh.points, mesh)
    pyramid = _pyramid([*scene.subject_textures, *(part.texture for part in scene.background)])
    lighting, pinholes = _lighting(mesh, scene.light, kernels), _pinholes(cameras)
    times, views, (height, width) = len(mesh.points), len(cameras), cameras.size
    cells = np.empty((views, times, height, width, 3), np.uint8)
    masks = np.empty((views, times, height, width), np.uint8)
    depth = np.empty((views, times, height, width), np.float32)
    visible = np.zeros((views, times, tracks.shape[1]), bool)
    flows = np.empty((views, times, 2 * options.flows, 2, height, width), np.float32)
    double = (2 * height, 2 * width)
    buffer = ZBuffer(np.zeros_like(mesh.rest), np.empty(double, np.float32), np.empty(double, np.int32))
    for v in range(views):
        points = points_in_view(scene, mesh, v)
        for t in range(times):
            kernels.draw_faces(points[t], pinholes[v], mesh.surfaces, buffer)
            cell = Cell(cells[v, t], masks[v, t], depth[v, t])
            kernels.shade_cell(buffer, mesh.surfaces, lighting[t], pyramid, cell)
            if scene.view_errors is not None:
                cell.image[:] = (cell.image * scene.view_errors.gains[v]).round().clip(0, 255)
            if options.tracked:
                visible[v, t] = visible_points(samples.at(points[t], mesh), pinholes[v], buffer.nearness)
            if options.flows:
                other_time, other_view = (points[0], pinholes[v]), (mesh.points[t], pinholes[0])
                flows[v, t] = trace_cell(buffer, mesh.surfaces.faces, [other_time, other_view])
            on_step(v * times + t + 1, views * times, torch.from_numpy(cell.image) / 255)
    truth = (torch.from_numpy(masks).bool(), torch.from_numpy(depth), cameras)
    followed = (torch.from_numpy(tracks), torch.from_numpy(visible), torch.from_numpy(flows))
    return SceneGrid(torch.from_numpy(cells), *truth, *followed)


def raster_backend(name: str) -> ModuleType:
    """The module that draws: compiled where numba works, unless another is named.

    Raises:
        InputError: numba is asked for and can't be used here.
    """
    if name != "numpy":
        if (reason := unavailable()) is None:
            return importlib.import_module(".raster_kernels", __package__)
        if name == "numba":
            raise InputError(f"the backend numba: {reason}", "a numba that works here", "use backend='auto'")
        announce_plain(reason)
    return importlib.import_module(".raster_numpy", __package__)


def assemble(scene: Scene) -> SceneMesh:
    """Joins the subject, whose parts show the first textures by number, and the background."""
    subject, background = scene.subject, scene.background
    first = len(scene.subject_textures)
    flags = [SUBJECT | CASTS] * len(subject) + [p.emissive * EMISSIVE | p.casts * CASTS for p in background]
    textures = [p.texture for p in subject] + [first + i for i in range(len(background))]
    meshes = [*(p.mesh for p in subject), *(p.mesh for p in background)]
    counts = [len(m.faces) for m in meshes]
    flags = [bits | m.closed * CLOSED for bits, m in zip(flags, meshes, strict=True)]
    whole = join(meshes)
    moving, times = sum(len(p.mesh.points) for p in subject), len(subject[0].positions)
    points = np.repeat(whole.points[None], times, 0)
    points[:, :moving] = np.concatenate([p.positions for p in subject], 1)
    own = whole.faces.max(1) < moving
    still = vertex_normals(points[:1, moving:], whole.faces[~own] - moving, whole.weld[moving:] - moving)
    normals = np.concatenate(
        [
            vertex_normals(points[:, :moving], whole.faces[own], whole.weld[:moving]),
            np.repeat(still, times, 0),
        ],
        1,
    )
    surfaces = Surfaces(
        whole.faces.astype(np.int32),
        np.repeat(np.array(flags, np.uint8), counts),
        np.repeat(np.array(textures, np.int32), counts),
        whole.uv,
    )
    return SceneMesh(whole.points, points, normals, surfaces)


def points_in_view(scene: Scene, mesh: SceneMesh, view: int) -> Floats:
    """Corners ``(T, N, 3)`` in world space as a view sees them, its own error included."""
    if scene.view_errors is None:
        return mesh.points
    return mesh.points + scene.view_errors.displacement(view, mesh.rest, scene.cameras)


def sample_surface(mesh: SceneMesh, count: int, rng: SceneRng) -> SurfaceSamples:
    """Random surface points, even over the areas of the subject, which has the first half, and of the rest."""
    if not count:
        return SurfaceSamples(np.zeros(0, np.int32), np.zeros((0, 3), np.float32))
    faces, flags = mesh.surfaces.faces, mesh.surfaces.flags
    a, b, c = (mesh.points[0, faces[:, i]] for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=-1)
    subject = (flags & SUBJECT) > 0
    chosen = []
    for part, share in ((subject, count // 2), (~subject & ((flags & EMISSIVE) == 0), count - count // 2)):
        total = np.cumsum(area * part)
        chosen.append(np.searchsorted(total, rng.uniforms(share) * total[-1] * 0.999999))
    u, v = rng.uniforms(count), rng.uniforms(count)
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    return SurfaceSamples(np.concatenate(chosen).astype(np.int32), np.stack([1 - u - v, u, v], -1).astype(np.float32))


def _pinholes(cameras: Cameras) -> list[Pinhole]:
    poses, k = cameras.world_to_cam[:, :3].numpy(), 2 * cameras.intrinsics.numpy()
    lenses = np.stack([k[:, 0, 0], k[:, 1, 1], k[:, 0, 2], k[:, 1, 2]], -1).astype(np.float32)
    return [Pinhole(pose, lens) for pose, lens in zip(poses, lenses, strict=True)]


def _pyramid(textures: list[Floats]) -> Pyramid:
    """All levels of all textures, down to 4 x 4."""
    level = (np.stack(textures) * 255).round().astype(np.uint16)
    parts: list[NDArray[np.uint8]] = []
    rows, start = [], 0
    while level.shape[1] >= 4:
        count, side = level.shape[:2]
        parts.append(level.astype(np.uint8).ravel())
        rows.append((start, side * side * 3, side))
        start += count * side * side * 3
        level = (level.reshape(count, side // 2, 2, side // 2, 2, 3).sum((2, 4)) + 2) // 4
    return Pyramid(np.concatenate(parts), np.array(rows, np.int64))


def _lighting(mesh: SceneMesh, light: Light, kernels: ModuleType) -> list[Lighting]:
    """Light at every time; the sun's shadows are looked up in a map of what is nearest to it."""
    facing = np.ascontiguousarray(mesh.normals @ light.toward).astype(np.float32)
    forward = -light.toward
    right = np.cross(vector(0, 1, 0.1), forward)
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(forward, right), forward]).astype(np.float32)
    scale = _SHADOW_SIDE / (2 * _SHADOW_REACH)
    in_light = mesh.points @ axes.T * vector(scale, scale, 1) + vector(_SHADOW_SIDE / 2, _SHADOW_SIDE / 2, 0)
    constants = vector(light.ambient, _SHADOW_BIAS, light.haze, light.haze_gray)
    found = []
    for place, cosine in zip(in_light.astype(np.float32), facing, strict=True):
        blockers = np.empty((_SHADOW_SIDE, _SHADOW_SIDE), np.float32)
        kernels.shadow_map(place, mesh.surfaces.faces, mesh.surfaces.flags, blockers)
        found.append(Lighting(cosine, place, blockers, constants))
    return found
