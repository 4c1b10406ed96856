"""Rigid parts of a clip from one camera: poses worked out by hand, and bodies that are not rigid refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fourreal_core.flow.clip_flows import ClipFlows
from fourreal_core.flow.flow_field import identity_map, warp
from fourreal_core.geometry.rotations import rotation_from_vector
from fourreal_core.tracking.rigid_motion import FirstFrame, follow_parts, moving_parts
from fourreal_core.tracking.rigid_pose import RigidPose, fit_pose, pose_flow, project_jacobian

H, W, F = 72, 96, 90.0
K = np.array([[F, 0, W / 2], [0, F, H / 2], [0, 0, 1.0]])


def body(rng: np.random.Generator, count: int = 400) -> np.ndarray:
    """A cloud with relief, three units away."""
    return rng.uniform([-0.8, -0.6, 2.7], [0.8, 0.6, 3.3], (count, 3))


def pixels(points: np.ndarray) -> np.ndarray:
    return points[..., :2] / points[..., 2:] * F + K[:2, 2]


def still(points: np.ndarray) -> RigidPose:
    return RigidPose(np.eye(3), np.zeros(3), np.median(points, 0))


def test_the_jacobian_is_the_slope_of_the_projection() -> None:
    points = body(np.random.default_rng(0), 5)
    centre, step = points.mean(0), 1e-6
    jacobian = project_jacobian(points, points - centre, K)
    for k in range(6):
        change = np.zeros(6)
        change[k] = step
        moved = (points - centre) @ rotation_from_vector(change[:3]).T + centre + change[3:]
        slope = (pixels(moved) - pixels(points)) / step
        np.testing.assert_allclose(jacobian[:, :, k], slope, atol=1e-3)  # one-sided difference: curvature times step


@pytest.mark.parametrize("share_wrong", [0.0, 0.3])
def test_a_pose_is_found_among_wrong_pixels(share_wrong: float) -> None:
    rng = np.random.default_rng(1)
    points = body(rng)
    true = RigidPose(
        rotation_from_vector(np.array([0.05, 0.2, -0.03])), np.array([0.1, -0.05, 0.2]), np.median(points, 0)
    )
    seen = pixels(true.apply(points))
    wrong = rng.random(len(points)) < share_wrong
    seen[wrong] += rng.uniform(8, 30, (int(wrong.sum()), 2))
    found = fit_pose(points, seen, np.ones(len(points)), K, still(points))
    # the hold on depth and the wrong pixels leave a tenth of a pixel
    assert np.abs(pixels(found.apply(points)) - pixels(true.apply(points))).max() < 0.15
    assert abs(found.shift[2] - 0.2) < 0.01


def test_poses_go_on_at_their_speed() -> None:
    points = body(np.random.default_rng(2))
    turn = rotation_from_vector(np.array([0.0, 0.1, 0.0]))
    one = RigidPose(turn, np.array([0.1, 0, 0]), np.zeros(3))
    two = RigidPose(turn @ turn, np.array([0.2, 0, 0]), np.zeros(3))
    ahead = one.extrapolated(two)
    np.testing.assert_allclose(ahead.rotation, turn @ turn @ turn, atol=1e-12)
    np.testing.assert_allclose(ahead.shift, [0.3, 0, 0], atol=1e-12)
    np.testing.assert_allclose(still(points).apply(points), points)


def test_parts_are_counted_and_small_ones_left_out() -> None:
    flows = np.zeros((3, 60, 80, 2), np.float32)
    flows[2, 10:30, 10:30], flows[1, 35:55, 50:70], flows[1, 2:6, 70:74] = 3.0, -2.0, 5.0
    labels = moving_parts(flows, np.ones((60, 80), bool))
    assert sorted(np.unique(labels)) == [0, 1, 2]
    assert labels[20, 20] != labels[45, 60] and labels[4, 72] == 0
    assert not moving_parts(flows, np.zeros((60, 80), bool)).any()


def test_flow_of_a_pose_goes_there_and_back() -> None:
    depth = np.full((H, W), 3.0)
    at = (identity_map((H, W)) + 0.5 - K[:2, 2]) / F
    points = np.concatenate([at * 3.0, depth[..., None]], -1)
    part = np.zeros((H, W), bool)
    part[20:50, 30:60] = True
    pose = RigidPose(np.eye(3), np.array([4 / F * 3, 0, 0]), np.zeros(3))
    flow, back = pose_flow(pose, points, K, part)
    np.testing.assert_allclose(flow, np.broadcast_to([4.0, 0.0], flow.shape), atol=1e-4)  # carried beyond the rim too
    np.testing.assert_allclose(warp(back, flow)[5:-5, 8:-8], -flow[5:-5, 8:-8], atol=1e-4)


def turning_clip(times: int, degrees: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A textured face with relief turns and passes before a wall: frames, first depth, true flows, true depths."""
    import cv2

    rng = np.random.default_rng(3)
    texture = cv2.GaussianBlur(rng.random((H, W, 3)).astype(np.float32), (0, 0), 1.2)
    texture = np.clip((texture - 0.5) * 4 + 0.5, 0, 1)
    part = np.zeros((H, W), bool)
    part[16:56, 24:72] = True
    at = identity_map((H, W)) + 0.5
    depth = np.where(part, 3.0 + 0.4 * np.cos((at[..., 0] - W / 2) / 6), 5.0).astype(np.float32)
    points = np.concatenate([(at - K[:2, 2]) / F * depth[..., None], depth[..., None]], -1).astype(np.float64)
    frames, flows, depths = [], [], []
    for t in range(times):
        turn, shift = rotation_from_vector(np.array([0, np.radians(degrees) * t, 0])), np.array([0.08, 0.0, 0.0]) * t
        pose = RigidPose(turn, shift, points[part].mean(0))
        flow, back = pose_flow(pose, points, K, part)
        moved = warp(part.astype(np.float32), back) > 0.5
        wall = 0.5 * texture[::-1]
        frames.append(np.where(moved[..., None], warp(texture, back), wall).astype(np.float32))
        flows.append(np.where(part[..., None], flow, 0))
        depths.append(np.where(part, pose.apply(points)[..., 2], depth))
    return np.stack(frames), depth, np.stack(flows).astype(np.float32), np.stack(depths)


def test_a_turning_body_shows_its_depth() -> None:
    frames, depth, flows, depths = turning_clip(4, 3.0)
    clip = ClipFlows(torch.from_numpy(frames))
    part = flows[-1].any(-1)
    valid = np.ones((H, W), bool)
    motion = follow_parts(clip, flows, np.zeros(flows.shape[:3], np.float32), FirstFrame(depth, K, valid))
    assert motion.rigid_parts == 1
    inner = np.zeros_like(part)
    inner[20:52, 28:68] = True
    change = depths[-1] - depths[0]
    error = np.abs(motion.depth[-1] - depths[-1])[inner]
    assert error.mean() < 0.25 * np.abs(change[inner]).mean()  # without poses it would be 1
    assert np.array_equal(motion.depth[:, ~part], np.repeat(depth[None], 4, 0)[:, ~part])


def test_a_body_that_bends_keeps_its_depth() -> None:
    frames, depth, flows, _ = turning_clip(3, 3.0)
    rows = np.arange(H, dtype=np.float32)[:, None]
    flows = flows * 0
    for t in range(1, 3):
        flows[t, ..., 0][16:56, 24:72] = (4 * t * np.sin(rows / 4))[16:56]

    def nothing(a: np.ndarray, b: np.ndarray, c: np.ndarray | None = None) -> np.ndarray:
        return np.zeros((H, W, 2), np.float32) if c is None else c

    scene = FirstFrame(depth, K, np.ones((H, W), bool))
    clip = ClipFlows(torch.from_numpy(frames), nothing)
    motion = follow_parts(clip, flows, np.zeros(flows.shape[:3], np.float32), scene)
    assert motion.rigid_parts == 0
    assert np.array_equal(motion.flows, flows) and np.array_equal(motion.depth, np.repeat(depth[None], 3, 0))
