"""Tracks of the fixed-view clip as motion in the world, by hand."""

from __future__ import annotations

from dataclasses import replace

import torch

from fourreal_core.cameras import Cameras
from fourreal_core.reconstruction.scene_flow import scene_flow
from fourreal_core.scene.scene4d import Scene4D
from fourreal_core.tracking.tracks import Tracks

from ..scene.scenes import FOCAL, SIZE, wall_scene

TURN = torch.tensor([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
"""View 0 looks along the world's x, its own x being the world's negative z."""
SHIFT = torch.tensor([0.1, 0.2, 0.3])


def turned_scene() -> Scene4D:
    scene = wall_scene()
    poses = scene.cameras.world_to_cam.clone()
    poses[0, :3, :3], poses[0, :3, 3] = TURN, SHIFT
    return replace(scene, cameras=Cameras(poses, scene.cameras.intrinsics, SIZE))


def three_tracks() -> Tracks:
    """At distances 2, 4 and 2: one goes four pixels to the right and back, one stands, one creeps."""
    positions = torch.tensor([[0.0, 0.0, 2.0], [1.0, 0.5, 4.0], [0.5, 0.0, 2.0]]).repeat(3, 1, 1)
    positions[1, 0, 0] = 0.25
    positions[1:, 2, 1] = 0.03
    visible = torch.ones(3, 3, dtype=torch.bool)
    visible[1, 0] = False
    intrinsics = wall_scene().cameras.intrinsics[:1].expand(3, 3, 3)
    return Tracks(
        positions, visible, torch.zeros(3, 3), torch.zeros(3, dtype=torch.long), torch.ones(3), intrinsics, SIZE
    )


def test_tracks_are_taken_into_the_world() -> None:
    flow, tracks = scene_flow(turned_scene(), three_tracks()), three_tracks()
    torch.testing.assert_close(flow.points @ TURN.T + SHIFT, tracks.positions[0])
    expected = torch.zeros(3, 3, 3)
    expected[1, 0, 2] = 0.25  # to the right of view 0
    expected[1:, 2, 1] = 0.03
    torch.testing.assert_close(flow.offsets, expected)
    assert torch.equal(flow.visible, tracks.visible)


def test_travel_is_the_longest_way_in_pixels_seen_or_not() -> None:
    flow = scene_flow(turned_scene(), three_tracks())
    middle = torch.tensor([SIZE[1] / 2, SIZE[0] / 2])
    torch.testing.assert_close(flow.pixels, middle + torch.tensor([[0.0, 0.0], [8.0, 4.0], [8.0, 0.0]]))
    torch.testing.assert_close(flow.travel_px, torch.tensor([4.0, 0.0, 0.48]))
    assert flow.moves.tolist() == [True, False, False]
    torch.testing.assert_close(flow.px_per_unit, FOCAL / torch.tensor([2.0, 4.0, 2.0]))
    some = flow.select(torch.tensor([2, 0]))
    assert some.moves.tolist() == [False, True] and torch.equal(some.offsets, flow.offsets[:, [2, 0]])
