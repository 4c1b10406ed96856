"""The compiled loop that carries the pixels of a picture to where a flow leads them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled
from . import forward_splatting_numpy

Map = NDArray[np.float32]


@compiled(forward_splatting_numpy.splat)
def splat(
    moves: Map, nearness: Map, values: Map, usable: NDArray[np.bool_], tear: float, out: Map, nearest: Map
) -> None:
    """Writes values to where moves lead; of what lands in one pixel the nearest stays (see forward_splatting)."""
    h, w, channels = values.shape
    at = np.empty(channels, np.float32)
    for y in range(h - 1):
        for x in range(w - 1):
            if not (usable[y, x] and usable[y, x + 1] and usable[y + 1, x] and usable[y + 1, x + 1]):
                continue
            across = abs(moves[y, x, 0] - moves[y, x + 1, 0]) + abs(moves[y, x, 1] - moves[y, x + 1, 1])
            down = abs(moves[y, x, 0] - moves[y + 1, x, 0]) + abs(moves[y, x, 1] - moves[y + 1, x, 1])
            whole = across < tear and down < tear  # else only the pixel itself lands, nothing between it and the next
            for j in range(2 if whole else 1):
                for i in range(2 if whole else 1):
                    a, b = np.float32(0.5 * i), np.float32(0.5 * j)
                    w00, w01, w10, w11 = (1 - a) * (1 - b), a * (1 - b), (1 - a) * b, a * b
                    to_x = x + a + w00 * moves[y, x, 0] + w01 * moves[y, x + 1, 0]
                    to_x += w10 * moves[y + 1, x, 0] + w11 * moves[y + 1, x + 1, 0]
                    to_y = y + b + w00 * moves[y, x, 1] + w01 * moves[y, x + 1, 1]
                    to_y += w10 * moves[y + 1, x, 1] + w11 * moves[y + 1, x + 1, 1]
                    px, py = int(np.floor(to_x + 0.5)), int(np.floor(to_y + 0.5))
                    if px < 0 or px >= w or py < 0 or py >= h:
                        continue
                    near = w00 * nearness[y, x] + w01 * nearness[y, x + 1]
                    near += w10 * nearness[y + 1, x] + w11 * nearness[y + 1, x + 1]
                    if near <= nearest[py, px]:
                        continue
                    nearest[py, px] = near
                    for c in range(channels):
                        at[c] = w00 * values[y, x, c] + w01 * values[y, x + 1, c]
                        at[c] += w10 * values[y + 1, x, c] + w11 * values[y + 1, x + 1, c]
                        out[py, px, c] = at[c]
