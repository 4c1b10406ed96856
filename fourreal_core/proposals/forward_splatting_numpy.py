"""Carrying pixels along a flow in plain NumPy: what ``forward_splatting_kernel`` does faster."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]


def splat(
    moves: Map, nearness: Map, values: Map, usable: NDArray[np.bool_], tear: float, out: Map, nearest: Map
) -> None:
    """See ``forward_splatting_kernel.splat``: all that lands, from far to near, so that the nearest is written last."""
    h, w = usable.shape
    y, x = np.nonzero(usable[:-1, :-1] & usable[:-1, 1:] & usable[1:, :-1] & usable[1:, 1:])
    across = np.abs(moves[y, x] - moves[y, x + 1]).sum(-1)
    down = np.abs(moves[y, x] - moves[y + 1, x]).sum(-1)
    whole = (across < tear) & (down < tear)  # else only the pixel itself lands, nothing between it and the next
    near, to, carried, turn = [], [], [], []
    for half in range(4):
        a, b = 0.5 * (half % 2), 0.5 * (half // 2)
        rows, columns = (y, x) if half == 0 else (y[whole], x[whole])
        shares = (1 - a) * (1 - b), a * (1 - b), (1 - a) * b, a * b
        corners = (rows, columns), (rows, columns + 1), (rows + 1, columns), (rows + 1, columns + 1)
        move = sum(share * moves[at].astype(np.float64) for share, at in zip(shares, corners, strict=True))
        near.append(sum(share * nearness[at].astype(np.float64) for share, at in zip(shares, corners, strict=True)))
        carried.append(sum(share * values[at].astype(np.float64) for share, at in zip(shares, corners, strict=True)))
        turn.append(4 * (rows * w + columns) + half)
        to.append(np.floor(np.stack([columns + a, rows + b], -1) + move + 0.5))
    nearness_there, places = np.concatenate(near), np.concatenate(to)
    inside = ((places >= 0) & (places < (w, h))).all(-1) & (nearness_there > 0)
    order = np.lexsort((-np.concatenate(turn), nearness_there))  # of what is equally near the first stays
    order = order[inside[order]]
    px, py = places[order].astype(np.int64).T
    nearest[py, px] = nearness_there[order]
    out[py, px] = np.concatenate(carried)[order]
