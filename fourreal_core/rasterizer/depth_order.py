"""Numba kernels that put one tile's pairs in order of depth, lazily.

A first pass over a tile's keys deals them out to buckets of rising depth. A bucket is sorted only when the tile's
compositing gets to it, which it does not once all of the tile's pixels are opaque.
"""

from __future__ import annotations

import numpy as np

from .compiling import inlined, part

MAX_BUCKETS = 2048
_PER_BUCKET = 4  # keys that a bucket has on average
_INSERTION = 32  # up to this many, insertion sort is the fastest
_LOW = np.uint64(32)  # the depth's bits lie above the splat's index


@inlined
def _bit_length(value):
    length = 0
    while value:
        value >>= np.uint64(1)
        length += 1
    return length


@part
def deal_to_buckets(pairs, start, stop, dealt, ends):
    """Deals ``pairs[start:stop]`` out to buckets of rising depth, keeping the order within each.

    Args:
        pairs: Keys.
        start: First of the tile's keys.
        stop: One behind its last.
        dealt: Out, the keys bucket by bucket, from 0 on.
        ends: Out, ``(MAX_BUCKETS + 1,)``: where in ``dealt`` each bucket ends.

    Returns:
        The number of buckets.
    """
    least, most = pairs[start], pairs[start]
    for j in range(start, stop):
        least, most = min(least, pairs[j]), max(most, pairs[j])
    least >>= _LOW
    buckets = 1
    while buckets < MAX_BUCKETS and buckets * _PER_BUCKET < stop - start:
        buckets *= 2
    shift = np.uint64(max(0, _bit_length((most >> _LOW) - least) - _bit_length(np.uint64(buckets)) + 1))
    for b in range(buckets + 1):
        ends[b] = 0
    for j in range(start, stop):
        ends[np.int64(((pairs[j] >> _LOW) - least) >> shift) + 1] += 1
    for b in range(buckets):
        ends[b + 1] += ends[b]
    for j in range(start, stop):
        b = np.int64(((pairs[j] >> _LOW) - least) >> shift)
        dealt[ends[b]] = pairs[j]
        ends[b] += 1
    return buckets


@part
def sort_bucket(dealt, low, high, pairs, start):
    """Sorts ``dealt[low:high]`` into ``pairs[start + low:start + high]``."""
    if high - low > _INSERTION:
        _radix_sort(dealt, low, high, pairs, start)
        return
    for j in range(low, high):
        key, place = dealt[j], start + j
        while place > start + low and pairs[place - 1] > key:
            pairs[place] = pairs[place - 1]
            place -= 1
        pairs[place] = key


@part
def _radix_sort(dealt, low, high, pairs, start):
    """Sorts a bucket's keys, which come in order of their indices, by the bits in which their depths differ."""
    differing = np.uint64(0)
    for j in range(low, high):
        differing |= (dealt[j] ^ dealt[low]) >> _LOW
    digits = (_bit_length(differing) + 7) // 8
    ends = np.empty(257, np.int64)
    for digit in range(digits):
        shift = _LOW + np.uint64(8 * digit)
        ends[:] = 0
        for j in range(low, high):
            ends[np.int64((dealt[j] >> shift) & np.uint64(255)) + 1] += 1
        for b in range(256):
            ends[b + 1] += ends[b]
        for j in range(low, high):
            b = np.int64((dealt[j] >> shift) & np.uint64(255))
            pairs[start + low + ends[b]] = dealt[j]
            ends[b] += 1
        for j in range(low, high):
            dealt[j] = pairs[start + j]
    for j in range(low, high):
        pairs[start + j] = dealt[j]
