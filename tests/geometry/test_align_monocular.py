"""Monocular geometry placed: cameras found, and frames of drifting scale brought to one."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from fourreal_core.cameras import intrinsics_from_focal, lift, pixel_grid
from fourreal_core.errors import InputError
from fourreal_core.flow.clip_flows import ClipFlows
from fourreal_core.geometry.align_monocular import frame_scales, matched_points, place_views, turning_scales
from fourreal_core.geometry.bundle_adjustment import Bundle, Observations, reproject
from fourreal_core.geometry.geometry import Geometry

from .worlds import SIZE, World, look, path

DRIFT = torch.tensor([1.0, 1.3, 0.8, 1.1, 0.7])


def monocular(walk: World) -> Geometry:
    """True shapes, each frame in a scale of its own, and no cameras."""
    return replace(walk.geometry, depth=walk.depth * DRIFT[:, None, None], world_to_cam=None)


def test_scales_that_drift_are_brought_to_one(walk: World) -> None:
    placed = place_views(walk.clip, monocular(walk))
    scale = (placed.depth / walk.depth).flatten(1).median(1).values
    # inverse depths of matched points are good to a few per cent each; the median over some hundred of them to less
    assert float((scale / scale[2] - 1).abs().max()) < 0.03
    baseline = (placed.cameras.world_to_cam[0, :3, 3] - placed.cameras.world_to_cam[4, :3, 3]).norm()
    true = (walk.cameras.world_to_cam[0, :3, 3] - walk.cameras.world_to_cam[4, :3, 3]).norm()
    assert float(baseline / true / scale[2]) == pytest.approx(1, abs=0.1)
    assert bool(placed.mask.all())


def test_what_no_frame_knows_lies_behind_everything(walk: World) -> None:
    geometry = monocular(walk)
    mask = geometry.mask.clone()
    mask[:, :20] = False
    depth = torch.where(mask, geometry.depth, torch.tensor(float("inf")))
    placed = place_views(walk.clip, replace(geometry, depth=depth, mask=mask))
    assert bool(placed.depth.isfinite().all())
    for f in range(5):
        known = placed.depth[f][mask[f]]
        assert float(placed.depth[f, :20].min()) == pytest.approx(1.5 * float(known.max()), rel=1e-5)


def test_a_camera_that_turns_sees_one_scene(caplog: pytest.LogCaptureFixture) -> None:
    cameras = path(5, 0.0, 2.0)
    cameras.world_to_cam[:, :3, 3] = 0
    turning = look(cameras)
    with caplog.at_level(logging.WARNING, "fourreal_core"):
        placed = place_views(turning.clip, monocular(turning))
    assert "a camera that only turns" in caplog.text
    scale = (placed.depth / turning.depth).flatten(1).median(1).values
    # matched points round to pixels on surfaces that slant little; drifts were 0.7 to 1.3
    assert float((scale / scale[2] - 1).abs().max()) < 0.02
    assert float(placed.depth[2].median()) == pytest.approx(1, rel=1e-4)
    assert float(placed.cameras.world_to_cam[:, :3, 3].abs().max()) < 1e-6
    turn = placed.cameras.world_to_cam[:, :3, :3] @ turning.cameras.world_to_cam[:, :3, :3].transpose(1, 2)
    assert float(turn.diagonal(dim1=1, dim2=2).sum(-1).min()) > 2.9998  # within 0.8 degrees of the truth


def test_scales_of_a_turn_count_distance_and_not_depth() -> None:
    """Everything is one away from a camera that turns by 40 degrees, one frame in another scale.

    What both views share lies on the right of one and on the left of the other, so depth along one is not depth along
    the other; the scale is the ratio of distances all the same.
    """
    size, focal = (40, 200), 100.0
    yaw = np.radians(40.0)
    turn = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
    state = Bundle(np.stack([turn, np.eye(3)]), np.zeros((2, 3)), np.ones(60), focal)
    pixels = np.stack(np.meshgrid(np.linspace(10, 40, 6), np.linspace(-15, 15, 5)), -1).reshape(-1, 2)
    obs = Observations(np.tile(pixels, (2, 1)), np.repeat([0, 1], 30), {})
    obs.pairs[1, 0] = (np.arange(30, 60), np.zeros((30, 2)), np.ones(30))
    obs.pairs[1, 0] = (np.arange(30, 60), reproject(state, obs, (1, 0))[2], np.ones(30))
    rays = lift(pixel_grid(size), torch.ones(size), intrinsics_from_focal(focal, size))
    depth = 1 / rays.norm(dim=-1)
    geometry = Geometry(torch.stack([1.3 * depth, depth]), torch.zeros(2, 3, 3), torch.ones(2, *size, dtype=torch.bool))
    scales = turning_scales(state, obs, geometry)
    assert float(scales[1] / scales[0]) == pytest.approx(1.3, rel=0.01)


def test_only_matched_points_of_known_depth_say_a_frames_scale() -> None:
    """Frame 0 has a matched point and two that no other frame sees; frame 1 knows no depth at its points."""
    obs = Observations(np.tile([-3.0, -1.0], (6, 1)), np.array([0, 0, 0, 1, 1, 1]), {})
    obs.pairs[0, 1] = (np.array([0]), np.zeros((1, 2)), np.ones(1))
    obs.pairs[1, 0] = (np.array([3, 4]), np.zeros((2, 2)), np.ones(2))
    state = Bundle(np.stack([np.eye(3)] * 2), np.zeros((2, 3)), np.array([0.25, 1, 1, 0.25, 0.25, 0.25]), 100.0)
    mask = torch.ones(2, 5, 9, dtype=torch.bool)
    mask[1] = False
    geometry = Geometry(torch.full((2, 5, 9), 2.0), torch.eye(3).expand(2, 3, 3), mask)
    assert frame_scales(state, obs, geometry).tolist() == [2.0, 1.0]
    points, at = matched_points(obs, 1, (5, 9))
    assert points.tolist() == [3, 4] and at.tolist() == [[1, 1], [1, 1]]  # the middle is (4, 2)


def test_unknown_depth_has_no_say_in_the_scale(walk: World) -> None:
    geometry = monocular(walk)
    mask = geometry.mask.clone()
    mask[:, :, :70] = False
    placed = place_views(walk.clip, replace(geometry, depth=torch.where(mask, geometry.depth, 50.0), mask=mask))
    scale = (placed.depth / walk.depth)[:, :, 70:].flatten(1).median(1).values
    assert float((scale / scale[2] - 1).abs().max()) < 0.04


def test_geometry_with_cameras_is_left_alone(walk: World) -> None:
    geometry = walk.geometry
    assert place_views(walk.clip, geometry) is geometry


def test_the_given_geometry_is_not_written_to(walk: World) -> None:
    geometry = monocular(walk)
    before = geometry.depth.clone(), geometry.intrinsics.clone()
    place_views(walk.clip, geometry)
    assert torch.equal(geometry.depth, before[0]) and torch.equal(geometry.intrinsics, before[1])


def test_wrong_clips_are_refused(walk: World) -> None:
    geometry = monocular(walk)
    with pytest.raises(InputError, match="geometry of the same clip"):
        place_views(ClipFlows(walk.frames[:3]), geometry)
    one = Geometry(geometry.depth[:1], geometry.intrinsics[:1], geometry.mask[:1])
    with pytest.raises(InputError, match="1 frame; expected at least 2"):
        place_views(ClipFlows(walk.frames[:1]), one)
    with pytest.raises(InputError, match="no two frames match"):
        place_views(walk.clip, geometry, torch.zeros(SIZE, dtype=torch.bool))
