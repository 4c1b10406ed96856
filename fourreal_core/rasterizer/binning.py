"""Numba kernels that project splats and sort them to tiles.

A *pair* is a (splat, tile) that may have a pixel in common. Its 64-bit key holds the bits of the depth above the
splat's index: depths are positive, so their bits sort like they do, and equal depths are ordered by the index.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .compiling import inlined, kernel
from .simd import LANES, add, bits_of_float, fill, float_of_bits, load, put, sub, take_number, total

TILE = 32
TILE_SHIFT = 5

# bits of the flags that `project_splats` returns, in the order of the arguments
NON_FINITE = ("means", "scales", "opacities", "colors")


class Lens(NamedTuple):
    """What decides where a splat falls; pixels, scene units and px^2."""

    fx: float
    fy: float
    cx: float
    cy: float
    near: float
    low_pass: float
    min_alpha: float


class Raster(NamedTuple):
    """The image and its tiles: sides in pixels, tiles in a row, tiles in all, colour channels."""

    height: int
    width: int
    columns: int
    tiles: int
    channels: int


@inlined
def _all_finite(values, start, stop):
    """Whether a range of a float32 array has neither NaN nor infinity."""
    flaw = fill(np.float32(0))  # x - x is 0, or NaN where x is either
    whole = start + (stop - start) // LANES * LANES
    for j in range(start, whole, LANES):
        lanes = load(values, j)
        flaw = add(flaw, sub(lanes, lanes))
    rest = total(flaw)
    for j in range(whole, stop):
        rest += values[j] - values[j]
    return rest == np.float32(0)


@inlined
def _first_pixel(edge, side):
    """The first pixel whose centre isn't below the edge, within 0..side."""
    return np.int64(np.ceil(min(max(edge - np.float32(0.5), np.float32(-1)), np.float32(side))))


@inlined
def _reach(variance, opacity, min_alpha):
    """A distance, never too short, beyond which the alpha is less than ``min_alpha``; the exact cut is made later.

    ``log2(1 + m) <= m + 0.0861`` for a mantissa m spares the logarithm.
    """
    bits = bits_of_float(opacity * (np.float32(1) / min_alpha))
    exponent = np.float32(np.int32(bits >> np.uint32(23)) - np.int32(127))
    mantissa = np.float32(bits & np.uint32(0x7FFFFF)) * np.float32(1.0 / (1 << 23))
    return np.sqrt(variance * np.float32(2 * np.log(2)) * (exponent + mantissa + np.float32(0.0861)))


@inlined
def _project_one(i, x, y, z, scale, opacity, lens, raster, geometry, boxes):
    """Writes a splat's centre, exponent factor, opacity and pixel box (left, right, top, bottom; empty: all 0)."""
    boxes[4 * i] = boxes[4 * i + 1] = boxes[4 * i + 2] = boxes[4 * i + 3] = 0
    if not (z >= np.float32(lens.near) and opacity >= np.float32(lens.min_alpha)):
        return
    fx, fy = np.float32(lens.fx), np.float32(lens.fy)
    nearness = np.float32(1) / z
    u = fx * x * nearness + np.float32(lens.cx)
    v = fy * y * nearness + np.float32(lens.cy)
    spread = scale * nearness
    variance = fx * fy * spread * spread + np.float32(lens.low_pass)
    reach = _reach(variance, opacity, np.float32(lens.min_alpha))
    left, right = max(_first_pixel(u - reach, raster.width), 0), _first_pixel(u + reach, raster.width)
    top, bottom = max(_first_pixel(v - reach, raster.height), 0), _first_pixel(v + reach, raster.height)
    if left >= right or top >= bottom:
        return
    geometry[4 * i], geometry[4 * i + 1] = u, v
    geometry[4 * i + 2] = np.float32(-0.5 / np.log(2)) / variance  # alpha = opacity 2^(this * distance^2)
    geometry[4 * i + 3] = opacity
    boxes[4 * i], boxes[4 * i + 1], boxes[4 * i + 2], boxes[4 * i + 3] = left, right, top, bottom


@inlined
def tile_box(boxes, i):
    """First column, column count, first row and row count of the tiles under splat i's pixel box, empty: counts 0."""
    left, right = np.int64(boxes[4 * i]) >> TILE_SHIFT, (np.int64(boxes[4 * i + 1]) + TILE - 1) >> TILE_SHIFT
    top, bottom = np.int64(boxes[4 * i + 2]) >> TILE_SHIFT, (np.int64(boxes[4 * i + 3]) + TILE - 1) >> TILE_SHIFT
    return left, right - left, top, bottom - top


@kernel
def project_splats(counter, means, scales, opacities, colors, lens, raster, geometry, boxes, counts, flags):
    """Projects the splats in chunks and counts each chunk's pairs in every tile.

    Args:
        counter: The next chunk's number; workers share it.
        means: ``(3 N,)`` float32; scales, opacities ``(N,)``; colors ``(N C,)``.
        lens: The camera and the limits of what is drawn.
        raster: The image.
        geometry: Out, ``(4 N,)`` float32: u, v, exponent factor, opacity; only of the splats whose box isn't empty.
        boxes: Out, ``(4 N,)`` int16: pixel box.
        counts: Out, ``(chunks, tiles)`` int64, zero before.
        flags: Out, ``(chunks,)`` int64: bit b is set where input ``NON_FINITE[b]`` has a NaN or an infinity.
    """
    count, chunks = scales.size, counts.shape[0]
    while True:
        chunk = take_number(counter)
        if chunk >= chunks:
            return
        first, last = chunk * count // chunks, (chunk + 1) * count // chunks
        flags[chunk] = (
            (not _all_finite(means, 3 * first, 3 * last))
            + 2 * (not _all_finite(scales, first, last))
            + 4 * (not _all_finite(opacities, first, last))
            + 8 * (not _all_finite(colors, raster.channels * first, raster.channels * last))
        )
        for i in range(first, last):
            x, y, z, scale, opacity = means[3 * i], means[3 * i + 1], means[3 * i + 2], scales[i], opacities[i]
            _project_one(i, x, y, z, scale, opacity, lens, raster, geometry, boxes)
            column, columns, row, rows = tile_box(boxes, i)
            for r in range(row, row + rows):
                for tile in range(r * raster.columns + column, r * raster.columns + column + columns):
                    counts[chunk, tile] += 1


@kernel
def place_pairs(counter, means, boxes, raster, starts, slots, pairs, first_slot):
    """Writes every pair's key into its tile's range of ``pairs``, by rising index.

    Args:
        counter: The next chunk's number; workers share it.
        means: ``(3 N,)`` float32.
        boxes: ``(4 N,)`` int16.
        raster: The image.
        starts: ``(chunks, tiles)`` int64: where a chunk's keys of a tile go; used up.
        slots: ``(chunks,)`` int64: how many pairs the chunks before have.
        pairs: Out, ``(P,)`` uint64.
        first_slot: Out, ``(N + 1,)`` int64: a splat's first pair, when pairs are counted splat by splat, and
            their number at the end.
    """
    count, chunks = first_slot.size - 1, starts.shape[0]
    while True:
        chunk = take_number(counter)
        if chunk >= chunks:
            return
        slot = slots[chunk]
        for i in range(chunk * count // chunks, (chunk + 1) * count // chunks):
            put(first_slot, i, slot)
            column, columns, row, rows = tile_box(boxes, i)
            if columns == 0:
                continue
            slot += columns * rows
            key = (np.uint64(bits_of_float(means[3 * i + 2])) << np.uint64(32)) | np.uint64(i)
            for r in range(row, row + rows):
                for tile in range(r * raster.columns + column, r * raster.columns + column + columns):
                    put(pairs, starts[chunk, tile], key)
                    starts[chunk, tile] += 1
        if chunk == chunks - 1:
            put(first_slot, count, slot)


@inlined
def splat_of(key):
    """A key's splat index and depth."""
    return np.int64(key & np.uint64(0xFFFFFFFF)), float_of_bits(np.uint32(key >> np.uint64(32)))
