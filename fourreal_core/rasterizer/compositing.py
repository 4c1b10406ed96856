"""The numba kernel that composites a tile's splats front to back.

A tile's pixels lie in planes of floats, one for the transmittance and one for each *attribute* that is summed: the
colour channels and then the depth, filled up to groups of four. A splat is drawn over its own pixel box, in blocks of
eight columns by four rows, so that no pixel asks which splats it has. Blocks may reach over the box, where alpha is too
small to be drawn, and over the tile into a margin that nobody reads: fewer branches are worth more than fewer pixels.
The exponential is the product of one of x and one of y.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .binning import TILE, splat_of
from .compiling import inlined, kernel, part
from .depth_order import MAX_BUCKETS, deal_to_buckets, sort_bucket
from .simd import (
    LANES,
    add,
    any_lane,
    at_least,
    both,
    div,
    exp2,
    fill,
    keep,
    lane_numbers,
    load,
    more_than,
    mul,
    mul_add,
    prefetch,
    smaller,
    store,
    sub,
    take_number,
)

STRIDE = TILE + LANES  # a row's length: eight lanes may begin at its last pixel
ROWS = 4  # rows of a block
PLANE = (TILE + ROWS) * STRIDE
GROUP = 4  # attributes that are kept in registers together
CHECK_EVERY = 64  # splats between two looks for pixels that are still open
ALL_CELLS = 0xFFFF
AHEAD = 8  # so many splats before it is drawn, a splat's memory is asked for


class Limits(NamedTuple):
    """Clip and cut of alpha, and the transmittance at which a pixel is closed."""

    max_alpha: float
    min_alpha: float
    min_transmittance: float


@inlined
def groups_of(channels):
    """Groups of attributes for this many colour channels and the depth."""
    return (channels + GROUP) // GROUP


@inlined
def limit_lanes(limits):
    """The limits, each in all lanes."""
    return (
        fill(np.float32(limits.max_alpha)),
        fill(np.float32(limits.min_alpha)),
        fill(np.float32(limits.min_transmittance)),
    )


@inlined
def box_in_tile(boxes, i, left, top):
    """Splat i's pixel box relative to a tile, cut to the tile: left, right, top, bottom."""
    x0, x1 = np.int64(boxes[4 * i]) - left, np.int64(boxes[4 * i + 1]) - left
    y0, y1 = np.int64(boxes[4 * i + 2]) - top, np.int64(boxes[4 * i + 3]) - top
    return max(x0, 0), min(x1, TILE), max(y0, 0), min(y1, TILE)


@inlined
def open_transmittance(planes, height, width):
    """Starts a tile: transmittance 1 at its pixels, 0 where the tile hangs over the image."""
    for y in range(TILE + ROWS):
        for x in range(STRIDE):
            planes[y * STRIDE + x] = np.float32(1.0 if y < height and x < width else 0.0)


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
def cells_under(x0, x1, y0, y1):
    """The bits of the cells under a box that isn't empty."""
    columns = (2 << ((x1 - 1) >> 3)) - (1 << (x0 >> 3))
    first, last = y0 >> 3, (y1 - 1) >> 3
    return columns * ((0x1111 >> (4 * (3 + first - last))) << (4 * first))


@inlined
def column_profile(profile, y0, y1, v, factor, opacity):
    """Writes opacity times the exponential's part in y for the rows of a box."""
    for y in range(y0, y1, LANES):
        dy = add(lane_numbers(), fill(np.float32(y) + np.float32(0.5) - v))
        store(profile, y, mul(fill(opacity), exp2(mul(fill(factor), mul(dy, dy)))))


@inlined
def attributes_of(i, depth, colors, channels, attributes):
    """Writes a splat's colours, then its depth; what follows up to the group's end stays 0."""
    for c in range(channels):
        attributes[c] = colors[i * channels + c]
    attributes[channels] = depth


@inlined
def fetch_ahead(keys, j, last, splats, channels):
    """Asks for the memory of a splat that is about to be drawn: sorted by depth, splats lie all over the memory."""
    geometry, boxes, colors = splats
    ahead, _ = splat_of(keys[min(j + AHEAD, last - 1)])
    prefetch(geometry, 4 * ahead)
    prefetch(boxes, 4 * ahead)
    prefetch(colors, channels * ahead)


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
def _draw_columns(planes, weights, profile, across, x, y0, y1, attributes, limits, many):
    """Draws a splat over eight columns of its box: transmittance and the first group of attributes."""
    group = fill(attributes[0]), fill(attributes[1]), fill(attributes[2]), fill(attributes[3])
    for y in range(y0, y1, ROWS):
        at = y * STRIDE + x
        w0 = _draw_row(planes, at, mul(across, fill(profile[y])), limits, group)
        w1 = _draw_row(planes, at + STRIDE, mul(across, fill(profile[y + 1])), limits, group)
        w2 = _draw_row(planes, at + 2 * STRIDE, mul(across, fill(profile[y + 2])), limits, group)
        w3 = _draw_row(planes, at + 3 * STRIDE, mul(across, fill(profile[y + 3])), limits, group)
        if many:
            store(weights, y * LANES, w0)
            store(weights, (y + 1) * LANES, w1)
            store(weights, (y + 2) * LANES, w2)
            store(weights, (y + 3) * LANES, w3)


@inlined
def _draw_more(planes, weights, x, y0, y1, attributes, group):
    """Adds one further group of attributes with the weights that `_draw_columns` left."""
    first = group * GROUP
    for g in range(first, first + GROUP):
        value, plane = fill(attributes[g]), (g + 1) * PLANE
        for y in range(y0, y1):
            at = plane + y * STRIDE + x
            store(planes, at, mul_add(load(weights, y * LANES), value, load(planes, at)))


@part
def _draw(keys, first, last, nearest, cells, origin, splats, raster, limits, planes, scratch):
    """Draws the sorted ``keys[first:last]`` into a tile's planes, depths counted from the tile's nearest splat."""
    geometry, boxes, colors = splats
    profile, weights, attributes = scratch
    left, top = origin
    groups = groups_of(raster.channels)
    lanes = limit_lanes(limits)
    for j in range(first, last):
        fetch_ahead(keys, j, last, splats, raster.channels)
        i, z = splat_of(keys[j])
        x0, x1, y0, y1 = box_in_tile(boxes, i, left, top)
        if not cells_under(x0, x1, y0, y1) & cells:
            continue
        u, v = geometry[4 * i] - np.float32(left), geometry[4 * i + 1] - np.float32(top)
        factor = geometry[4 * i + 2]
        column_profile(profile, y0, y1, v, factor, geometry[4 * i + 3])
        attributes_of(i, z - nearest, colors, raster.channels, attributes)
        for x in range(x0, x1, LANES):
            dx = add(lane_numbers(), fill(np.float32(x) + np.float32(0.5) - u))
            across = exp2(mul(fill(factor), mul(dx, dx)))
            _draw_columns(planes, weights, profile, across, x, y0, y1, attributes, lanes, groups > 1)
            for group in range(1, groups):
                _draw_more(planes, weights, x, y0, y1, attributes, group)


@part
def _draw_tile(pairs, start, stop, origin, splats, raster, limits, planes, scratch, dealt, ends):
    """Sorts and draws one tile's pairs until all of its pixels are closed; returns how many were drawn."""
    if start == stop:
        return 0
    deal_to_buckets(pairs, start, stop, dealt, ends)
    cells, drawn, ordered, bucket = ALL_CELLS, 0, 0, 0
    while cells and drawn < stop - start:
        last = min(drawn + CHECK_EVERY, stop - start)
        while ordered < last:
            sort_bucket(dealt, ordered, ends[bucket], pairs, start)
            ordered = ends[bucket]
            bucket += 1
        _, nearest = splat_of(pairs[start])
        _draw(pairs, start + drawn, start + last, nearest, cells, origin, splats, raster, limits, planes, scratch)
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
        alpha[pixel : pixel + columns] = planes[row : row + columns]
        plane = row + (channels + 1) * PLANE
        depth[pixel : pixel + columns] = planes[plane : plane + columns]
        for c in range(channels):
            plane = row + (c + 1) * PLANE
            for x in range(columns):
                image[(pixel + x) * channels + c] = planes[plane + x]


@kernel
def composite_tiles(counter, pairs, starts, splats, raster, limits, background, frame, drawn, longest):
    """Composites tiles until none is left.

    Args:
        counter: The next tile's number; workers share it.
        pairs: ``(P,)`` uint64 keys; each tile's range is put in order as far as it is drawn.
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
    scratch = (
        np.zeros(STRIDE, np.float32),
        np.zeros((TILE + ROWS) * LANES, np.float32),
        np.zeros(GROUP * groups, np.float32),
    )
    dealt, ends = np.empty(longest, np.uint64), np.empty(MAX_BUCKETS + 1, np.int64)
    while True:
        tile = take_number(counter)
        if tile >= raster.tiles:
            return
        origin = (tile % raster.columns * TILE, tile // raster.columns * TILE)
        open_transmittance(planes, raster.height - origin[1], raster.width - origin[0])
        planes[PLANE:] = 0
        drawn[tile] = _draw_tile(
            pairs, starts[tile], starts[tile + 1], origin, splats, raster, limits, planes, scratch, dealt, ends
        )
        nearest = np.float32(0)
        if drawn[tile] > 0:
            _, nearest = splat_of(pairs[starts[tile]])
        _write_tile(planes, origin, raster, background, nearest, *frame)
