"""Geometry and tracks as data: point maps, and shapes that don't fit refused."""

from __future__ import annotations

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.geometry.geometry import Geometry
from fourreal_core.tracking.tracks import Tracks

F, N, SIZE = 3, 5, (4, 6)


def geometry(**other: torch.Tensor | None) -> Geometry:
    parts = {
        "depth": torch.full((F, *SIZE), 2.0),
        "intrinsics": torch.tensor([[3.0, 0, 3], [0, 4, 2], [0, 0, 1]]).expand(F, 3, 3),
        "mask": torch.ones(F, *SIZE, dtype=torch.bool),
    }
    return Geometry(**(parts | other))


def tracks(**other: torch.Tensor | None) -> Tracks:
    parts = {
        "positions": torch.arange(F * N * 3.0).view(F, N, 3),
        "visible": torch.arange(F * N).view(F, N) % 2 == 0,
        "colors": torch.arange(N * 3.0).view(N, 3),
        "keyframe": torch.arange(N),
        "spacing": torch.arange(N) + 1.0,
        "intrinsics": torch.eye(3).expand(F, 3, 3),
        "size": SIZE,
        "depth": torch.ones(F, *SIZE),
    }
    return Tracks(**(parts | other))


def test_point_maps_by_hand() -> None:
    points = geometry().points
    assert points.shape == (F, *SIZE, 3)
    # pixel centre (5.5, 0.5): (5.5 - 3) / 3 * 2 and (0.5 - 2) / 4 * 2
    assert points[1, 0, 5].tolist() == pytest.approx([5 / 3, -0.75, 2.0])


def test_cameras_are_given_or_missed_aloud() -> None:
    poses = torch.eye(4).repeat(F, 1, 1)
    assert geometry(world_to_cam=poses).cameras.size == SIZE
    with pytest.raises(InputError, match="geometry without cameras"):
        _ = geometry().cameras


@pytest.mark.parametrize(
    "wrong",
    [
        {"depth": torch.ones(*SIZE)},
        {"depth": torch.ones(F + 1, *SIZE)},
        {"intrinsics": torch.eye(3)},
        {"mask": torch.ones(F, 4, 7, dtype=torch.bool)},
        {"world_to_cam": torch.eye(4)},
        {"world_to_cam": torch.eye(4).repeat(F + 1, 1, 1)},
    ],
)
def test_geometry_of_wrong_shapes_is_refused(wrong: dict[str, torch.Tensor]) -> None:
    with pytest.raises(InputError, match="give every frame"):
        geometry(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"visible": torch.ones(F, N + 1, dtype=torch.bool)},
        {"colors": torch.ones(N, 4)},
        {"keyframe": torch.ones(N, 1)},
        {"spacing": torch.ones(F, N)},
        {"intrinsics": torch.eye(3)},
        {"depth": torch.ones(F, 6, 4)},
    ],
)
def test_tracks_of_wrong_shapes_are_refused(wrong: dict[str, torch.Tensor]) -> None:
    with pytest.raises(InputError, match="tracks"):
        tracks(**wrong)


@pytest.mark.parametrize("pick", [torch.tensor([False, True, False, True, False]), torch.tensor([1, 3])])
def test_selected_points_keep_everything_about_them(pick: torch.Tensor) -> None:
    whole = tracks()
    part = whole.select(pick)
    assert len(part) == 2 and part.frames == F and len(whole) == N
    for name in ("positions", "visible"):
        assert torch.equal(getattr(part, name), getattr(whole, name)[:, [1, 3]])
    for name in ("colors", "keyframe", "spacing"):
        assert torch.equal(getattr(part, name), getattr(whole, name)[[1, 3]])
    assert part.size == SIZE and torch.equal(part.depth, whole.depth)
