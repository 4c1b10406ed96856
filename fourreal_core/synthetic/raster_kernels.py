"""The compiled part of drawing meshes: a z-buffer, textured and lit, for every cell of a grid.

Triangles are drawn at twice the size in both directions and averaged, so edges are smooth; pictures on surfaces are
looked up bilinearly between two levels of a pyramid, so they neither flicker nor alias. This module imports numba and
is itself imported only inside functions.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

SUBJECT, CLOSED, SHINES, CASTS = 1, 2, 4, 8
"""Bits of a face: part of what moves; its back is never seen; drawn without light; throws a shadow."""
_NEAR = 0.05


@njit(nogil=True, cache=True, error_model="numpy")
def vertex_normals(points, faces, weld, out):
    """Unit normals ``out (T, N, 3)`` of ``points (T, N, 3)``; vertices that share a number in ``weld`` share one."""
    times, count = points.shape[0], points.shape[1]
    total = np.zeros((count, 3), np.float32)
    for t in range(times):
        total[:] = 0
        for i in range(faces.shape[0]):
            a, b, c = faces[i, 0], faces[i, 1], faces[i, 2]
            ux, uy, uz = (
                points[t, b, 0] - points[t, a, 0],
                points[t, b, 1] - points[t, a, 1],
                points[t, b, 2] - points[t, a, 2],
            )
            wx, wy, wz = (
                points[t, c, 0] - points[t, a, 0],
                points[t, c, 1] - points[t, a, 1],
                points[t, c, 2] - points[t, a, 2],
            )
            nx, ny, nz = uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx
            for j in range(3):
                k = weld[faces[i, j]]
                total[k, 0] += nx
                total[k, 1] += ny
                total[k, 2] += nz
        for n in range(count):
            k = weld[n]
            x, y, z = total[k, 0], total[k, 1], total[k, 2]
            scale = 1 / math.sqrt(x * x + y * y + z * z + 1e-20)
            out[t, n, 0], out[t, n, 1], out[t, n, 2] = x * scale, y * scale, z * scale


@njit(nogil=True, cache=True, error_model="numpy")
def shadow_map(in_light, faces, flags, out):
    """Least depth ``out (M, M)`` of the casting faces, from ``in_light (N, 3)`` (x, y in texels, depth)."""
    side = out.shape[0]
    out[:] = np.inf
    for i in range(faces.shape[0]):
        if not flags[i] & CASTS:
            continue
        a, b, c = faces[i, 0], faces[i, 1], faces[i, 2]
        x0, y0, x1, y1, x2, y2 = (
            in_light[a, 0],
            in_light[a, 1],
            in_light[b, 0],
            in_light[b, 1],
            in_light[c, 0],
            in_light[c, 1],
        )
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) < 1e-9:
            continue
        left, right = max(0, math.ceil(min(x0, x1, x2) - 0.5)), min(side - 1, math.floor(max(x0, x1, x2) - 0.5))
        top, bottom = max(0, math.ceil(min(y0, y1, y2) - 0.5)), min(side - 1, math.floor(max(y0, y1, y2) - 0.5))
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                px, py = x + np.float32(0.5), y + np.float32(0.5)
                w1 = ((px - x0) * (y2 - y0) - (x2 - x0) * (py - y0)) / area
                w2 = ((x1 - x0) * (py - y0) - (px - x0) * (y1 - y0)) / area
                w0 = 1 - w1 - w2
                if w0 >= 0 and w1 >= 0 and w2 >= 0:
                    depth = w0 * in_light[a, 2] + w1 * in_light[b, 2] + w2 * in_light[c, 2]
                    out[y, x] = min(out[y, x], depth)


@njit(nogil=True, cache=True, error_model="numpy", fastmath=True)
def draw_faces(points, pose, lens, faces, flags, screen, nearness, owner):
    """The z-buffer of one cell.

    Args:
        points: ``(N, 3)`` in world space.
        pose: ``(3, 4)`` world to camera.
        lens: ``(4,)`` fx, fy, cx, cy in pixels of the buffer.
        faces: ``(F, 3)``.
        flags: ``(F,)``.
        screen: ``(N, 3)``, filled with x, y and 1/z (0 behind the camera).
        nearness: ``(H, W)``, filled with the greatest 1/z.
        owner: ``(H, W)``, filled with the face seen, -1 where there is none.
    """
    height, width = nearness.shape
    half = np.float32(0.5)
    nearness[:] = 0
    owner[:] = -1
    for n in range(points.shape[0]):
        px, py, pz = points[n, 0], points[n, 1], points[n, 2]
        z = pose[2, 0] * px + pose[2, 1] * py + pose[2, 2] * pz + pose[2, 3]
        if z < _NEAR:
            screen[n, 2] = 0
            continue
        near = 1 / z
        screen[n, 0] = (pose[0, 0] * px + pose[0, 1] * py + pose[0, 2] * pz + pose[0, 3]) * near * lens[0] + lens[2]
        screen[n, 1] = (pose[1, 0] * px + pose[1, 1] * py + pose[1, 2] * pz + pose[1, 3]) * near * lens[1] + lens[3]
        screen[n, 2] = near
    for i in range(faces.shape[0]):
        a, b, c = faces[i, 0], faces[i, 1], faces[i, 2]
        z0, z1, z2 = screen[a, 2], screen[b, 2], screen[c, 2]
        if z0 == 0 or z1 == 0 or z2 == 0:
            continue
        x0, y0, x1, y1, x2, y2 = screen[a, 0], screen[a, 1], screen[b, 0], screen[b, 1], screen[c, 0], screen[c, 1]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if (flags[i] & CLOSED and area >= 0) or abs(area) < 1e-9:
            continue
        left, right = max(0, math.ceil(min(x0, x1, x2) - 0.5)), min(width - 1, math.floor(max(x0, x1, x2) - 0.5))
        top, bottom = max(0, math.ceil(min(y0, y1, y2) - 0.5)), min(height - 1, math.floor(max(y0, y1, y2) - 0.5))
        inverse = np.float32(1) / area
        w1x, w1y = (y2 - y0) * inverse, (x0 - x2) * inverse
        w2x, w2y = (y0 - y1) * inverse, (x1 - x0) * inverse
        for y in range(top, bottom + 1):
            dy = np.float32(y) + half - y0
            for x in range(left, right + 1):
                dx = np.float32(x) + half - x0
                w1 = dx * w1x + dy * w1y
                w2 = dx * w2x + dy * w2y
                if w1 >= 0 and w2 >= 0 and w1 + w2 <= np.float32(1):
                    near = z0 + w1 * (z1 - z0) + w2 * (z2 - z0)
                    if near > nearness[y, x]:
                        nearness[y, x] = near
                        owner[y, x] = i


@njit(nogil=True, cache=True, error_model="numpy", fastmath=True)
def _texel(pyramid, start, side, u, v, out):
    """Bilinear colour of one level of a picture that repeats; its side is a power of two."""
    half = np.float32(0.5)
    x, y = (u - np.floor(u)) * np.float32(side) - half, (v - np.floor(v)) * np.float32(side) - half
    left, top = np.floor(x), np.floor(y)
    fx, fy = x - left, y - top
    wrap = np.int32(side - 1)
    x0, y0 = np.int32(left) & wrap, np.int32(top) & wrap
    x1, y1 = (x0 + np.int32(1)) & wrap, (y0 + np.int32(1)) & wrap
    a, b = start + (y0 * side + x0) * 3, start + (y0 * side + x1) * 3
    c, d = start + (y1 * side + x0) * 3, start + (y1 * side + x1) * 3
    for k in range(3):
        up = np.float32(pyramid[a + k]) + fx * (np.float32(pyramid[b + k]) - np.float32(pyramid[a + k]))
        down = np.float32(pyramid[c + k]) + fx * (np.float32(pyramid[d + k]) - np.float32(pyramid[c + k]))
        out[k] = up + fy * (down - up)


@njit(nogil=True, cache=True, error_model="numpy", fastmath=True)
def _shadow(blockers, x, y, depth, bias):
    """Share of the light that arrives, from the four texels about a place."""
    side = blockers.shape[0]
    one = np.float32(1)
    x, y = x - np.float32(0.5), y - np.float32(0.5)
    left, top = int(np.floor(x)), int(np.floor(y))
    if left < 0 or top < 0 or left >= side - 1 or top >= side - 1:
        return one
    fx, fy = x - np.float32(left), y - np.float32(top)
    free = np.float32(0)
    if blockers[top, left] > depth - bias:
        free += (one - fx) * (one - fy)
    if blockers[top, left + 1] > depth - bias:
        free += fx * (one - fy)
    if blockers[top + 1, left] > depth - bias:
        free += (one - fx) * fy
    if blockers[top + 1, left + 1] > depth - bias:
        free += fx * fy
    return free


@njit(nogil=True, cache=True, error_model="numpy", fastmath=True)
def shade_cell(
    screen,
    nearness,
    owner,
    faces,
    flags,
    picture,
    uv,
    facing,
    in_light,
    blockers,
    light,
    pyramid,
    levels,
    image,
    mask,
    depth,
):
    """Colours of one cell from its z-buffer, averaged two by two.

    Args:
        screen, nearness, owner: From ``draw_faces``.
        faces, flags: As there.
        picture: ``(F,)`` number of the picture on a face.
        uv: ``(N, 2)`` place in it, 1 being its whole width.
        facing: ``(N,)`` cosine between normal and light.
        in_light: ``(N, 3)`` place in the shadow map.
        blockers: ``(M, M)`` shadow map.
        light: ``(4,)`` ambient share, depth by which a shadow must lie behind, share of haze at distance 10, its grey.
        pyramid: All levels of all pictures, flat 8-bit RGB.
        levels: ``(L, 3)`` start of a level's first picture, elements of one picture, side.
        image: ``(H, W, 3)`` uint8, filled.
        mask: ``(H, W)`` uint8, filled: 1 where at least half of the pixel is subject.
        depth: ``(H, W)`` float32, filled with the z of the nearest surface in the pixel.
    """
    one, two = np.empty(3, np.float32), np.empty(3, np.float32)
    half, whole = np.float32(0.5), np.float32(1)  # an integer beside a float32 would make a float64
    last = -2
    a = b = c = 0
    x0 = y0 = w1x = w1y = w2x = w2y = sign = mix = np.float32(0)
    low = 0
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            red = green = blue = nearest = np.float32(0)
            share = 0
            for sub in range(4):
                y, x = 2 * row + sub // 2, 2 * column + sub % 2
                i = owner[y, x]
                if i < 0:
                    continue
                if i != last:
                    last = i
                    a, b, c = faces[i, 0], faces[i, 1], faces[i, 2]
                    x0, y0 = screen[a, 0], screen[a, 1]
                    x1, y1, x2, y2 = screen[b, 0], screen[b, 1], screen[c, 0], screen[c, 1]
                    area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
                    w1x, w1y, w2x, w2y = (y2 - y0) / area, (x0 - x2) / area, (y0 - y1) / area, (x1 - x0) / area
                    sign = np.float32(-1) if area > 0 else np.float32(1)
                    side = levels[0, 2]
                    texels = (
                        abs(
                            (uv[b, 0] - uv[a, 0]) * (uv[c, 1] - uv[a, 1])
                            - (uv[c, 0] - uv[a, 0]) * (uv[b, 1] - uv[a, 1])
                        )
                        * side
                        * side
                    )
                    level = np.float32(0.5) * math.log2(max(texels / abs(area), np.float32(1)))
                    level = min(level, np.float32(len(levels) - 1.001))
                    low = int(level)
                    mix = np.float32(level - low)
                dx, dy = np.float32(x) + half - x0, np.float32(y) + half - y0
                z = whole / nearness[y, x]
                w1, w2 = (dx * w1x + dy * w1y) * screen[b, 2] * z, (dx * w2x + dy * w2y) * screen[c, 2] * z
                w0 = whole - w1 - w2
                u = w0 * uv[a, 0] + w1 * uv[b, 0] + w2 * uv[c, 0]
                v = w0 * uv[a, 1] + w1 * uv[b, 1] + w2 * uv[c, 1]
                p = picture[i]
                _texel(pyramid, levels[low, 0] + p * levels[low, 1], levels[low, 2], u, v, one)
                _texel(pyramid, levels[low + 1, 0] + p * levels[low + 1, 1], levels[low + 1, 2], u, v, two)
                bright = np.float32(1)
                if not flags[i] & SHINES:
                    direct = sign * (w0 * facing[a] + w1 * facing[b] + w2 * facing[c])
                    if direct > 0:
                        direct *= _shadow(
                            blockers,
                            w0 * in_light[a, 0] + w1 * in_light[b, 0] + w2 * in_light[c, 0],
                            w0 * in_light[a, 1] + w1 * in_light[b, 1] + w2 * in_light[c, 1],
                            w0 * in_light[a, 2] + w1 * in_light[b, 2] + w2 * in_light[c, 2],
                            light[1],
                        )
                    else:
                        direct *= np.float32(0.25)  # what faces away still has form
                    bright = light[0] + (np.float32(1.15) - light[0]) * direct
                haze = min(light[2] * z * np.float32(0.1), np.float32(0.9))
                red += (one[0] + mix * (two[0] - one[0])) * bright * (whole - haze) + haze * light[3]
                green += (one[1] + mix * (two[1] - one[1])) * bright * (whole - haze) + haze * light[3]
                blue += (one[2] + mix * (two[2] - one[2])) * bright * (whole - haze) + haze * light[3]
                share += flags[i] & SUBJECT
                nearest = max(nearest, nearness[y, x])
            image[row, column, 0] = np.uint8(min(max(red * np.float32(0.25) + np.float32(0.5), 0), 255))
            image[row, column, 1] = np.uint8(min(max(green * np.float32(0.25) + np.float32(0.5), 0), 255))
            image[row, column, 2] = np.uint8(min(max(blue * np.float32(0.25) + np.float32(0.5), 0), 255))
            mask[row, column] = 1 if share >= 2 else 0
            depth[row, column] = 1 / nearest if nearest > 0 else 0


@njit(nogil=True, cache=True, error_model="numpy")
def trace_cell(screen, nearness, owner, faces, first, now, pose, lens, first_pose, first_lens, out):
    """Where the surface points that one cell shows lie in two other cells.

    Args:
        screen, nearness, owner: The cell's, from ``draw_faces``.
        faces: ``(F, 3)``.
        first: ``(N, 3)`` corners at the first time.
        now: ``(N, 3)`` corners at the cell's time.
        pose, lens: The cell's view.
        first_pose, first_lens: The first view.
        out: ``(2, 2, H, W)`` float32, filled with how far away in pixels (x, y) the point is at the first time in the
            cell's view, and at the cell's time in the first view.
    """
    at = np.empty(3, np.float32)
    for row in range(out.shape[2]):
        for column in range(out.shape[3]):
            y, x = 2 * row, 2 * column
            for sub in range(1, 4):  # the nearest of the pixel's samples
                if nearness[2 * row + sub // 2, 2 * column + sub % 2] > nearness[y, x]:
                    y, x = 2 * row + sub // 2, 2 * column + sub % 2
            i = owner[y, x]
            out[:, :, row, column] = 0
            if i < 0:
                continue
            a, b, c = faces[i, 0], faces[i, 1], faces[i, 2]
            x0, y0, x1, y1, x2, y2 = screen[a, 0], screen[a, 1], screen[b, 0], screen[b, 1], screen[c, 0], screen[c, 1]
            area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
            px, py = x + 0.5, y + 0.5
            w1 = ((px - x0) * (y2 - y0) - (x2 - x0) * (py - y0)) / area * screen[b, 2] / nearness[y, x]
            w2 = ((x1 - x0) * (py - y0) - (px - x0) * (y1 - y0)) / area * screen[c, 2] / nearness[y, x]
            for k in range(2):
                where, matrix, glass = (first, pose, lens) if k == 0 else (now, first_pose, first_lens)
                for j in range(3):
                    at[j] = (1 - w1 - w2) * where[a, j] + w1 * where[b, j] + w2 * where[c, j]
                z = max(matrix[2, 0] * at[0] + matrix[2, 1] * at[1] + matrix[2, 2] * at[2] + matrix[2, 3], _NEAR)
                u = matrix[0, 0] * at[0] + matrix[0, 1] * at[1] + matrix[0, 2] * at[2] + matrix[0, 3]
                v = matrix[1, 0] * at[0] + matrix[1, 1] * at[1] + matrix[1, 2] * at[2] + matrix[1, 3]
                out[k, 0, row, column] = (u / z * glass[0] + glass[2] - px) * 0.5
                out[k, 1, row, column] = (v / z * glass[1] + glass[3] - py) * 0.5


@njit(nogil=True, cache=True, error_model="numpy")
def see_points(points, pose, lens, nearness, tolerance, out):
    """Which of ``points (N, 3)`` a cell sees: in its picture and not behind what its z-buffer holds."""
    height, width = nearness.shape
    for n in range(points.shape[0]):
        px, py, pz = points[n, 0], points[n, 1], points[n, 2]
        z = pose[2, 0] * px + pose[2, 1] * py + pose[2, 2] * pz + pose[2, 3]
        out[n] = 0
        if z < _NEAR:
            continue
        x = int(math.floor((pose[0, 0] * px + pose[0, 1] * py + pose[0, 2] * pz + pose[0, 3]) / z * lens[0] + lens[2]))
        y = int(math.floor((pose[1, 0] * px + pose[1, 1] * py + pose[1, 2] * pz + pose[1, 3]) / z * lens[1] + lens[3]))
        if 0 <= x < width and 0 <= y < height and z * nearness[y, x] < 1 + tolerance:
            out[n] = 1
