"""A wall video cut into its views again; see media.contact_sheets.grid_wall."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InputError

GAP_PX = 4
"""Between the views of a wall, and around them."""
_BACKGROUND = 0.09
_GAP_TOLERANCE = 0.03
"""Mean difference from the background up to which a strip is a gap: what a video codec leaves of it."""
_MIRRORED = 0.1
"""Two frames are one, played forward and backward, up to this share of the largest squared change in the video."""
_STILL = 1e-4
"""Mean squared change below which a video stands still."""
_MOST = 64


def split_wall(wall: Tensor, views: int | None = None, times: int | None = None) -> Tensor:
    """The views of a wall as a grid.

    Args:
        wall: ``(F, H, W, 3)``, as ``grid.mp4`` of a run: views side by side with gaps between them, forward and
            backward in time.
        views: How many; those that are not background when None.
        times: How many frames count; when None all up to where the video turns back.

    Returns:
        ``(V, T, h, w, 3)``.

    Raises:
        InputError: No gaps, or another number of views than was said.
    """
    rows, columns = _count(wall.mean(0), 0), _count(wall.mean(0), 1)
    if rows < 1 or columns < 1:
        raise InputError(
            f"a video of {wall.shape[2]} x {wall.shape[1]} pixels without the gaps of a wall",
            "the wall video of a run, grid.mp4",
            "give the folder of its cells, or one video a view",
        )
    if times is None:
        times = _turning(wall)
    if not 1 <= times <= len(wall):
        raise InputError(f"{times} times of a wall of {len(wall)} frames", f"1 to {len(wall)}", "check --times")
    h, w = _cell(wall.shape[1], rows), _cell(wall.shape[2], columns)
    found = []
    for k in range(rows * columns):
        y, x = (GAP_PX + (k // columns) * (h + GAP_PX), GAP_PX + (k % columns) * (w + GAP_PX))
        cell = wall[:times, y : y + h, x : x + w]
        if float((cell - _BACKGROUND).abs().mean()) < _GAP_TOLERANCE:
            break
        found.append(cell)
    if views is not None and len(found) != views:
        raise InputError(f"a wall of {len(found)} views", f"{views}", "check --views")
    return torch.stack(found)


def _cell(side: int, count: int) -> int:
    return (side - GAP_PX) // count - GAP_PX


def _count(picture: Tensor, axis: int) -> int:
    """Rows (axis 0) or columns (axis 1) of a wall: the most whose gaps all are background; 0 where there are none."""
    strips = (picture - _BACKGROUND).abs().mean(dim=(1 - axis, 2))
    for count in range(min(_MOST, len(strips) // (2 * GAP_PX)), 0, -1):
        cell = _cell(len(strips), count)
        if (len(strips) - GAP_PX) % count > 1:  # codecs pad an odd side by one
            continue
        starts = [k * (cell + GAP_PX) for k in range(count + 1)]
        if max(float(strips[s : s + GAP_PX].mean()) for s in starts) < _GAP_TOLERANCE and cell > 0:
            return count
    return 0


def _turning(wall: Tensor) -> int:
    """Frames of a video until it plays backward: the fewest that mirror; all where it doesn't."""
    small = wall[:, ::4, ::4]
    apart = ((small - small[:1]) ** 2).flatten(1).mean(1)
    if float(apart.max()) < _STILL:
        raise InputError(
            f"a wall of {len(wall)} equal frames",
            "one that moves, or the number of its times",
            "say --times, for example 8",
        )
    tolerance = _MIRRORED * float(apart.max())
    for times in range(2, len(wall) // 2 + 2):
        period = 2 * (times - 1)
        mirrored = [(k, period - k) for k in range(times, min(period + 1, len(small)))]
        repeated = [(k, k - period) for k in range(period, len(small))]
        if all(float(((small[a] - small[b]) ** 2).mean()) < tolerance for a, b in mirrored + repeated):
            return times
    return len(wall)
