"""A frame grid as the grid preview takes it: every filled cell as a picture, in the viewer's container."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from ..grid import FrameGrid
from ..media.images import resize, to_uint8, webp_bytes
from ..progress import OnStep, no_progress
from .payload import container

FORMAT = "fourreal-grid"
VERSION = 1


def grid_payload(grid: FrameGrid, longest_side: int = 640, on_step: OnStep = no_progress) -> bytes:
    """Packs a grid; cells that are neither known nor filled are left out.

    Args:
        grid: What to show.
        longest_side: Pictures are made smaller to this many pixels.
        on_step: Progress, one step a cell.
    """
    height, width = grid.size
    factor = min(1.0, longest_side / max(height, width))
    size = (max(1, round(height * factor)), max(1, round(width * factor)))
    head = {
        "format": FORMAT,
        "version": VERSION,
        "views": grid.views,
        "times": grid.times,
        "size": list(size),
        "known": grid.known.nonzero().tolist(),
    }
    return container(head, _cells(grid, size, on_step))


def _cells(grid: FrameGrid, size: tuple[int, int], on_step: OnStep) -> Iterator[tuple[dict[str, Any], bytes]]:
    filled = grid.known | (grid.frames.flatten(2) != 0).any(-1)
    order = torch.cat([grid.known.nonzero(), (filled & ~grid.known).nonzero()])  # what was given shows first
    for done, (v, t) in enumerate(order.tolist(), start=1):
        picture = resize(to_uint8(grid.frames[v, t]), size)
        yield {"kind": "frame", "view": v, "time": t, "type": "image/webp"}, webp_bytes(picture)
        on_step(done, len(order))
