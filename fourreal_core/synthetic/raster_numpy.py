"""Drawing triangle meshes in plain numpy: what ``raster_kernels`` does faster, and what needs no compiled twin.

Triangles are drawn at twice the size in both directions and averaged, so edges are smooth; textures are looked up
bilinearly between two levels of a pyramid, so they neither flicker nor alias.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .meshes import Floats, Ints

SUBJECT, CLOSED, EMISSIVE, CASTS = 1, 2, 4, 8
"""Bits of a face: part of what moves; its back is never seen; drawn without light; throws a shadow."""
NEAR = 0.05
"""Nothing nearer to a camera than this is drawn."""
_PAIRS = 1 << 20  # pixels of bounding boxes that are looked at in one go


class Pinhole(NamedTuple):
    """A camera: ``pose (3, 4)`` from world to camera, and ``lens (4,)`` fx, fy, cx, cy in pixels of the buffer."""

    pose: Floats
    lens: Floats


class Surfaces(NamedTuple):
    """``faces (F, 3)``, their ``flags (F,)`` and ``texture (F,)`` numbers; ``uv (N, 2)``, 1 being a whole texture."""

    faces: Ints
    flags: NDArray[np.uint8]
    texture: Ints
    uv: Floats


class ZBuffer(NamedTuple):
    """``screen (N, 3)`` x, y and 1/z of the corners (0 behind the camera), ``nearness (2H, 2W)`` the greatest 1/z, and
    ``owner (2H, 2W)`` the face seen, -1 where there is none."""

    screen: Floats
    nearness: Floats
    owner: Ints


class Lighting(NamedTuple):
    """``facing (N,)`` cosine between normal and light, ``in_light (N, 3)`` places in the shadow map, the map itself
    ``blockers (M, M)``, and ``constants (4,)``: ambient share, depth by which a shadow must lie behind, share of haze
    at distance 10, its gray."""

    facing: Floats
    in_light: Floats
    blockers: Floats
    constants: Floats


class Pyramid(NamedTuple):
    """``texels``, all levels of all textures, flat 8-bit RGB; ``levels (L, 3)``: start of a level's first texture,
    elements of one texture, side."""

    texels: NDArray[np.uint8]
    levels: NDArray[np.int64]


class Cell(NamedTuple):
    """``image (H, W, 3)`` uint8, ``mask (H, W)`` uint8, 1 where at least half of the pixel is subject, ``depth (H, W)``
    float32, the z of the nearest surface in the pixel."""

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    depth: Floats


def vertex_normals(points: Floats, faces: Ints, weld: Ints) -> Floats:
    """Unit normals ``(T, N, 3)`` of ``points (T, N, 3)``; vertices that share a number in ``weld`` share one."""
    a, b, c = (points[:, faces[:, i]] for i in range(3))
    (ux, uy, uz), (wx, wy, wz) = (np.moveaxis(edge, -1, 0) for edge in (b - a, c - a))
    across = (uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx)
    corners, out = weld[faces].ravel(), np.empty_like(points)
    for t in range(len(points)):
        x, y, z = (np.zeros(points.shape[1], np.float32) for _ in range(3))
        for total, part in zip((x, y, z), across, strict=True):
            np.add.at(total, corners, np.repeat(part[t], 3))
        scale = 1 / np.sqrt((x * x + y * y + z * z).astype(np.float64) + 1e-20)
        out[t] = np.stack([x * scale, y * scale, z * scale], -1)[weld]
    return out


def shadow_map(in_light: Floats, faces: Ints, flags: NDArray[np.uint8], out: Floats) -> None:
    """Fills ``out (M, M)`` with the least depth of the casting faces; ``in_light (N, 3)`` is x, y in texels, depth."""
    nearest, casting = np.full(out.shape, -np.inf, np.float32), faces[(flags & CASTS) > 0]
    for _, pixel, depth in _covered(in_light, casting, out.shape):
        np.maximum.at(nearest.reshape(-1), pixel, -depth)
    out[:] = -nearest


def draw_faces(points: Floats, camera: Pinhole, surfaces: Surfaces, buffer: ZBuffer) -> None:
    """Fills the z-buffer of one cell with ``points (N, 3)`` in world space."""
    screen, nearness, owner = buffer
    x, y, z = _in_camera(points, camera.pose)
    ahead = z >= NEAR
    with np.errstate(divide="ignore", invalid="ignore"):
        near = np.float32(1) / z
        screen[:, 0], screen[:, 1] = (
            x * near * camera.lens[0] + camera.lens[2],
            y * near * camera.lens[1] + camera.lens[3],
        )
    screen[:, 2] = np.where(ahead, near, 0)
    area = _area(screen, surfaces.faces)
    shown = ahead[surfaces.faces].all(1) & ~(((surfaces.flags & CLOSED) > 0) & (area >= 0)) & (np.abs(area) >= 1e-9)
    numbers = np.flatnonzero(shown).astype(np.int32)
    nearness[:], owner[:] = 0, -1
    depth, face_of = nearness.reshape(-1), owner.reshape(-1)
    for face, pixel, near in _covered(screen, surfaces.faces[numbers], nearness.shape):
        before = depth[pixel]
        np.maximum.at(depth, pixel, near)
        first = np.flatnonzero((near == depth[pixel]) & (near > before))[::-1]  # of equals the first face stays
        face_of[pixel[first]] = numbers[face[first]]


def shade_cell(buffer: ZBuffer, surfaces: Surfaces, lighting: Lighting, pyramid: Pyramid, cell: Cell) -> None:
    """Fills a cell with colours from its z-buffer, averaged two by two."""
    height, width = buffer.owner.shape
    y, x = np.nonzero(buffer.owner >= 0)
    i, near = buffer.owner[y, x], buffer.nearness[y, x]
    corners, weights, area = _weights(buffer, surfaces.faces, x, y)
    color = _filtered(pyramid, surfaces, i, _interpolated(surfaces.uv, corners, weights), area)
    constants, haze = lighting.constants, np.minimum(lighting.constants[2] / near * np.float32(0.1), np.float32(0.9))
    bright = np.where((surfaces.flags[i] & EMISSIVE) > 0, np.float32(1), _brightness(lighting, corners, weights, area))
    samples = np.zeros((height, width, 3), np.float32)
    samples[y, x] = color * (bright * (1 - haze))[:, None] + (haze * constants[3])[:, None]
    mean = _by_pixel(samples).mean(2)
    cell.image[:] = np.clip(mean + np.float32(0.5), 0, 255).astype(np.uint8)
    subject = np.zeros((height, width), np.uint8)
    subject[y, x] = surfaces.flags[i] & SUBJECT
    cell.mask[:] = _by_pixel(subject).sum(-1) >= 2
    nearest = _by_pixel(buffer.nearness).max(-1)
    cell.depth[:] = np.divide(1, nearest, out=np.zeros_like(nearest), where=nearest > 0)


def trace_cell(buffer: ZBuffer, faces: Ints, targets: list[tuple[Floats, Pinhole]]) -> Floats:
    """How far away ``(K, 2, H, W)`` in pixels (x, y) the surface points that one cell shows lie in other cells.

    Args:
        buffer: The cell's, from ``draw_faces``.
        faces: ``(F, 3)``.
        targets: Of each of K other cells the corners ``(N, 3)`` at its time, and its camera.
    """
    height, width = (side // 2 for side in buffer.owner.shape)
    sample = _by_pixel(buffer.nearness).argmax(-1)  # the nearest of the pixel's samples
    y, x = 2 * np.arange(height)[:, None] + sample // 2, 2 * np.arange(width) + sample % 2
    out = np.zeros((len(targets), 2, height, width), np.float32)
    filled = buffer.owner[y, x] >= 0
    y, x = y[filled], x[filled]
    corners, weights, _ = _weights(buffer, faces, x, y, np.float64)
    for k, (points, camera) in enumerate(targets):
        at = _interpolated(points, corners, weights).astype(np.float32)
        u, v, z = _in_camera(at, camera.pose)
        z = np.maximum(z.astype(np.float64), NEAR)
        out[k, 0, filled] = (u / z * camera.lens[0] + camera.lens[2] - (x + 0.5)) * 0.5
        out[k, 1, filled] = (v / z * camera.lens[1] + camera.lens[3] - (y + 0.5)) * 0.5
    return out


def visible_points(points: Floats, camera: Pinhole, nearness: Floats, tolerance: float = 0.02) -> NDArray[np.bool_]:
    """Which of ``points (N, 3)`` a cell sees: in its image and not behind what its z-buffer holds."""
    height, width = nearness.shape
    x, y, z = _in_camera(points, camera.pose)
    ahead = z >= NEAR
    safe = np.where(ahead, z, np.float32(1))
    column = np.floor(x / safe * camera.lens[0] + camera.lens[2]).astype(np.int64)
    row = np.floor(y / safe * camera.lens[1] + camera.lens[3]).astype(np.int64)
    inside = ahead & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    front = nearness[row.clip(0, height - 1), column.clip(0, width - 1)]
    return np.asarray(inside & ((z * front).astype(np.float64) < 1 + tolerance))


def _in_camera(points: Floats, pose: Floats) -> tuple[Floats, Floats, Floats]:
    px, py, pz = points[:, 0], points[:, 1], points[:, 2]
    x, y, z = (row[0] * px + row[1] * py + row[2] * pz + row[3] for row in pose)
    return x, y, z


def _area(screen: Floats, faces: Ints) -> Floats:
    """Twice the signed area ``(F,)`` of triangles on the screen; negative where the front is seen."""
    (x0, y0), (x1, y1), (x2, y2) = (screen[faces[:, k], :2].T for k in range(3))
    return np.asarray((x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0))


def _covered(screen: Floats, faces: Ints, shape: tuple[int, ...]) -> Iterator[tuple[Ints, Ints, Floats]]:
    """Pixels whose middle lies in a triangle: number of the face, of the pixel, and the corners' third value there."""
    (x0, y0, z0), (x1, y1, z1), (x2, y2, z2) = (screen[faces[:, k]].T for k in range(3))
    area = _area(screen, faces)
    with np.errstate(divide="ignore"):
        inverse = 1 / area
    xs, ys = np.stack([x0, x1, x2]), np.stack([y0, y1, y2])
    left, top = (np.ceil(p.min(0) - 0.5).clip(0, side).astype(np.int64) for p, side in ((xs, shape[1]), (ys, shape[0])))
    right, bottom = (
        np.floor(p.max(0) - 0.5).clip(-1, side - 1).astype(np.int64) for p, side in ((xs, shape[1]), (ys, shape[0]))
    )
    wide, tall = (right - left + 1).clip(0), (bottom - top + 1).clip(0)
    count = np.where(np.abs(area) < 1e-9, 0, wide * tall)
    ends = np.cumsum(count)
    start = 0
    while start < len(faces):
        done = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _PAIRS)))
        face = np.repeat(np.arange(start, stop), count[start:stop])
        place = np.arange(len(face)) - (ends - count)[face] + done
        x, y = left[face] + place % wide[face].clip(1), top[face] + place // wide[face].clip(1)
        dx, dy = x.astype(np.float32) + np.float32(0.5) - x0[face], y.astype(np.float32) + np.float32(0.5) - y0[face]
        w1 = (dx * (y2 - y0)[face] + dy * (x0 - x2)[face]) * inverse[face]
        w2 = (dx * (y0 - y1)[face] + dy * (x1 - x0)[face]) * inverse[face]
        inside = (w1 >= 0) & (w2 >= 0) & (w1 + w2 <= 1)
        face, w1, w2 = face[inside], w1[inside], w2[inside]
        value = z0[face] + w1 * (z1 - z0)[face] + w2 * (z2 - z0)[face]
        yield face, (y * shape[1] + x)[inside], value
        start = stop


def _weights(
    buffer: ZBuffer, faces: Ints, x: Ints, y: Ints, dtype: Any = np.float32
) -> tuple[list[Ints], tuple[Floats, Floats, Floats], Floats]:
    """Corners of the faces seen at samples ``x, y``, weights of their attributes (perspective), and signed areas."""
    a, b, c = corners = list(faces[buffer.owner[y, x]].T)
    (x0, y0, _), (x1, y1, near1), (x2, y2, near2) = (buffer.screen[k].T for k in corners)
    area, near = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0), buffer.nearness[y, x]
    px, py = (x + 0.5).astype(dtype), (y + 0.5).astype(dtype)
    w1 = ((px - x0) * (y2 - y0) - (x2 - x0) * (py - y0)) / area * near1 / near
    w2 = ((x1 - x0) * (py - y0) - (px - x0) * (y1 - y0)) / area * near2 / near
    return corners, (1 - w1 - w2, w1, w2), area


def _interpolated(values: Floats, corners: list[Ints], weights: tuple[Floats, Floats, Floats]) -> Floats:
    """Values ``(S, C)`` of the corners' ``(N, C)`` at samples."""
    (a, b, c), (w0, w1, w2) = corners, weights
    return np.asarray(w0[:, None] * values[a] + w1[:, None] * values[b] + w2[:, None] * values[c])


def _filtered(pyramid: Pyramid, surfaces: Surfaces, face: Ints, uv: Floats, area: Floats) -> Floats:
    """Colours ``(S, 3)`` between two levels of the textures, each bilinear."""
    a, b, c = (surfaces.uv[k] for k in surfaces.faces[face].T)
    side, highest = int(pyramid.levels[0, 2]), np.float32(len(pyramid.levels) - 1.001)
    texels = np.abs((b - a)[:, 0] * (c - a)[:, 1] - (c - a)[:, 0] * (b - a)[:, 1]) * side * side
    level = np.minimum(0.5 * np.log2(np.maximum(texels / np.abs(area), 1)), highest)
    low = level.astype(np.int64)
    mix = (level - low).astype(np.float32)[:, None]
    first, second = (_bilinear(pyramid, low + k, surfaces.texture[face], uv) for k in (0, 1))
    return np.asarray(first + mix * (second - first))


def _bilinear(pyramid: Pyramid, level: Ints, texture: Ints, uv: Floats) -> Floats:
    start, size, side = pyramid.levels[level].T
    place = (uv - np.floor(uv)) * side.astype(np.float32)[:, None] - np.float32(0.5)
    low = np.floor(place)
    fx, fy = ((place - low)[:, k, None] for k in (0, 1))
    (x0, y0), (x1, y1) = ((low.astype(np.int64) + k).T & (side - 1) for k in (0, 1))
    a, b, c, d = (
        pyramid.texels[((start + texture * size + (y * side + x) * 3)[:, None] + np.arange(3))].astype(np.float32)
        for y, x in ((y0, x0), (y0, x1), (y1, x0), (y1, x1))
    )
    up, down = a + fx * (b - a), c + fx * (d - c)
    return np.asarray(up + fy * (down - up))


def _brightness(
    lighting: Lighting, corners: list[Ints], weights: tuple[Floats, Floats, Floats], area: Floats
) -> Floats:
    """Light ``(S,)`` on surfaces that don't shine themselves, shadows included."""
    facing = _interpolated(lighting.facing[:, None], corners, weights)[:, 0]
    direct = np.where(area > 0, -facing, facing)
    x, y, depth = _interpolated(lighting.in_light, corners, weights).T
    # what faces away still has form
    direct = direct * np.where(direct > 0, _lit_share(lighting, x, y, depth), np.float32(0.25))
    ambient = lighting.constants[0]
    return np.asarray(ambient + (np.float32(1.15) - ambient) * direct)


def _lit_share(lighting: Lighting, x: Floats, y: Floats, depth: Floats) -> Floats:
    """Share of the light that arrives, from the four texels about a place."""
    side, front = lighting.blockers.shape[0], depth - lighting.constants[1]
    x, y = x - np.float32(0.5), y - np.float32(0.5)
    left, top = np.floor(x), np.floor(y)
    fx, fy = x - left, y - top
    outside = (left < 0) | (top < 0) | (left >= side - 1) | (top >= side - 1)
    column, row = (np.clip(p, 0, side - 2).astype(np.int64) for p in (left, top))
    share = np.zeros_like(x)
    for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = (fx if dx else 1 - fx) * (fy if dy else 1 - fy)
        share += np.where(lighting.blockers[row + dy, column + dx] > front, weight, 0)
    return np.where(outside, np.float32(1), share)


def _by_pixel(samples: NDArray[Any]) -> NDArray[Any]:
    """The four samples of each pixel: ``(2H, 2W, ...)`` as ``(H, W, 4, ...)``."""
    height, width = samples.shape[0] // 2, samples.shape[1] // 2
    rest = samples.shape[2:]
    return np.moveaxis(samples.reshape(height, 2, width, 2, *rest), 2, 1).reshape(height, width, 4, *rest)
