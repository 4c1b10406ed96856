"""The photometric loss and its gradient in two compiled passes over bands of rows.

The first pass blurs what structural similarity is made of and keeps what its gradient needs; the second blurs that and
adds the absolute difference. Of the pictures x and t the sum s = x + t and the difference d = x - t are blurred, and
their squares: four blurs instead of five. Rows are taken as they lie in memory, channels beside each other, so a step
of one pixel is one of ``channels`` numbers. Bands don't depend on the number of threads, so neither does the result.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..rasterizer.compiling import inlined, kernel, part
from ..rasterizer.simd import (
    LANES,
    add,
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
    total,
)

TAPS, SIGMA, C1, C2 = 11, 1.5, 0.01**2, 0.03**2
REACH = TAPS // 2
BAND = 36
"""Rows that one worker does at a time; every band blurs ten more along the rows."""


class Frame(NamedTuple):
    """Sizes of a picture, and how its loss is weighed.

    Attributes:
        height: Rows.
        width: Columns.
        channels: Numbers in a pixel.
        ssim: Weight of a pixel's and channel's similarity.
        l1: Weight of its absolute difference.
    """

    height: int
    width: int
    channels: int
    ssim: float
    l1: float


class Layout(NamedTuple):
    """How rows lie in memory while they are worked on.

    Attributes:
        row: Numbers in a padded row.
        pad: Where a row's own numbers begin in it.
        blocks: Eights in which these are done; what is beyond them weighs nothing.
        size: Numbers in all padded rows.
    """

    row: int
    pad: int
    blocks: int
    size: int


def stride(frame: Frame) -> int:
    """Numbers in a padded row: as many zeros on either side as the window reaches, and room for whole lanes."""
    return frame.width * frame.channels + 2 * REACH * frame.channels + LANES


_stride = inlined(stride)


@inlined
def _layout(frame):
    row = _stride(frame)
    return Layout(row, REACH * frame.channels, (frame.width * frame.channels + LANES - 1) // LANES, frame.height * row)


@inlined
def _lanes_of(taps):
    """The window's taps in all lanes; taken out of memory once, since what a loop writes might be among them."""
    return (
        fill(element(taps, 0)),
        fill(element(taps, 1)),
        fill(element(taps, 2)),
        fill(element(taps, 3)),
        fill(element(taps, 4)),
        fill(element(taps, 5)),
    )


@inlined
def _blur_row(values, start, step, taps, ring, place, planes, blocks):
    """Blurs a padded row along itself, from ``start`` in values into every ``planes``-th eight of a ring's row."""
    for b in range(blocks):
        i = start + b * LANES
        s = mul(load(values, i), taps[0])
        for k in range(1, REACH + 1):
            s = mul_add(add(load(values, i - k * step), load(values, i + k * step)), taps[k], s)
        store(ring, place + b * planes * LANES, s)


@inlined
def _row_at(y, planes, blocks):
    """Where a picture's row lies in the ring: of what is blurred together eight numbers each, side by side."""
    return (y + TAPS) % TAPS * planes * blocks * LANES


@inlined
def _blur_column(ring, rows, at, taps):
    """The blur across rows of eight numbers, from ``at`` on in each of the ring's rows that the window has."""
    s = mul(load(ring, rows[REACH] + at), taps[0])
    for k in range(1, REACH + 1):
        s = mul_add(add(load(ring, rows[REACH - k] + at), load(ring, rows[REACH + k] + at)), taps[k], s)
    return s


@inlined
def _rows_about(y, planes, blocks):
    """Where the rows of the window about a row lie in the ring."""
    return (
        _row_at(y - 5, planes, blocks),
        _row_at(y - 4, planes, blocks),
        _row_at(y - 3, planes, blocks),
        _row_at(y - 2, planes, blocks),
        _row_at(y - 1, planes, blocks),
        _row_at(y, planes, blocks),
        _row_at(y + 1, planes, blocks),
        _row_at(y + 2, planes, blocks),
        _row_at(y + 3, planes, blocks),
        _row_at(y + 4, planes, blocks),
        _row_at(y + 5, planes, blocks),
    )


@inlined
def _fill_weights(counts, y, frame, pad, weights):
    """Each number of a row gets its pixel's weight; the padding stays zero."""
    for x in range(frame.width):
        w = element(counts, y * frame.width + x)
        for c in range(frame.channels):
            put(weights, pad + x * frame.channels + c, w)


@part
def _mixed_row(image, truth, y, frame, pad, rows, row):
    """Fills the padded rows with sum, difference and their squares."""
    count = frame.width * frame.channels
    start, i = y * count, 0
    while i + LANES <= count:
        x, t = load(image, start + i), load(truth, start + i)
        s, d, at = add(x, t), sub(x, t), pad + i
        store(rows, at, s)
        store(rows, row + at, d)
        store(rows, 2 * row + at, mul(s, s))
        store(rows, 3 * row + at, mul(d, d))
        i += LANES
    while i < count:
        x, t = element(image, start + i), element(truth, start + i)
        put(rows, pad + i, x + t)
        put(rows, row + pad + i, x - t)
        put(rows, 2 * row + pad + i, (x + t) * (x + t))
        put(rows, 3 * row + pad + i, (x - t) * (x - t))
        i += 1


@part
def _score_row(ring, y, layout, taps, mass_of, weights, gain, maps):
    """Similarity of a row, weighed and summed, and into the maps what its gradient is made of."""
    across, down = mass_of
    pad, size = layout.pad, layout.size
    half, one, two = fill(np.float32(0.5)), fill(np.float32(1)), fill(np.float32(2))
    c1, c2, factor, upright = fill(np.float32(C1)), fill(np.float32(C2)), fill(gain), fill(element(down, y))
    summed, window = fill(np.float32(0)), _rows_about(y, 4, layout.blocks)
    for b in range(layout.blocks):
        at, mixed = pad + b * LANES, 4 * b * LANES
        mass = mul(load(across, at), upright)
        ms = mul(_blur_column(ring, window, mixed, taps), mass)
        md = mul(_blur_column(ring, window, mixed + LANES, taps), mass)
        vs = mul(_blur_column(ring, window, mixed + 2 * LANES, taps), mass)
        vd = mul(_blur_column(ring, window, mixed + 3 * LANES, taps), mass)
        ss, dd = mul(ms, ms), mul(md, md)
        vs, vd = sub(vs, ss), sub(vd, dd)
        a1, b1 = mul_add(half, sub(ss, dd), c1), mul_add(half, add(ss, dd), c1)
        a2, b2 = mul_add(half, sub(vs, vd), c2), mul_add(half, add(vs, vd), c2)
        below = div(one, mul(b1, b2))
        by_a1, by_a2 = mul(a2, below), mul(a1, below)
        score = mul(a1, by_a1)
        by_b1, by_b2 = mul(score, mul(b2, below)), mul(score, mul(b1, below))  # both with their sign turned
        weight = load(weights, at)
        summed = mul_add(weight, score, summed)
        weight = mul(mul(weight, factor), mass)
        by_s = mul(ms, add(sub(by_a1, by_b1), sub(by_b2, by_a2)))
        by_d = mul(md, sub(add(by_a2, by_b2), add(by_a1, by_b1)))
        place = y * layout.row + at
        store(maps, place, mul(weight, add(by_s, by_d)))
        store(maps, size + place, mul(weight, mul(two, sub(fill(np.float32(0)), by_b2))))
        store(maps, 2 * size + place, mul(weight, mul(two, by_a2)))
    return total(summed)


@kernel
def score_bands(counter, pictures, frame, window, maps, sums):
    """First pass: similarity, and the maps of its gradient, band by band until none is left.

    Args:
        counter: The next band's number; workers share it.
        pictures: Image and truth ``(H W C,)`` float32, and how much every pixel counts ``(H W,)`` float32.
        frame: Sizes and weights.
        window: Float32, the window from its middle ``(6,)``, and one over the mass of it that lies in the picture,
            along a padded row and ``(H,)`` across rows.
        maps: Out, three times H padded rows; zero in the padding before.
        sums: Out, a row of two for every band; the first is the sum of similarity.
    """
    image, truth, counts = pictures
    layout, step = _layout(frame), frame.channels
    row, pad, blocks, _ = layout
    rows, ring = np.zeros(4 * row, np.float32), np.zeros(4 * TAPS * blocks * LANES, np.float32)
    weights = np.zeros(row, np.float32)
    gain, taps, mass_of = np.float32(frame.ssim), _lanes_of(window[0]), (window[1], window[2])
    while True:
        band = take_number(counter)
        first, last = band * BAND, min((band + 1) * BAND, frame.height)
        if first >= frame.height:
            return
        found = 0.0
        for y in range(first - REACH, last + REACH):
            place = _row_at(y, 4, blocks)
            if 0 <= y < frame.height:
                _mixed_row(image, truth, y, frame, pad, rows, row)
                for q in range(4):
                    _blur_row(rows, q * row + pad, step, taps, ring, place + q * LANES, 4, blocks)
            else:
                ring[place : place + 4 * blocks * LANES] = 0
            centre = y - REACH
            if centre >= first:
                _fill_weights(counts, centre, frame, pad, weights)
                found += _score_row(ring, centre, layout, taps, mass_of, weights, gain, maps)
        put(sums, 2 * band, found)


@part
def _gradient_row(ring, y, layout, taps, pictures, weights, l1, out):
    """The gradient of a row, and its absolute difference weighed and summed."""
    nothing, gain = fill(np.float32(0)), fill(l1)
    summed, window = nothing, _rows_about(y, 3, layout.blocks)
    for b in range(layout.blocks):
        at, mixed = layout.pad + b * LANES, 3 * b * LANES
        x, t, weight = load(pictures, at), load(pictures, layout.row + at), load(weights, at)
        d = sub(x, t)
        summed = mul_add(weight, sub(nothing, smaller(d, sub(nothing, d))), summed)
        sign = mul(gain, sub(keep(more_than(d, nothing), weight), keep(more_than(nothing, d), weight)))
        g = add(sign, _blur_column(ring, window, mixed, taps))
        g = mul_add(x, _blur_column(ring, window, mixed + LANES, taps), g)
        store(out, at, mul_add(t, _blur_column(ring, window, mixed + 2 * LANES, taps), g))
    return total(summed)


@kernel
def gradient_bands(counter, pictures, frame, window, maps, gradient, sums):
    """Second pass: the gradient and the absolute difference, band by band until none is left.

    Args:
        counter: The next band's number; workers share it.
        pictures: Image and truth ``(H W C,)`` float32, and how much every pixel counts ``(H W,)`` float32.
        frame: Sizes and weights.
        window: As for the first pass.
        maps: As the first pass left them.
        gradient: Out, ``(H W C,)`` float32, for the image.
        sums: Out, a row of two for every band; the second is the sum of absolute differences.
    """
    image, truth, counts = pictures
    layout, step, count = _layout(frame), frame.channels, frame.width * frame.channels
    row, pad, blocks, size = layout
    padded, ring = np.zeros(2 * row, np.float32), np.zeros(3 * TAPS * blocks * LANES, np.float32)
    weights, out = np.zeros(row, np.float32), np.zeros(row, np.float32)
    l1, taps = np.float32(frame.l1), _lanes_of(window[0])
    while True:
        band = take_number(counter)
        first, last = band * BAND, min((band + 1) * BAND, frame.height)
        if first >= frame.height:
            return
        found = 0.0
        for y in range(first - REACH, last + REACH):
            place = _row_at(y, 3, blocks)
            if 0 <= y < frame.height:
                for q in range(3):
                    _blur_row(maps, q * size + y * row + pad, step, taps, ring, place + q * LANES, 3, blocks)
            else:
                ring[place : place + 3 * blocks * LANES] = 0
            centre = y - REACH
            if centre >= first:
                _fill_weights(counts, centre, frame, pad, weights)
                start = centre * count
                padded[pad : pad + count] = image[start : start + count]
                padded[row + pad : row + pad + count] = truth[start : start + count]
                found += _gradient_row(ring, centre, layout, taps, padded, weights, l1, out)
                gradient[start : start + count] = out[pad : pad + count]
        put(sums, 2 * band + 1, found)
