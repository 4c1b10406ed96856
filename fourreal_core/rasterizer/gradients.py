"""The numba kernels of the backward pass.

A tile is replayed front to back. With ``q`` the loss gradient of a splat's weight at a pixel, ``L = sum(w q)`` is known
at the start from the images, and what is left of it behind a splat is all that the gradient of its alpha needs:
``dL/da = T q - rest / (1 - a)``. So nothing is stored per pixel and splat. Every pair has a slot of its own for its
sums, and a splat adds up its slots in a fixed order: the result doesn't depend on which thread did what.
"""

from __future__ import annotations

import numpy as np

from .binning import TILE, splat_of, tile_box
from .compiling import inlined, kernel, part
from .compositing import PLANE, limit_lanes, open_cells, open_transmittance
from .simd import (
    LANES,
    add,
    at_least,
    both,
    div,
    element,
    fill,
    keep,
    lane_numbers,
    load,
    load_triples,
    more_than,
    mul,
    mul_add,
    prefetch,
    put,
    smaller,
    store,
    sub,
    take_number,
    total,
    totals,
)
from .staging import ALL_CELLS, BATCH, DX, DY, EXPONENTIALS, GROUP, SPAN, STRIDE, groups_of, new_stage, stage_splats

GEOMETRY_SLOTS = 4  # a slot's first numbers: sums of p = a dL/da, p dx, p dy, p d^2; the attributes' gradients follow
_REST, _CONSTANT, _FIRST = PLANE, 2 * PLANE, 3 * PLANE  # planes behind the transmittance's


@inlined
def slot_size(channels: int) -> int:
    """Numbers in a pair's slot, a whole number of lanes."""
    return (GEOMETRY_SLOTS + GROUP * groups_of(channels) + LANES - 1) // LANES * LANES


@inlined
def _pixel_gradients(planes, origin, raster, background, frame, frame_gradients, nearest):
    """Fills the planes with L per pixel, and with the parts of q: a constant and a factor of each attribute.

    Depths count from the tile's nearest splat: q has the difference of two depths, and loses fewer digits so.
    """
    left, top = origin
    columns = min(TILE, raster.width - left)
    for y in range(min(TILE, raster.height - top)):
        at, pixel, x = y * STRIDE, (top + y) * raster.width + left, 0
        if raster.channels == 3:
            while x + LANES <= columns:
                _eight_pixels(planes, at + x, pixel + x, background, frame, frame_gradients, nearest)
                x += LANES
        while x < columns:
            _one_pixel(planes, at + x, pixel + x, raster.channels, background, frame, frame_gradients, nearest)
            x += 1


@inlined
def _one_pixel(planes, at, pixel, channels, background, frame, frame_gradients, nearest):
    image, alpha, depth = frame
    image_gradient, alpha_gradient, depth_gradient = frame_gradients
    covered, constant = element(alpha, pixel), element(alpha_gradient, pixel)
    rest = constant * covered  # depth's share is 0: it is a mean, and unchanged if all weights grow alike
    for c in range(channels):
        g = element(image_gradient, pixel * channels + c)
        put(planes, _FIRST + c * PLANE + at, g)
        rest += g * (element(image, pixel * channels + c) - background[c])
        constant -= g * background[c]
    share = element(depth_gradient, pixel) / covered if covered > 0 else np.float32(0)
    put(planes, _FIRST + channels * PLANE + at, share)
    put(planes, _REST + at, rest)
    put(planes, _CONSTANT + at, constant - share * (element(depth, pixel) - nearest))


@inlined
def _eight_pixels(planes, at, pixel, background, frame, frame_gradients, nearest):
    """`_one_pixel` for eight pixels of three channels."""
    image, alpha, depth = frame
    image_gradient, alpha_gradient, depth_gradient = frame_gradients
    nothing = fill(np.float32(0))
    covered, constant = load(alpha, pixel), load(alpha_gradient, pixel)
    rest = mul(constant, covered)
    g0, g1, g2 = load_triples(image_gradient, 3 * pixel)
    i0, i1, i2 = load_triples(image, 3 * pixel)
    b0, b1, b2 = fill(background[0]), fill(background[1]), fill(background[2])
    rest = mul_add(g0, sub(i0, b0), mul_add(g1, sub(i1, b1), mul_add(g2, sub(i2, b2), rest)))
    constant = sub(constant, mul_add(g0, b0, mul_add(g1, b1, mul(g2, b2))))
    share = keep(more_than(covered, nothing), div(load(depth_gradient, pixel), covered))
    store(planes, _FIRST + at, g0)
    store(planes, _FIRST + PLANE + at, g1)
    store(planes, _FIRST + 2 * PLANE + at, g2)
    store(planes, _FIRST + 3 * PLANE + at, share)
    store(planes, _REST + at, rest)
    store(planes, _CONSTANT + at, sub(constant, mul(share, sub(load(depth, pixel), fill(nearest)))))


@inlined
def _more_of_q(planes, more, at, rows, numbers, place, groups):
    """Writes what the attributes beyond the first group add to q, a row after another."""
    for y in range(rows):
        q = fill(np.float32(0))
        for g in range(GROUP, groups * GROUP):
            q = mul_add(fill(element(numbers, place + g)), load(planes, _FIRST + g * PLANE + y * STRIDE + at), q)
        store(more, y * LANES, q)


@inlined
def _more_attribute_sums(planes, more, at, rows, groups, slots, slot):
    """Adds the gradients of the attributes beyond the first group, from the weights that the first has left."""
    for g in range(GROUP, groups * GROUP):
        s = fill(np.float32(0))
        for y in range(rows):
            s = mul_add(load(more, y * LANES), load(planes, _FIRST + g * PLANE + y * STRIDE + at), s)
        slots[slot + GEOMETRY_SLOTS + g] += total(s)


@inlined
def _replay_row(planes, at, raw, more_of_q, limits, attributes):
    """Replays a splat over eight pixels.

    Returns:
        Its weights, ``a dL/da``, and the loss gradient's factors of the first four attributes.
    """
    a0, a1, a2, a3 = attributes
    max_alpha, min_alpha, closed = limits
    before = load(planes, at)
    alpha = smaller(raw, max_alpha)
    drawn = both(at_least(alpha, min_alpha), at_least(before, closed))
    weight = keep(drawn, mul(alpha, before))
    store(planes, at, sub(before, weight))
    g0, g1 = load(planes, at + _FIRST), load(planes, at + _FIRST + PLANE)
    g2, g3 = load(planes, at + _FIRST + 2 * PLANE), load(planes, at + _FIRST + 3 * PLANE)
    q = add(load(planes, at + _CONSTANT), more_of_q)
    q = mul_add(g0, a0, mul_add(g1, a1, mul_add(g2, a2, mul_add(g3, a3, q))))
    rest = sub(load(planes, at + _REST), mul(weight, q))
    store(planes, at + _REST, rest)
    slope = sub(mul(before, q), div(rest, sub(fill(np.float32(1)), alpha)))
    # a clipped alpha has no slope
    return weight, keep(both(drawn, at_least(max_alpha, raw)), mul(slope, alpha)), g0, g1, g2, g3


@inlined
def _replay_columns(planes, more, numbers, profile, across, at, rows, dy, limits, group, many):
    """Replays a splat over eight columns of its box.

    Returns:
        Lane by lane: sums of ``a dL/da``, of it times dy and times dy^2, and of the first four attributes' gradients.
    """
    p0 = p1 = p2 = s0 = s1 = s2 = s3 = more_of_q = fill(np.float32(0))
    one = fill(np.float32(1))
    for y in range(rows):
        if many:
            more_of_q = load(more, y * LANES)
        raw = mul(across, fill(element(numbers, profile + y)))
        weight, p, g0, g1, g2, g3 = _replay_row(planes, y * STRIDE + at, raw, more_of_q, limits, group)
        if many:
            store(more, y * LANES, weight)
        pdy = mul(p, dy)
        p0, p1, p2 = add(p0, p), add(p1, pdy), mul_add(pdy, dy, p2)
        s0, s1 = mul_add(weight, g0, s0), mul_add(weight, g1, s1)
        s2, s3 = mul_add(weight, g2, s2), mul_add(weight, g3, s3)
        dy = add(dy, one)
    return p0, p1, p2, s0, s1, s2, s3


@inlined
def _replay_splat(span, slot, stage, limits, groups, many, planes, more, slots):
    """Replays one splat in one tile and writes its slot; ``many`` is whether groups > 1, known to the compiler."""
    spans, numbers, _ = stage
    place, at = np.int64(element(spans, span)), np.int64(element(spans, span + 1))
    rows, blocks = np.int64(element(spans, span + 2)), np.int64(element(spans, span + 3))
    group = (
        fill(element(numbers, place)),
        fill(element(numbers, place + 1)),
        fill(element(numbers, place + 2)),
        fill(element(numbers, place + 3)),
    )
    geometry = place + GROUP * groups
    dx, dy = add(lane_numbers(), fill(element(numbers, geometry + DX))), fill(element(numbers, geometry + DY))
    profile = geometry + EXPONENTIALS
    across = profile + (rows + LANES - 1) // LANES * LANES
    if many:
        for s in range(slot + LANES, slot + GEOMETRY_SLOTS + GROUP * groups, LANES):
            store(slots, s, fill(np.float32(0)))
    a = px = py = pd = s0 = s1 = s2 = s3 = fill(np.float32(0))
    for _ in range(blocks):
        if many:
            _more_of_q(planes, more, at, rows, numbers, place, groups)
        p0, p1, p2, t0, t1, t2, t3 = _replay_columns(
            planes, more, numbers, profile, load(numbers, across), at, rows, dy, limits, group, many
        )
        pdx = mul(p0, dx)
        a, px, py, pd = add(a, p0), add(px, pdx), add(py, p1), add(pd, mul_add(pdx, dx, p2))
        s0, s1, s2, s3 = add(s0, t0), add(s1, t1), add(s2, t2), add(s3, t3)
        if many:
            _more_attribute_sums(planes, more, at, rows, groups, slots, slot)
        at, across, dx = at + LANES, across + LANES, add(dx, fill(np.float32(LANES)))
    store(slots, slot, totals(a, px, py, pd, s0, s1, s2, s3))


@inlined
def _find_slots(count, keys, tile, splats, first_slot, raster, order, slots, used):
    """Turns the order of a batch into numbers of slots, marks these as used and asks for their memory."""
    column, row = tile % raster.columns, tile // raster.columns
    size = slot_size(raster.channels)
    for s in range(count):
        i, _ = splat_of(element(keys, element(order, s)))
        first_column, columns, first_row, _ = tile_box(splats[1], i)
        slot = element(first_slot, i) + (row - first_row) * columns + column - first_column
        put(used, slot, np.uint8(1))
        put(order, s, slot * size)
        prefetch(slots, slot * size)


@inlined
def _replay_staged(count, stage, limits, groups, many, planes, more, slots):
    """Replays a batch."""
    for s in range(count):
        _replay_splat(SPAN * s, element(stage.order, s), stage, limits, groups, many, planes, more, slots)


@part
def _replay_tile(keys, drawn, tile, splats, first_slot, raster, limits, planes, more, stage, slots, used):
    """Replays a tile's keys that were drawn."""
    origin = (tile % raster.columns * TILE, tile // raster.columns * TILE)
    groups = groups_of(raster.channels)
    lanes = limit_lanes(limits)
    cells = np.int64(ALL_CELLS)
    _, nearest = splat_of(keys[0])
    for first in range(0, drawn, BATCH):
        if first > 0:
            cells = open_cells(planes, limits.min_transmittance)
        last = min(first + BATCH, drawn)
        count = stage_splats(keys, first, last, nearest, cells, origin, splats, raster.channels, stage)
        _find_slots(count, keys, tile, splats, first_slot, raster, stage.order, slots, used)
        if groups > 1:
            _replay_staged(count, stage, lanes, groups, True, planes, more, slots)
        else:
            _replay_staged(count, stage, lanes, groups, False, planes, more, slots)


@kernel
def replay_tiles(
    counter, pairs, starts, drawn, splats, first_slot, raster, limits, background, frame, gradients, slots, used
):
    """Replays tiles until none is left.

    Args:
        counter: The next tile's number; workers share it.
        pairs: ``(P,)`` uint64 keys, sorted tile by tile.
        starts: ``(tiles + 1,)`` int64.
        drawn: ``(tiles,)`` int64.
        splats: geometry ``(4 N,)``, boxes ``(4 N,)``, colors ``(N C,)``.
        first_slot: ``(N + 1,)`` int64.
        raster: The image.
        limits: The constants of the compositing.
        background: ``(C,)``.
        frame: The forward pass's image, alpha and depth, flat.
        gradients: The loss's gradients for them, flat.
        slots: Out, ``(P slot_size,)`` float32: a pair's sums.
        used: Out, ``(P,)`` uint8, zero before: 1 where a pair's slot was written.
    """
    groups = groups_of(raster.channels)
    planes = np.zeros(_FIRST + GROUP * groups * PLANE, np.float32)
    more, stage = np.zeros(TILE * LANES, np.float32), new_stage(groups)
    while True:
        tile = take_number(counter)
        if tile >= raster.tiles:
            return
        if drawn[tile] == 0:
            continue
        keys = pairs[starts[tile] : starts[tile + 1]]
        origin = (tile % raster.columns * TILE, tile // raster.columns * TILE)
        open_transmittance(planes, raster.height - origin[1], raster.width - origin[0])
        _, nearest = splat_of(keys[0])
        _pixel_gradients(planes, origin, raster, background, frame, gradients, nearest)
        _replay_tile(keys, drawn[tile], tile, splats, first_slot, raster, limits, planes, more, stage, slots, used)


@inlined
def _through_projection(i, lens, means, scales, sums, d_z, mean_gradient, scale_gradient):
    """Takes a splat's sums of p, p dx, p dy and p d^2, and its depth's gradient, to camera space."""
    fx, fy = np.float32(lens.fx), np.float32(lens.fy)
    x, y, near = element(means, 3 * i), element(means, 3 * i + 1), np.float32(1) / element(means, 3 * i + 2)
    spread = element(scales, i) * near
    inverse = np.float32(1) / (fx * fy * spread * spread + np.float32(lens.low_pass))  # 1 / variance
    d_x, d_y = element(sums, 1) * inverse * fx * near, element(sums, 2) * inverse * fy * near
    d_spread = element(sums, 3) * inverse * inverse * fx * fy * spread  # the variance's is p d^2 / (2 variance^2)
    put(mean_gradient, 3 * i, d_x)
    put(mean_gradient, 3 * i + 1, d_y)
    put(mean_gradient, 3 * i + 2, d_z - (d_x * x + d_y * y + d_spread * spread) * near)
    put(scale_gradient, i, d_spread * near)


@inlined
def _sum_slots(slots, used, first, last, size, sums):
    """Writes the sums over a range of slots; returns whether one of them was used."""
    seen = False
    for s in range(0, size, LANES):
        added = fill(np.float32(0))
        for slot in range(first, last):
            if element(used, slot):
                seen = True
                added = add(added, load(slots, slot * size + s))
        store(sums, s, added)
    return seen


@kernel
def gather_gradients(counter, chunks, means, scales, opacities, first_slot, slots, used, lens, raster, gradients):
    """Adds up every splat's slots and takes the sums to its parameters, in chunks until none is left.

    Args:
        counter: The next chunk's number; workers share it.
        chunks: How many chunks there are.
        means: ``(3 N,)`` float32; scales, opacities ``(N,)``.
        first_slot: ``(N + 1,)`` int64.
        slots: As `replay_tiles` left them; used likewise.
        lens: The camera.
        raster: The image.
        gradients: Out: means ``(3 N,)``, scales ``(N,)``, opacities ``(N,)``, colors ``(N C,)``.
    """
    mean_gradient, scale_gradient, opacity_gradient, color_gradient = gradients
    count, channels = scales.size, raster.channels
    size = slot_size(channels)
    sums = np.empty(size, np.float32)
    zero = np.float32(0)
    while True:
        chunk = take_number(counter)
        if chunk >= chunks:
            return
        for i in range(chunk * count // chunks, (chunk + 1) * count // chunks):
            seen = _sum_slots(slots, used, element(first_slot, i), element(first_slot, i + 1), size, sums)
            for c in range(channels):
                put(color_gradient, i * channels + c, element(sums, GEOMETRY_SLOTS + c))
            if seen:
                put(opacity_gradient, i, element(sums, 0) / element(opacities, i))
                d_z = element(sums, GEOMETRY_SLOTS + channels)
                _through_projection(i, lens, means, scales, sums, d_z, mean_gradient, scale_gradient)
            else:  # it may lie on the camera's plane, where the projection has no derivative
                put(mean_gradient, 3 * i, zero)
                put(mean_gradient, 3 * i + 1, zero)
                put(mean_gradient, 3 * i + 2, zero)
                put(scale_gradient, i, zero)
                put(opacity_gradient, i, zero)
