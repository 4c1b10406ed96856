"""Keyframes' points merged: a surface that is there twice becomes one, and nothing else goes."""

from __future__ import annotations

import pytest
import torch

from fourreal_core.cameras import lift, pixel_grid
from fourreal_core.reconstruction.canonical import canonical_scene
from fourreal_core.reconstruction.merge_keyframes import merge_keyframes
from fourreal_core.tracking.tracks import Tracks

from ..scene.scenes import SIZE, step_cameras

VIEWS = 3


def tracks_of(*clouds: tuple[int, torch.Tensor]) -> Tracks:
    """World points by keyframe, all of them seen by every camera they are before."""
    cameras = step_cameras(VIEWS)
    points = torch.cat([cloud for _, cloud in clouds])
    keys = torch.cat([torch.full((len(cloud),), key, dtype=torch.long) for key, cloud in clouds])
    n = len(points)
    positions = cameras.to_camera(points)
    return Tracks(
        positions,
        torch.ones(VIEWS, n, dtype=torch.bool),
        torch.rand(n, 3),
        keys,
        torch.full((n,), 0.06),
        cameras.intrinsics,
        SIZE,
    )


def wall(distance: float, columns: slice = slice(None)) -> torch.Tensor:
    at = pixel_grid(SIZE)[:, columns].reshape(-1, 2)
    return lift(at, torch.full((len(at),), distance), step_cameras(VIEWS).intrinsics[0])


@pytest.mark.parametrize("other", [2.0, 2.15, 1.85])
def test_a_shell_before_or_behind_a_surface_goes(other: float) -> None:
    tracks = tracks_of((1, wall(2.0)), (0, wall(other, slice(0, 10))))
    stays = merge_keyframes(tracks)
    assert bool(stays[tracks.keyframe == 1].all()) and not bool(stays[tracks.keyframe == 0].any())


@pytest.mark.parametrize("other", [1.5, 3.0])
def test_another_surface_stays(other: float) -> None:
    tracks = tracks_of((1, wall(2.0)), (0, wall(other, slice(0, 10))))
    assert bool(merge_keyframes(tracks).all())


def test_what_no_view_sees_together_stays() -> None:
    tracks = tracks_of((1, wall(2.0)), (0, wall(2.1, slice(0, 10))))
    tracks.visible[:, tracks.keyframe == 0] = False
    tracks.visible[0, tracks.keyframe == 0] = True
    tracks.visible[0, tracks.keyframe == 1] = False
    assert bool(merge_keyframes(tracks).all())


def test_what_lies_beside_the_first_keyframe_stays() -> None:
    tracks = tracks_of((1, wall(2.0, slice(0, 20))), (2, wall(2.0, slice(26, None))))
    assert bool(merge_keyframes(tracks).all())


def test_points_of_one_keyframe_are_never_merged() -> None:
    double = torch.cat([wall(2.0), wall(2.01)])
    assert bool(merge_keyframes(tracks_of((1, double))).all())


def test_the_scene_has_each_surface_once() -> None:
    tracks = tracks_of((1, wall(2.0)), (0, wall(2.1, slice(0, 10))))
    assert len(canonical_scene(tracks, 2).splats) == SIZE[0] * SIZE[1]


def test_a_point_that_is_gone_takes_no_other_along() -> None:
    """Depths of 2, 1.85 and 1.7: the second is the first, the third is not, though it would be the second."""
    tracks = tracks_of((2, wall(2.0)), (1, wall(1.85, slice(0, 20))), (0, wall(1.7, slice(0, 10))))
    stays = merge_keyframes(tracks)
    assert not bool(stays[tracks.keyframe == 1].any()) and bool(stays[tracks.keyframe == 0].all())


def test_a_point_that_is_gone_in_one_view_takes_no_other_along_in_the_next() -> None:
    tracks = tracks_of((2, wall(2.0)), (1, wall(1.85, slice(0, 20))), (0, wall(1.85, slice(0, 10))))
    tracks.visible[:] = False
    tracks.visible[0, tracks.keyframe == 2] = True
    tracks.visible[:2, tracks.keyframe == 1] = True
    tracks.visible[1, tracks.keyframe == 0] = True
    stays = merge_keyframes(tracks)
    assert not bool(stays[tracks.keyframe == 1].any()) and bool(stays[tracks.keyframe == 0].all())


def test_points_behind_a_camera_hide_nothing() -> None:
    """They lie on the optical axis of the first camera, whose line meets the middle of its picture."""
    behind = -step_cameras(VIEWS).world_to_cam[0, :3, 3] - torch.tensor([0.0, 0.0, 2.0])
    tracks = tracks_of((2, wall(2.0)), (1, behind.repeat(400, 1)), (0, wall(2.1, slice(10, 20))))
    tracks.visible[1:] = False
    assert not bool(merge_keyframes(tracks)[tracks.keyframe == 0].any())
