"""Floors that a model has to beat on a grid of which row 0 and column 0 are known: only copies and 2D flow."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..flow.engines import DisFlow
from ..flow.flow_field import to_gray, warp


def floors(frames: Tensor) -> dict[str, Tensor]:
    """Completions ``(V, T, H, W, 3)`` of a grid by simple rules; only row 0 and column 0 are looked at.

    Args:
        frames: ``(V, T, H, W, 3)`` in ``[0, 1]``.

    Returns:
        ``copy``: the freeze-time frame of the view. ``additive``: that plus the change of the fixed-view video.
        ``flow in time``: the freeze-time frame moved by the fixed-view video's flow. ``flow in view``: the fixed-view
        frame moved by the freeze-time video's flow. ``mean of flows``: half of each.
    """
    column, row = frames[:, :1], frames[:1]
    in_time = _moved(frames[:, 0], frames[0])
    in_view = _moved(frames[0], frames[:, 0]).transpose(0, 1)
    return {
        "copy": column.expand_as(frames),
        "additive": (column + row - frames[:1, :1]).clamp(0, 1),
        "flow in time": in_time,
        "flow in view": in_view,
        "mean of flows": (in_time + in_view) / 2,
    }


def _moved(still: Tensor, moving: Tensor) -> Tensor:
    """Pictures ``still (A, H, W, 3)`` moved as ``moving (B, H, W, 3)`` moves from its first frame, ``(A, B, ...)``."""
    engine, grays = DisFlow(), to_gray(moving)
    pictures = still.numpy()
    columns = [still]
    for gray in grays[1:]:
        backward = engine(gray, grays[0])  # at the later frame's pixels
        columns.append(torch.from_numpy(np.stack([warp(picture, backward) for picture in pictures])))
    return torch.stack(columns, 1).clamp(0, 1)
