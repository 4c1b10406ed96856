"""Points of different keyframes that are one surface become one.

Keyframes start points where no earlier keyframe's depth showed the surface already. Where two depths disagree by a
little more than that test allows, the surface is there twice, as a shell before or behind itself; a view that both were
tracked into tells, since there they lie on one ray and nearly at one depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..cameras import project
from ..errors import InputError
from ..tracking.tracks import Tracks


@dataclass(frozen=True)
class MergeOptions:
    """When two points are one.

    Attributes:
        cell_px: Side of the cells of a view's picture within which points may be one; 0 merges nothing.
        same_surface: Largest relative difference of their depths.
    """

    cell_px: float = 1.0
    same_surface: float = 0.1

    def __post_init__(self) -> None:
        if self.cell_px < 0 or not self.same_surface > 0:
            raise InputError(
                f"cells of {self.cell_px} pixels and depths within {self.same_surface}",
                "no negative cell and a positive depth difference",
                "leave them at their defaults",
            )


def merge_keyframes(tracks: Tracks, options: MergeOptions | None = None) -> Tensor:
    """Which points stay ``(N,)`` bool: all of the keyframe with the most, and of others what the ones before lack.

    A point goes where, in a view that sees both, a point of a keyframe before it lies in the same cell of the picture
    at nearly the same depth. Keyframes count in the order of how many points they gave.

    Args:
        tracks: Through the views of a freeze-time clip.
        options: See MergeOptions.
    """
    options = options or MergeOptions()
    stays = torch.ones(len(tracks), dtype=torch.bool, device=tracks.keyframe.device)
    keys, counts = tracks.keyframe.unique(return_counts=True)
    order = keys[counts.argsort(descending=True, stable=True)].tolist()
    if options.cell_px == 0 or len(order) < 2:
        return stays
    for view in range(tracks.frames):
        cell, depth = _cells(tracks, view, options.cell_px)
        nearest = torch.full((int(cell.max()) + 1,), float("inf"), device=depth.device)
        for key in order:
            mine = ((tracks.keyframe == key) & stays & tracks.visible[view] & (cell >= 0)).nonzero()[:, 0]
            if key != order[0]:
                there = nearest[cell[mine]]
                twice = (depth[mine] - there).abs() < options.same_surface * there
                stays[mine[twice]] = False
                mine = mine[~twice]
            nearest.scatter_reduce_(0, cell[mine], depth[mine], "amin")
    return stays


def _cells(tracks: Tracks, view: int, side: float) -> tuple[Tensor, Tensor]:
    """The cell ``(N,)`` of a view's picture that each point falls in, -1 outside; and depths ``(N,)``."""
    points = tracks.positions[view]
    at = project(points, tracks.intrinsics[view])
    inside = (points[:, 2] > 0) & (at >= 0).all(-1) & (at[:, 0] < tracks.size[1]) & (at[:, 1] < tracks.size[0])
    across = int(tracks.size[1] / side) + 1
    place = (torch.where(inside[:, None], at, torch.zeros_like(at)) / side).long()
    return torch.where(inside, place[:, 1] * across + place[:, 0], -torch.ones_like(place[:, 0])), points[:, 2]
