"""The numba kernel that composites a tile's splats front to back.

A tile's pixels lie in planes of floats, one for the transmittance and one for each *attribute* that is summed: the
colour channels and then the depth, filled up to groups of four. A splat is drawn over its own pixel box, in blocks of
eight columns, so that no pixel asks which splats it has. Blocks may reach over the box, where alpha is too small to be
drawn, and over the tile into a margin that nobody reads: fewer branches are worth more than fewer pixels.
The exponential is the product of one of x and one of y.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .binning import TILE, splat_of
from .compiling import inlined, kernel, part
from .depth_order import MAX_DIGITS, sort_by_depth
from .simd import (
    LANES,
    add,
    any_lane,
    at_least,
    both,
    div,
    element,
    fill,
    keep,
    load,
    more_than,
    mul,
    mul_add,
    put,
    smaller,
    store,
    sub,
    take_number,
)
from .staging import ALL_CELLS, BATCH, EXPONENTIALS, GROUP, SPAN, STRIDE, groups_of, new_stage, stage_splats

ROWS = 2  # rows of a block
PLANE = (TILE + ROWS) * STRIDE


class Limits(NamedTuple):
    """Clip and cut of alpha, and the transmittance at which a pixel is closed."""

    max_alpha: float
    min_alpha: float
    min_transmittance: float


@inlined
def limit_lanes(limits):
    """The limits, each in all lanes."""
    return (
        fill(np.float32(limits.max_alpha)),
        fill(np.float32(limits.min_alpha)),
        fill(np.float32(limits.min_transmittance)),
    )


@inlined
def open_transmittance(planes, height, width):
    """Starts a tile: transmittance 1 at its pixels, 0 where the tile hangs over the image."""
    for y in range(TILE + ROWS):
        for x in range(STRIDE):
            put(planes, y * STRIDE + x, np.float32(1.0 if y < height and x < width else 0.0))


@inlined
def open_cells(planes, min_transmittance):
    """A bit for each 8 x 8 cell of the tile, set where a pixel of the cell still takes splats."""
    limit = fill(np.float32(min_transmittance))
    cells = 0
    for y in range(TILE):
        for x in range(0, TILE, LANES):
            if any_lane(at_least(load(planes, y * STRIDE + x), limit)):
                cells |= 1 << ((y >> 3) * 4 + (x >> 3))
    return cells


@inlined
def _draw_row(planes, at, alpha, limits, attributes):
    """Draws a splat over eight pixels; returns their weights."""
    a0, a1, a2, a3 = attributes
    max_alpha, min_alpha, closed = limits
    before = load(planes, at)
    alpha = smaller(alpha, max_alpha)
    weight = keep(both(at_least(alpha, min_alpha), at_least(before, closed)), mul(alpha, before))
    store(planes, at, sub(before, weight))
    store(planes, at + PLANE, mul_add(weight, a0, load(planes, at + PLANE)))
    store(planes, at + 2 * PLANE, mul_add(weight, a1, load(planes, at + 2 * PLANE)))
    store(planes, at + 3 * PLANE, mul_add(weight, a2, load(planes, at + 3 * PLANE)))
    store(planes, at + 4 * PLANE, mul_add(weight, a3, load(planes, at + 4 * PLANE)))
    return weight


@inlined
def _draw_more(planes, weights, at, rows, numbers, place, groups):
    """Adds the further groups of attributes with the weights that the first has left."""
    for number in range(GROUP, GROUP * groups):
        value, plane = fill(element(numbers, place + number)), at + (number + 1) * PLANE
        for y in range(rows):
            pixel = plane + y * STRIDE
            store(planes, pixel, mul_add(load(weights, y * LANES), value, load(planes, pixel)))


@inlined
def _draw_staged(count, stage, limits, groups, many, planes, weights):
    """Draws a batch; ``many`` is whether there is more than one group, known to the compiler."""
    spans, numbers, _ = stage
    for s in range(0, SPAN * count, SPAN):
        place, at = np.int64(element(spans, s)), np.int64(element(spans, s + 1))
        rows, blocks = np.int64(element(spans, s + 2)), np.int64(element(spans, s + 3))
        group = (
            fill(element(numbers, place)),
            fill(element(numbers, place + 1)),
            fill(element(numbers, place + 2)),
            fill(element(numbers, place + 3)),
        )
        profile = place + GROUP * groups + EXPONENTIALS
        across_at = profile + (rows + LANES - 1) // LANES * LANES
        for block in range(blocks):
            across = load(numbers, across_at + block * LANES)
            for y in range(0, rows, ROWS):
                pixel = at + block * LANES + y * STRIDE
                w0 = _draw_row(planes, pixel, mul(across, fill(element(numbers, profile + y))), limits, group)
                w1 = _draw_row(
                    planes, pixel + STRIDE, mul(across, fill(element(numbers, profile + y + 1))), limits, group
                )
                if many:
                    store(weights, y * LANES, w0)
                    store(weights, (y + 1) * LANES, w1)
            if many:
                _draw_more(planes, weights, at + block * LANES, rows, numbers, place, groups)


@part
def _draw_tile(keys, origin, splats, raster, limits, planes, weights, stage):
    """Draws one tile's sorted keys until all of its pixels are closed; returns how many were drawn."""
    if keys.size == 0:
        return 0
    groups = groups_of(raster.channels)
    lanes = limit_lanes(limits)
    cells, drawn = np.int64(ALL_CELLS), np.int64(0)  # not literals, for which all would be compiled once more
    _, nearest = splat_of(keys[0])
    while cells and drawn < keys.size:
        last = min(drawn + BATCH, keys.size)
        count = stage_splats(keys, drawn, last, nearest, cells, origin, splats, raster.channels, stage)
        if groups > 1:
            _draw_staged(count, stage, lanes, groups, True, planes, weights)
        else:
            _draw_staged(count, stage, lanes, groups, False, planes, weights)
        drawn = last
        cells = open_cells(planes, limits.min_transmittance)
    return drawn


@inlined
def _finish_row(planes, row, channels, background, nearest):
    """Turns a row of sums into colours over the background, depth and, in the transmittance's place, coverage.

    Depths were counted from the nearest, so that the rounding of a small coverage doesn't scale the whole depth.
    """
    nothing, one = fill(np.float32(0)), fill(np.float32(1))
    for at in range(row, row + TILE, LANES):
        still_open = load(planes, at)
        covered = sub(one, still_open)
        store(planes, at, covered)
        for c in range(channels):
            plane = at + (c + 1) * PLANE
            store(planes, plane, mul_add(still_open, fill(background[c]), load(planes, plane)))
        plane = at + (channels + 1) * PLANE
        store(planes, plane, keep(more_than(covered, nothing), add(fill(nearest), div(load(planes, plane), covered))))


@part
def _write_tile(planes, origin, raster, background, nearest, image, alpha, depth):
    """Copies a tile's planes to the image, the background behind."""
    left, top = origin
    channels = raster.channels
    columns = min(TILE, raster.width - left)
    for y in range(min(TILE, raster.height - top)):
        row, pixel = y * STRIDE, (top + y) * raster.width + left
        _finish_row(planes, row, channels, background, nearest)
        plane = row + (channels + 1) * PLANE
        for x in range(columns):
            put(alpha, pixel + x, element(planes, row + x))
            put(depth, pixel + x, element(planes, plane + x))
            for c in range(channels):
                put(image, (pixel + x) * channels + c, element(planes, row + (c + 1) * PLANE + x))


@kernel
def composite_tiles(counter, pairs, starts, splats, raster, limits, background, frame, drawn, longest):
    """Composites tiles until none is left.

    Args:
        counter: The next tile's number; workers share it.
        pairs: ``(P,)`` uint64 keys; each tile's range is put in order.
        starts: ``(tiles + 1,)`` int64 ranges of the tiles.
        splats: geometry ``(4 N,)``, boxes ``(4 N,)``, colors ``(N C,)``.
        raster: The image.
        limits: The constants of the compositing.
        background: ``(C,)``.
        frame: Out: image ``(H W C,)``, alpha ``(H W,)``, depth ``(H W,)``.
        drawn: Out, ``(tiles,)`` int64: how many of a tile's pairs were drawn.
        longest: The largest number of pairs in a tile.
    """
    groups = groups_of(raster.channels)
    planes = np.zeros((1 + GROUP * groups) * PLANE, np.float32)
    weights = np.zeros((TILE + ROWS) * LANES, np.float32)
    stage = new_stage(groups)
    spare, counts = np.empty(longest, np.uint64), np.empty(MAX_DIGITS, np.uint32)
    while True:
        tile = take_number(counter)
        if tile >= raster.tiles:
            return
        origin = (tile % raster.columns * TILE, tile // raster.columns * TILE)
        open_transmittance(planes, raster.height - origin[1], raster.width - origin[0])
        for at in range(PLANE, planes.size, LANES):
            store(planes, at, fill(np.float32(0)))
        keys = pairs[starts[tile] : starts[tile + 1]]
        sort_by_depth(keys, spare[: keys.size], counts)
        drawn[tile] = _draw_tile(keys, origin, splats, raster, limits, planes, weights, stage)
        nearest = np.float32(0)
        if keys.size > 0:
            _, nearest = splat_of(keys[0])
        _write_tile(planes, origin, raster, background, nearest, *frame)
