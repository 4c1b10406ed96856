"""Points of different keyframes that are one surface become one.

Keyframes start points where no earlier keyframe's depth showed the surface already. Where two depths disagree by a
little more than that test allows, the surface is there twice, as a shell before or behind itself. A view that both were
tracked into shows it: there they lie on one ray and nearly at one depth.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..cameras import inside_image, project
from ..tracking.tracks import Tracks

CELL_PX = 1.0
"""Side in pixels of the cells of a view's picture within which points may be one."""
SAME_SURFACE = 0.1
"""Largest relative difference of their depths."""


def merge_keyframes(tracks: Tracks) -> Tensor:
    """Which points stay ``(N,)`` bool: all of the keyframe with the most, and of others what the ones before lack.

    A point is dropped where, in a view that sees both, a point of a keyframe before it lies in the same cell of the
    picture at nearly the same depth. Keyframes count in the order of how many points they gave.

    Args:
        tracks: Through the views of a freeze-time clip.
    """
    stays = torch.ones(len(tracks), dtype=torch.bool, device=tracks.keyframe.device)
    keys, counts = tracks.keyframe.unique(return_counts=True)
    order = keys[counts.argsort(descending=True, stable=True)].tolist()
    if len(order) < 2:
        return stays
    for view in range(tracks.frames):
        cell, depth = _cells(tracks, view)
        nearest = torch.full((int(cell.max()) + 1,), float("inf"), device=depth.device)
        for key in order:
            mine = ((tracks.keyframe == key) & stays & tracks.visible[view] & (cell >= 0)).nonzero()[:, 0]
            if key != order[0]:
                there = nearest[cell[mine]]
                twice = (depth[mine] - there).abs() < SAME_SURFACE * there
                stays[mine[twice]] = False
                mine = mine[~twice]
            nearest.scatter_reduce_(0, cell[mine], depth[mine], "amin")
    return stays


def _cells(tracks: Tracks, view: int) -> tuple[Tensor, Tensor]:
    """The cell ``(N,)`` of a view's picture that each point falls in, -1 outside; and depths ``(N,)``."""
    points = tracks.positions[view]
    at = project(points, tracks.intrinsics[view])
    inside = (points[:, 2] > 0) & inside_image(at, tracks.size)
    across = int(tracks.size[1] / CELL_PX) + 1
    place = (torch.where(inside[:, None], at, torch.zeros_like(at)) / CELL_PX).long()
    return torch.where(inside, place[:, 1] * across + place[:, 0], -torch.ones_like(place[:, 0])), points[:, 2]
