"""Numba kernel part that puts one tile's pairs in order of depth.

A radix sort from the least to the most significant bits in which the tile's depths differ. Every pass keeps the order
of equal digits and the keys come by rising index, so splats of equal depth stay in order of their indices.
"""

from __future__ import annotations

import numpy as np

from .compiling import inlined, part
from .simd import element, put

MAX_DIGITS = 1 << 12  # counters that a sort needs
_FEW, _SMALL = 24, 1024  # up to so many keys insertion sort is the fastest, and small digits are
_SMALL_WIDTH, _WIDTH = 8, 12  # bits of a digit
_LOW = np.uint64(32)  # the depth's bits lie above the splat's index


@inlined
def _bit_length(value):
    length = 0
    while value:
        value >>= np.uint64(1)
        length += 1
    return length


@inlined
def _insertion_sort(keys):
    for j in range(1, keys.size):
        key, place = element(keys, j), j
        while place > 0 and element(keys, place - 1) > key:
            put(keys, place, element(keys, place - 1))
            place -= 1
        put(keys, place, key)


@part
def _sort_by_digit(keys, least, shift, digits, counts, out):
    """Deals keys out to ``out`` by one digit of their distance from the least, keeping the order of equal digits."""
    mask = np.uint64(digits - 1)
    for digit in range(digits):
        put(counts, digit, np.uint32(0))
    for j in range(keys.size):
        digit = np.int64(((element(keys, j) - least) >> shift) & mask)
        put(counts, digit, element(counts, digit) + np.uint32(1))
    place = np.uint32(0)
    for digit in range(digits):
        number = element(counts, digit)
        put(counts, digit, place)
        place += number
    for j in range(keys.size):
        key = element(keys, j)
        digit = np.int64(((key - least) >> shift) & mask)
        place = element(counts, digit)
        put(out, np.int64(place), key)
        put(counts, digit, place + np.uint32(1))


@part
def sort_by_depth(keys, spare, counts):
    """Sorts one tile's keys.

    Args:
        keys: ``(n,)`` uint64 by rising index; sorted in place.
        spare: ``(n,)`` uint64, overwritten.
        counts: ``(MAX_DIGITS,)`` uint32, overwritten.
    """
    if keys.size <= _FEW:
        _insertion_sort(keys)
        return
    least, most = element(keys, 0), element(keys, 0)
    for j in range(keys.size):
        least, most = min(least, element(keys, j)), max(most, element(keys, j))
    least = least >> _LOW << _LOW
    bits = _bit_length((most - least) >> _LOW)
    widest = _SMALL_WIDTH if keys.size <= _SMALL else _WIDTH
    passes = (bits + widest - 1) // widest
    if passes == 0:
        return
    width = (bits + passes - 1) // passes
    source, target = keys, spare
    for k in range(passes):
        _sort_by_digit(source, least, _LOW + np.uint64(k * width), 1 << width, counts, target)
        source, target = target, source
    if passes % 2 == 1:
        for j in range(keys.size):
            put(keys, j, element(spare, j))
