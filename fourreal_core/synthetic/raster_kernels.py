"""The compiled twin of ``raster_numpy``: shadow maps, z-buffers and shading, about five times as fast.

This module imports numba and is itself imported only inside functions.
"""

from __future__ import annotations

import math

import numpy as np

from ..compiled import compiled, part
from . import raster_numpy
from .raster_numpy import CASTS, CLOSED, EMISSIVE, NEAR, SUBJECT

_part = part(forceinline=True, fastmath=True)


@compiled(raster_numpy.shadow_map)
def shadow_map(in_light, faces, flags, out):
    """See ``raster_numpy.shadow_map``."""
    side = out.shape[0]
    out[:] = np.inf
    for i in range(faces.shape[0]):
        if not flags[i] & CASTS:
            continue
        a, b, c = faces[i, 0], faces[i, 1], faces[i, 2]
        x0, y0 = in_light[a, 0], in_light[a, 1]
        x1, y1, x2, y2 = in_light[b, 0], in_light[b, 1], in_light[c, 0], in_light[c, 1]
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


@compiled(raster_numpy.draw_faces, fastmath=True)
def draw_faces(points, camera, surfaces, buffer):
    """See ``raster_numpy.draw_faces``."""
    screen, nearness, owner = buffer
    faces, flags = surfaces.faces, surfaces.flags
    height, width = nearness.shape
    half = np.float32(0.5)
    nearness[:] = 0
    owner[:] = -1
    _project(points, camera.pose, camera.lens, screen)
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


@_part
def _project(points, pose, lens, screen):
    for n in range(points.shape[0]):
        px, py, pz = points[n, 0], points[n, 1], points[n, 2]
        z = pose[2, 0] * px + pose[2, 1] * py + pose[2, 2] * pz + pose[2, 3]
        if z < NEAR:
            screen[n, 2] = 0
            continue
        near = 1 / z
        screen[n, 0] = (pose[0, 0] * px + pose[0, 1] * py + pose[0, 2] * pz + pose[0, 3]) * near * lens[0] + lens[2]
        screen[n, 1] = (pose[1, 0] * px + pose[1, 1] * py + pose[1, 2] * pz + pose[1, 3]) * near * lens[1] + lens[3]
        screen[n, 2] = near


@compiled(raster_numpy.shade_cell, fastmath=True)
def shade_cell(buffer, surfaces, lighting, pyramid, cell):
    """See ``raster_numpy.shade_cell``."""
    screen, nearness, owner = buffer
    faces, flags, uv = surfaces.faces, surfaces.flags, surfaces.uv
    light = lighting.constants
    one, two = np.empty(3, np.float32), np.empty(3, np.float32)
    half, whole = np.float32(0.5), np.float32(1)  # an integer beside a float32 would make a float64
    last = -2
    a = b = c = 0
    x0 = y0 = w1x = w1y = w2x = w2y = sign = mix = np.float32(0)
    low = 0
    for row in range(cell.image.shape[0]):
        for column in range(cell.image.shape[1]):
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
                    level = _level(uv, a, b, c, area, pyramid.levels)
                    low = int(level)
                    mix = np.float32(level - low)
                dx, dy = np.float32(x) + half - x0, np.float32(y) + half - y0
                z = whole / nearness[y, x]
                w1, w2 = (dx * w1x + dy * w1y) * screen[b, 2] * z, (dx * w2x + dy * w2y) * screen[c, 2] * z
                w0 = whole - w1 - w2
                u = w0 * uv[a, 0] + w1 * uv[b, 0] + w2 * uv[c, 0]
                v = w0 * uv[a, 1] + w1 * uv[b, 1] + w2 * uv[c, 1]
                _texel(pyramid, low, surfaces.texture[i], u, v, one)
                _texel(pyramid, low + 1, surfaces.texture[i], u, v, two)
                bright = np.float32(1)
                if not flags[i] & EMISSIVE:
                    direct = _direct_light(lighting, (a, b, c), (w0, w1, w2), sign)
                    bright = light[0] + (np.float32(1.15) - light[0]) * direct
                haze = min(light[2] * z * np.float32(0.1), np.float32(0.9))
                red += (one[0] + mix * (two[0] - one[0])) * bright * (whole - haze) + haze * light[3]
                green += (one[1] + mix * (two[1] - one[1])) * bright * (whole - haze) + haze * light[3]
                blue += (one[2] + mix * (two[2] - one[2])) * bright * (whole - haze) + haze * light[3]
                share += flags[i] & SUBJECT
                nearest = max(nearest, nearness[y, x])
            cell.image[row, column, 0] = np.uint8(min(max(red * np.float32(0.25) + half, 0), 255))
            cell.image[row, column, 1] = np.uint8(min(max(green * np.float32(0.25) + half, 0), 255))
            cell.image[row, column, 2] = np.uint8(min(max(blue * np.float32(0.25) + half, 0), 255))
            cell.mask[row, column] = 1 if share >= 2 else 0
            cell.depth[row, column] = 1 / nearest if nearest > 0 else 0


@_part
def _level(uv, a, b, c, area, levels):
    """Level of the textures at which one of its texels is about one sample."""
    side = levels[0, 2]
    texels = (
        abs((uv[b, 0] - uv[a, 0]) * (uv[c, 1] - uv[a, 1]) - (uv[c, 0] - uv[a, 0]) * (uv[b, 1] - uv[a, 1])) * side * side
    )
    level = np.float32(0.5) * math.log2(max(texels / abs(area), np.float32(1)))
    return min(level, np.float32(len(levels) - 1.001))


@_part
def _texel(pyramid, level, texture, u, v, out):
    """Bilinear colour of one level of a texture that repeats; its side is a power of two."""
    texels, side = pyramid.texels, pyramid.levels[level, 2]
    start = pyramid.levels[level, 0] + texture * pyramid.levels[level, 1]
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
        up = np.float32(texels[a + k]) + fx * (np.float32(texels[b + k]) - np.float32(texels[a + k]))
        down = np.float32(texels[c + k]) + fx * (np.float32(texels[d + k]) - np.float32(texels[c + k]))
        out[k] = up + fy * (down - up)


@_part
def _direct_light(lighting, corners, weights, sign):
    """Cosine to the light of a surface, less what its shadow takes."""
    facing, in_light = lighting.facing, lighting.in_light
    (a, b, c), (w0, w1, w2) = corners, weights
    direct = sign * (w0 * facing[a] + w1 * facing[b] + w2 * facing[c])
    if direct <= 0:
        return direct * np.float32(0.25)  # what faces away still has form
    return direct * _lit_share(
        lighting.blockers,
        w0 * in_light[a, 0] + w1 * in_light[b, 0] + w2 * in_light[c, 0],
        w0 * in_light[a, 1] + w1 * in_light[b, 1] + w2 * in_light[c, 1],
        w0 * in_light[a, 2] + w1 * in_light[b, 2] + w2 * in_light[c, 2],
        lighting.constants[1],
    )


@_part
def _lit_share(blockers, x, y, depth, bias):
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
