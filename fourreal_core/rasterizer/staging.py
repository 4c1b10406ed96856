"""Numba kernel part that lays a tile's next splats out one behind another, with the parts of their exponentials.

Sorted by depth, splats lie all over the memory, and their sizes differ. What needs neither the pixels nor the order is
done here for a whole batch, so that the loops over pixels find all their numbers in a row and wait for nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .binning import TILE, splat_of
from .compiling import inlined, part
from .simd import LANES, add, element, exp2, fill, lane_numbers, mul, prefetch, put, store

ALL_CELLS = 0xFFFF
BATCH = 64  # splats that are laid out at once
GROUP = 4  # attributes that are kept in registers together
STRIDE = TILE + LANES  # a row's length: eight lanes may begin at its last pixel
SPAN = 4  # numbers of a splat in the spans
DX, DY = 0, 1  # behind a splat's attributes
EXPONENTIALS = 2  # and behind these the exponential's parts
_AHEAD = 16  # so many splats before it is laid out, a splat's memory is asked for


class Stage(NamedTuple):
    """A batch of splats.

    Attributes:
        spans: ``(SPAN BATCH,)`` int32: for each splat, where its numbers begin, its box's first pixel in a plane,
            rows, and blocks of eight columns.
        numbers: For each splat its attributes (colours, depth, 0 up to whole groups), the distances of the
            box's first column and row from the centre; then opacity times the exponential's part in y for each row,
            up to whole lanes; then the part in x for each block of columns.
        order: ``(BATCH,)`` int64: each splat's place among the tile's keys; the backward pass puts its slot there.
    """

    spans: np.ndarray
    numbers: np.ndarray
    order: np.ndarray


@inlined
def new_stage(groups):
    """An empty stage for this many groups of attributes."""
    size = GROUP * groups + EXPONENTIALS + TILE + TILE
    return Stage(np.zeros(SPAN * BATCH, np.int32), np.zeros(BATCH * size, np.float32), np.zeros(BATCH, np.int64))


@inlined
def groups_of(channels: int) -> int:
    """Groups of attributes for this many colour channels and the depth."""
    return (channels + GROUP) // GROUP


@inlined
def box_in_tile(boxes, i, left, top):
    """Splat i's pixel box relative to a tile, cut to the tile: left, right, top, bottom."""
    x0, x1 = np.int64(element(boxes, 4 * i)) - left, np.int64(element(boxes, 4 * i + 1)) - left
    y0, y1 = np.int64(element(boxes, 4 * i + 2)) - top, np.int64(element(boxes, 4 * i + 3)) - top
    return max(x0, 0), min(x1, TILE), max(y0, 0), min(y1, TILE)


@inlined
def cells_under(x0, x1, y0, y1):
    """The bits of the cells under a box that isn't empty."""
    columns = (2 << ((x1 - 1) >> 3)) - (1 << (x0 >> 3))
    first, last = y0 >> 3, (y1 - 1) >> 3
    return columns * ((0x1111 >> (4 * (3 + first - last))) << (4 * first))


@inlined
def _fetch_ahead(keys, j, last, splats, channels):
    geometry, boxes, colors = splats
    ahead, _ = splat_of(element(keys, min(j + _AHEAD, last - 1)))
    prefetch(geometry, 4 * ahead)
    prefetch(boxes, 4 * ahead)
    prefetch(colors, channels * ahead)


@inlined
def _exponential(numbers, place, d, factor, weight):
    store(numbers, place, mul(weight, exp2(mul(factor, mul(d, d)))))


@inlined
def _exponentials(numbers, place, lanes, distance, factor, weight):
    """Writes ``weight 2^(factor d^2)`` for that many lanes, rounded up to eight, of distances that rise by 1."""
    d = add(lane_numbers(), fill(distance))
    factor, weight = fill(factor), fill(weight)
    _exponential(numbers, place, d, factor, weight)
    for k in range(LANES, lanes, LANES):
        d = add(d, fill(np.float32(LANES)))
        _exponential(numbers, place + k, d, factor, weight)


@inlined
def _attribute(colors, at, channels, number, depth):
    if number < channels:
        return element(colors, at + number)
    return depth if number == channels else np.float32(0)


@inlined
def _attributes(numbers, place, colors, at, channels, depth):
    """Writes a splat's colours and depth, and 0 up to the group's end."""
    if channels == 3:
        put(numbers, place, element(colors, at))
        put(numbers, place + 1, element(colors, at + 1))
        put(numbers, place + 2, element(colors, at + 2))
        put(numbers, place + 3, depth)
        return
    for number in range(GROUP * groups_of(channels)):
        put(numbers, place + number, _attribute(colors, at, channels, number, depth))


@part
def stage_splats(keys, first, last, nearest, cells, origin, splats, channels, stage):
    """Lays out those of the sorted ``keys[first:last]`` that touch an open cell.

    Args:
        keys: The tile's sorted keys.
        first: The batch's first.
        last: One behind its last.
        nearest: Depths are counted from here.
        cells: Bits of the cells that still take splats.
        origin: The tile's left and top, pixels.
        splats: geometry ``(4 N,)``, boxes ``(4 N,)``, colors ``(N C,)``.
        channels: C.
        stage: Out.

    Returns:
        How many there are.
    """
    geometry, boxes, colors = splats
    spans, numbers, order = stage
    left, top = origin
    count = place = 0
    attributes = GROUP * groups_of(channels)
    for j in range(first, last):
        _fetch_ahead(keys, j, last, splats, channels)
        i, z = splat_of(element(keys, j))
        x0, x1, y0, y1 = box_in_tile(boxes, i, left, top)
        if cells != ALL_CELLS and not cells_under(x0, x1, y0, y1) & cells:
            continue
        rows, blocks = y1 - y0, (x1 - x0 + LANES - 1) >> 3
        put(spans, SPAN * count, np.int32(place))
        put(spans, SPAN * count + 1, np.int32(y0 * STRIDE + x0))
        put(spans, SPAN * count + 2, np.int32(rows))
        put(spans, SPAN * count + 3, np.int32(blocks))
        put(order, count, j)
        count += 1
        _attributes(numbers, place, colors, i * channels, channels, z - nearest)
        place += attributes
        factor, opacity = element(geometry, 4 * i + 2), element(geometry, 4 * i + 3)
        dx = np.float32(x0 + left) + np.float32(0.5) - element(geometry, 4 * i)
        dy = np.float32(y0 + top) + np.float32(0.5) - element(geometry, 4 * i + 1)
        put(numbers, place + DX, dx)
        put(numbers, place + DY, dy)
        place += EXPONENTIALS
        _exponentials(numbers, place, rows, dy, factor, opacity)
        place += (rows + LANES - 1) // LANES * LANES
        _exponentials(numbers, place, LANES * blocks, dx, factor, np.float32(1))
        place += LANES * blocks
    return count
