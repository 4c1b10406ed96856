"""The order of views along the path of their cameras: neighbours in the grid should be neighbours in space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..media.frame_times import pick_evenly

Array = NDArray[np.float64]

TURN_WEIGHT = 0.5
"""A turn by one radian is as far as this share of the cameras' spread."""
ENOUGH = 1.02
"""The given order stays where no other is shorter by more than this factor."""


@dataclass(frozen=True)
class ViewOrder:
    """Which views become the rows of a grid.

    Attributes:
        names: Of the rows, the first one first.
        index: ``(V,)`` their places among the views that were given.
        by_cameras: They are in the order of their cameras' path, not in that in which they were given.
    """

    names: tuple[str, ...]
    index: tuple[int, ...]
    by_cameras: bool

    @property
    def central(self) -> str:
        """The view whose camera is the scene's world."""
        return self.names[len(self.names) // 2]

    def __str__(self) -> str:
        """What a user reads."""
        way = "the order of their cameras' path" if self.by_cameras else "the order given"
        return (
            f"{len(self.names)} views in {way}: {', '.join(self.names)}; the first is {self.names[0]}, the central "
            f"one {self.central}"
        )


def order_views(names: Sequence[str], world_to_cam: Array | None = None, count: int | None = None) -> ViewOrder:
    """Orders views along their cameras' path, where there are cameras, and keeps some, evenly spread over it.

    Args:
        names: Of the views, in the order given.
        world_to_cam: ``(V, 4, 4)`` their cameras; the order stays as given without.
        count: How many views to keep, the first and the last among them; all when None.

    Raises:
        InputError: More views wanted than given, or fewer than two.
    """
    if count is not None and not 2 <= count <= len(names):
        raise InputError(f"{count} views of {len(names)}", f"2 to {len(names)}", "ask for as many as there are")
    path = list(range(len(names))) if world_to_cam is None else path_order(world_to_cam)
    index = tuple(path[k] for k in pick_evenly(len(path), count))
    return ViewOrder(tuple(names[k] for k in index), index, path != sorted(path))


def path_order(world_to_cam: Array) -> list[int]:
    """The order in which a short path passes all cameras; the given one if that is about as short.

    The path is the best that starts from every camera's nearest neighbours and 2-opt find. It begins at that end whose
    camera comes first in the given order.

    Args:
        world_to_cam: ``(V, 4, 4)``.
    """
    apart = _apart(world_to_cam)
    count = len(apart)
    given = list(range(count))
    best = min((_two_opt(_greedy(apart, start), apart) for start in given), key=lambda path: _length(path, apart))
    if _length(given, apart) <= ENOUGH * _length(best, apart):
        return given
    return best if best[0] < best[-1] else best[::-1]


def _apart(world_to_cam: Array) -> Array:
    """How far cameras are from each other ``(V, V)``: the distance of their centres, and their turn."""
    rotations = world_to_cam[:, :3, :3]
    centres = -np.einsum("vji,vj->vi", rotations, world_to_cam[:, :3, 3])
    distance = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
    ahead = rotations[:, 2]
    turn = np.arccos(np.clip(ahead @ ahead.T, -1, 1))
    apart: Array = distance + TURN_WEIGHT * distance.max() * turn
    return apart


def _length(path: list[int], apart: Array) -> float:
    return float(apart[path[:-1], path[1:]].sum())


def _greedy(apart: Array, start: int) -> list[int]:
    path, left = [start], set(range(len(apart))) - {start}
    while left:
        path.append(min(left, key=lambda v: (apart[path[-1], v], v)))
        left.remove(path[-1])
    return path


def _two_opt(path: list[int], apart: Array) -> list[int]:
    """Turns pieces of an open path round as long as that makes it shorter."""
    count, better = len(path), True
    while better:
        better = False
        for i in range(count - 1):
            for j in range(i + 1, count):
                before = apart[path[i - 1], path[i]] if i > 0 else 0.0
                after = apart[path[j], path[j + 1]] if j + 1 < count else 0.0
                new_before = apart[path[i - 1], path[j]] if i > 0 else 0.0
                new_after = apart[path[i], path[j + 1]] if j + 1 < count else 0.0
                if new_before + new_after < before + after - 1e-9:
                    path = path[:i] + path[i : j + 1][::-1] + path[j + 1 :]
                    better = True
    return path
