"""The order of views along their cameras' path."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fourreal_core.errors import InputError
from fourreal_core.geometry.view_order import order_views, path_order


def looking_at_middle(places: list[tuple[float, float, float]]) -> np.ndarray:
    """World to camera of cameras at some places, all turned to the origin."""
    poses = []
    for place in places:
        ahead = -np.array(place) / np.linalg.norm(place)
        right = np.cross([0.0, 1.0, 0.0], ahead)
        right /= np.linalg.norm(right)
        rot = np.stack([right, np.cross(ahead, right), ahead])
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = rot, -rot @ np.array(place)
        poses.append(pose)
    return np.stack(poses)


def arc(count: int, degrees: float) -> np.ndarray:
    angles = [math.radians(degrees) * k / (count - 1) for k in range(count)]
    return looking_at_middle([(4 * math.sin(a), 0.5, -4 * math.cos(a)) for a in angles])


@pytest.mark.parametrize(("count", "degrees"), [(2, 20), (8, 60), (24, 340)])
def test_a_path_is_found_whatever_the_order(count: int, degrees: float) -> None:
    poses = arc(count, degrees)
    shuffled = np.random.default_rng(3).permutation(count)
    order = [int(shuffled[k]) for k in path_order(poses[shuffled])]
    assert order in (list(range(count)), list(range(count))[::-1])


def test_a_path_in_order_stays_as_given() -> None:
    assert path_order(arc(12, 320)) == list(range(12))
    assert path_order(arc(12, 60)[::-1]) == list(range(12))


def test_it_begins_at_the_end_that_was_given_first() -> None:
    poses = arc(5, 60)[[4, 0, 1, 2, 3]]
    assert path_order(poses) == [0, 4, 3, 2, 1]


def test_a_lattice_of_cameras_is_passed_by_neighbours() -> None:
    """Four rows of six, as a camera array has them: no step is longer than to a neighbour beside or above."""
    places = [(0.3 * x, 0.3 * y, -4.0) for y in range(4) for x in range(6)]
    order = path_order(looking_at_middle(places))
    steps = [math.dist(places[a], places[b]) for a, b in zip(order, order[1:], strict=False)]
    assert sorted(order) == list(range(24)) and max(steps) < 0.43


def test_rows_are_spread_over_the_path_and_named() -> None:
    poses = arc(5, 60)[[2, 0, 4, 1, 3]]
    order = order_views(("c", "a", "e", "b", "d"), poses, 3)
    assert order.names == ("a", "c", "e") and order.index == (1, 0, 2) and order.by_cameras
    assert str(order) == "3 views in the order of their cameras' path: a, c, e; the first is a, the central one c"
    given = order_views(("c", "a", "e", "b", "d"))
    assert given.index == (0, 1, 2, 3, 4) and not given.by_cameras and given.central == "e"
    for count in (1, 6):
        with pytest.raises(InputError, match=f"{count} views of 5"):
            order_views(("c", "a", "e", "b", "d"), None, count)
