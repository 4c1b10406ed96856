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
from .compositing import (
    ALL_CELLS,
    CHECK_EVERY,
    GROUP,
    PLANE,
    STRIDE,
    attributes_of,
    box_in_tile,
    cells_under,
    column_profile,
    fetch_ahead,
    groups_of,
    limit_lanes,
    open_cells,
    open_transmittance,
)
from .simd import (
    LANES,
    add,
    at_least,
    both,
    div,
    exp2,
    fill,
    keep,
    lane_numbers,
    load,
    mul,
    mul_add,
    smaller,
    store,
    sub,
    take_number,
    total,
    totals,
)

GEOMETRY_SLOTS = 4  # a slot's first numbers: gradients of opacity, u, v and variance; those of the attributes follow
_REST, _CONSTANT, _FIRST = PLANE, 2 * PLANE, 3 * PLANE  # planes behind the transmittance's


@part
def slot_size(channels):
    """Numbers in a pair's slot, a whole number of lanes."""
    return (GEOMETRY_SLOTS + GROUP * groups_of(channels) + LANES - 1) // LANES * LANES


@inlined
def _pixel_gradients(planes, origin, raster, background, frame, frame_gradients, nearest):
    """Fills the planes with L per pixel, and with the parts of q: a constant and a factor of each attribute.

    Depths count from the tile's nearest splat: q has the difference of two depths, and loses fewer digits so.
    """
    left, top = origin
    image, alpha, depth = frame
    image_gradient, alpha_gradient, depth_gradient = frame_gradients
    channels = raster.channels
    for y in range(min(TILE, raster.height - top)):
        for x in range(min(TILE, raster.width - left)):
            at, pixel = y * STRIDE + x, (top + y) * raster.width + left + x
            covered = alpha[pixel]
            constant = alpha_gradient[pixel]
            rest = constant * covered  # depth's share is 0: it is a mean, and unchanged if all weights grow alike
            for c in range(channels):
                g = image_gradient[pixel * channels + c]
                planes[_FIRST + c * PLANE + at] = g
                rest += g * (image[pixel * channels + c] - background[c])
                constant -= g * background[c]
            share = depth_gradient[pixel] / covered if covered > 0 else np.float32(0)
            planes[_FIRST + channels * PLANE + at] = share
            planes[_REST + at] = rest
            planes[_CONSTANT + at] = constant - share * (depth[pixel] - nearest)


@inlined
def _more_of_q(planes, more, x, y0, y1, attributes, groups):
    """Writes what the attributes beyond the first group add to q, a row after another."""
    for y in range(y0, y1):
        q = fill(np.float32(0))
        for g in range(GROUP, groups * GROUP):
            q = mul_add(fill(attributes[g]), load(planes, _FIRST + g * PLANE + y * STRIDE + x), q)
        store(more, y * LANES, q)


@inlined
def _more_attribute_sums(planes, more, x, y0, y1, groups, slots, slot):
    """Adds the gradients of the attributes beyond the first group, from the weights that `_replay_columns` left."""
    for g in range(GROUP, groups * GROUP):
        s = fill(np.float32(0))
        for y in range(y0, y1):
            s = mul_add(load(more, y * LANES), load(planes, _FIRST + g * PLANE + y * STRIDE + x), s)
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
def _replay_columns(planes, more, profile, across, x, y0, y1, v, attributes, limits, many):
    """Replays a splat over eight columns of its box.

    Returns:
        Lane by lane: sums of ``a dL/da``, of it times dy and times dy^2, and of the first four attributes' gradients.
    """
    group = fill(attributes[0]), fill(attributes[1]), fill(attributes[2]), fill(attributes[3])
    p0 = p1 = p2 = s0 = s1 = s2 = s3 = more_of_q = fill(np.float32(0))
    for y in range(y0, y1):
        if many:
            more_of_q = load(more, y * LANES)
        raw = mul(across, fill(profile[y]))
        weight, p, g0, g1, g2, g3 = _replay_row(planes, y * STRIDE + x, raw, more_of_q, limits, group)
        if many:
            store(more, y * LANES, weight)
        dy = fill(np.float32(y) + np.float32(0.5) - v)
        pdy = mul(p, dy)
        p0, p1, p2 = add(p0, p), add(p1, pdy), mul_add(pdy, dy, p2)
        s0, s1 = mul_add(weight, g0, s0), mul_add(weight, g1, s1)
        s2, s3 = mul_add(weight, g2, s2), mul_add(weight, g3, s3)
    return p0, p1, p2, s0, s1, s2, s3


@inlined
def _replay_splat(i, depth, slot, box, origin, splats, channels, limits, planes, scratch, slots):
    """Replays one splat in one tile and writes its slot."""
    geometry, boxes, colors = splats
    profile, more, attributes, factors = scratch
    x0, x1, y0, y1 = box
    groups = groups_of(channels)
    u, v = geometry[4 * i] - np.float32(origin[0]), geometry[4 * i + 1] - np.float32(origin[1])
    factor, opacity = geometry[4 * i + 2], geometry[4 * i + 3]
    column_profile(profile, y0, y1, v, factor, opacity)
    attributes_of(i, depth, colors, channels, attributes)
    for s in range(slot + LANES, slot + slot_size(channels)):
        slots[s] = 0
    a = px = py = pd = s0 = s1 = s2 = s3 = fill(np.float32(0))
    for x in range(x0, x1, LANES):
        dx = add(lane_numbers(), fill(np.float32(x) + np.float32(0.5) - u))
        across = exp2(mul(fill(factor), mul(dx, dx)))
        if groups > 1:
            _more_of_q(planes, more, x, y0, y1, attributes, groups)
        p0, p1, p2, t0, t1, t2, t3 = _replay_columns(
            planes, more, profile, across, x, y0, y1, v, attributes, limits, groups > 1
        )
        pdx = mul(p0, dx)
        a, px, py, pd = add(a, p0), add(px, pdx), add(py, p1), add(pd, mul_add(pdx, dx, p2))
        s0, s1, s2, s3 = add(s0, t0), add(s1, t1), add(s2, t2), add(s3, t3)
        if groups > 1:
            _more_attribute_sums(planes, more, x, y0, y1, groups, slots, slot)
    inverse = factor * np.float32(-2 * np.log(2))  # 1 / variance
    factors[0], factors[1], factors[2] = np.float32(1) / opacity, inverse, inverse
    factors[3] = np.float32(0.5) * inverse * inverse
    store(slots, slot, mul(load(factors, 0), totals(a, px, py, pd, s0, s1, s2, s3)))


@part
def _replay_tile(pairs, start, stop, tile, splats, first_slot, raster, limits, planes, scratch, slots, used):
    """Replays a tile's pairs that were drawn."""
    column, row = tile % raster.columns, tile // raster.columns
    origin = (column * TILE, row * TILE)
    boxes, size = splats[1], slot_size(raster.channels)
    lanes = limit_lanes(limits)
    cells = ALL_CELLS
    _, nearest = splat_of(pairs[start])
    for j in range(start, stop):
        if (j - start) % CHECK_EVERY == 0:
            cells = open_cells(planes, limits.min_transmittance)
        fetch_ahead(pairs, j, stop, splats, raster.channels)
        i, z = splat_of(pairs[j])
        box = box_in_tile(boxes, i, origin[0], origin[1])
        if not cells_under(box[0], box[1], box[2], box[3]) & cells:
            continue
        first_column, columns, first_row, _ = tile_box(boxes, i)
        slot = first_slot[i] + (row - first_row) * columns + column - first_column
        used[slot] = 1
        _replay_splat(i, z - nearest, slot * size, box, origin, splats, raster.channels, lanes, planes, scratch, slots)


@kernel
def replay_tiles(
    counter, pairs, starts, drawn, splats, first_slot, raster, limits, background, frame, gradients, slots, used
):
    """Replays tiles until none is left.

    Args:
        counter: The next tile's number; workers share it.
        pairs: ``(P,)`` uint64 keys, sorted as far as they were drawn.
        starts: ``(tiles + 1,)`` int64.
        drawn: ``(tiles,)`` int64.
        splats: geometry ``(4 N,)``, boxes ``(4 N,)``, colors ``(N C,)``.
        first_slot: ``(N,)`` int64.
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
    scratch = (
        np.zeros(STRIDE, np.float32),
        np.zeros(TILE * LANES, np.float32),
        np.zeros(GROUP * groups, np.float32),
        np.ones(LANES, np.float32),
    )
    while True:
        tile = take_number(counter)
        if tile >= raster.tiles:
            return
        start, stop = starts[tile], starts[tile] + drawn[tile]
        if start == stop:
            continue
        origin = (tile % raster.columns * TILE, tile // raster.columns * TILE)
        open_transmittance(planes, raster.height - origin[1], raster.width - origin[0])
        _, nearest = splat_of(pairs[start])
        _pixel_gradients(planes, origin, raster, background, frame, gradients, nearest)
        _replay_tile(pairs, start, stop, tile, splats, first_slot, raster, limits, planes, scratch, slots, used)


@inlined
def _through_projection(i, lens, means, scales, d_u, d_v, d_variance, d_z, mean_gradient, scale_gradient):
    """Takes a splat's gradients from the image to camera space."""
    fx, fy = np.float32(lens.fx), np.float32(lens.fy)
    x, y, z = means[3 * i], means[3 * i + 1], means[3 * i + 2]
    d_x, d_y = d_u * fx / z, d_v * fy / z
    d_spread = d_variance * np.float32(2) * fx * fy * scales[i] / z  # of scale / z, less the factor 1 / z
    mean_gradient[3 * i] = d_x
    mean_gradient[3 * i + 1] = d_y
    mean_gradient[3 * i + 2] = d_z - (d_x * x + d_y * y + d_spread * scales[i] / z) / z
    scale_gradient[i] = d_spread / z


@inlined
def _sum_slots(slots, used, first, last, sums):
    """Writes the sums over a range of slots; returns whether one of them was used."""
    seen = False
    for s in range(0, sums.size, LANES):
        added = fill(np.float32(0))
        for slot in range(first, last):
            if used[slot]:
                seen = True
                added = add(added, load(slots, slot * sums.size + s))
        store(sums, s, added)
    return seen


@kernel
def gather_gradients(counter, chunks, means, scales, boxes, first_slot, slots, used, lens, raster, gradients):
    """Adds up every splat's slots and takes the sums to its parameters, in chunks until none is left.

    Args:
        counter: The next chunk's number; workers share it.
        chunks: How many chunks there are.
        means: ``(3 N,)`` float32; scales ``(N,)``.
        boxes: ``(4 N,)`` int16.
        first_slot: ``(N,)`` int64.
        slots: As `replay_tiles` left them; used likewise.
        lens: The camera.
        raster: The image.
        gradients: Out: means ``(3 N,)``, scales ``(N,)``, opacities ``(N,)``, colors ``(N C,)``.
    """
    mean_gradient, scale_gradient, opacity_gradient, color_gradient = gradients
    count, channels = scales.size, raster.channels
    size = slot_size(channels)
    sums = np.empty(size, np.float32)
    while True:
        chunk = take_number(counter)
        if chunk >= chunks:
            return
        for i in range(chunk * count // chunks, (chunk + 1) * count // chunks):
            _, columns, _, rows = tile_box(boxes, i)
            seen = _sum_slots(slots, used, first_slot[i], first_slot[i] + columns * rows, sums)
            opacity_gradient[i] = sums[0]
            for c in range(channels):
                color_gradient[i * channels + c] = sums[GEOMETRY_SLOTS + c]
            if seen:
                _through_projection(
                    i, lens, means, scales, sums[1], sums[2], sums[3], sums[GEOMETRY_SLOTS + channels],
                    mean_gradient, scale_gradient,
                )  # fmt: skip
            else:  # it may lie on the camera's plane, where the projection has no derivative
                mean_gradient[3 * i] = mean_gradient[3 * i + 1] = mean_gradient[3 * i + 2] = scale_gradient[i] = 0
