"""The compiled loop over pixels that compares the candidates of a cell with each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled, part
from . import candidate_features_numpy

Map = NDArray[np.float32]
Real = np.float32


@compiled(candidate_features_numpy.compare)
def compare(
    measured: Map, colors: Map, flows: Map, across: Map, scale: Real, most: Real, out: Map, leads: NDArray[np.bool_]
) -> None:
    """Fills the features that need no window (see candidate_features.OF_EACH), plus 1, before their logarithms.

    ``measured (10, K, H, W)``: photometric errors in three windows, errors of match, view, return and row itself,
    distance to the row's colour, gradients of flow and colour. ``scale``: pixels of a picture a pixel of the reference.
    ``most``: that an error counts. ``leads (K, H, W)``: whether a candidate has the lowest error of all.
    """
    count, h, w, channels = colors.shape
    middle = np.empty(count, np.float32)
    here = np.empty((count, channels), np.float32)
    color, flow = np.empty(channels, np.float32), np.empty(2, np.float32)
    one, gray = np.float32(1), np.float32(255.0) / np.float32(channels)
    for y in range(h):
        for x in range(w):
            for k in range(count):
                for c in range(channels):
                    here[k, c] = gray * colors[k, y, x, c]
            spread = np.float32(0)
            for c in range(channels):
                mean = np.float32(0)
                for k in range(count):
                    middle[k] = here[k, c]
                    mean += middle[k]
                mean /= np.float32(count)
                off = np.float32(0)
                for k in range(count):
                    off += (middle[k] - mean) ** 2
                spread += np.sqrt(off / np.float32(count))
                color[c] = _median(middle)
            for c in range(2):
                for k in range(count):
                    middle[k] = flows[k, y, x, c]
                flow[c] = _median(middle)
            least, second = np.float32(np.inf), np.float32(np.inf)
            for k in range(count):
                error = min(measured[1, k, y, x], most)
                if error < least:
                    least, second = error, least
                elif error < second:
                    second = error
            for k in range(count):
                from_median, from_render = np.float32(0), np.float32(0)
                for c in range(channels):
                    from_median += abs(here[k, c] - color[c])
                    from_render += abs(here[k, c] - here[count - 1, c])
                away = _length(flows[k, y, x, 0] - flow[0], flows[k, y, x, 1] - flow[1]) / scale
                error = min(measured[1, k, y, x], most)
                lead = (second if error <= least else least) - error
                for n in range(7):
                    out[k, y, x, n] = one + min(measured[n, k, y, x], most)
                out[k, y, x, 7] = one + min(from_median, most)
                out[k, y, x, 8] = one + min(from_render, most)
                out[k, y, x, 9] = one + min(measured[7, k, y, x], most)
                out[k, y, x, 11] = one + min(away, most)
                out[k, y, x, 12] = one + min(measured[8, k, y, x], most)
                out[k, y, x, 13] = one + min(measured[9, k, y, x], most)
                out[k, y, x, 14] = one + min(_length(flows[k, y, x, 0], flows[k, y, x, 1]) / scale, most)
                out[k, y, x, 15] = one + min(_length(across[k, y, x, 0], across[k, y, x, 1]) / scale, most)
                out[k, y, x, 16] = one + min(least, most)
                out[k, y, x, 17] = one + min(abs(lead), most)
                out[k, y, x, 18] = one + min(spread, most)
                leads[k, y, x] = error <= least


@part
def _length(x: Real, y: Real) -> Real:
    length: Real = np.sqrt(x * x + y * y)
    return length


@part
def _median(values: Map) -> Real:
    """Sorts a few values in place."""
    count = len(values)
    for k in range(1, count):
        value, j = values[k], k
        while j > 0 and values[j - 1] > value:
            values[j] = values[j - 1]
            j -= 1
        values[j] = value
    half = count // 2
    middle: Real = values[half] if count % 2 else np.float32(0.5) * (values[half - 1] + values[half])
    return middle
