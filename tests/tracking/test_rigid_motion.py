"""Rigid parts of a clip from one camera: poses worked out by hand, and bodies that are not rigid refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fourreal_core.flow.clip_flows import ClipFlows
from fourreal_core.flow.flow_field import identity_map, warp
from fourreal_core.geometry.rotations import rotation_from_vector
from fourreal_core.tracking.rigid_motion import (
    DEPTH_PAYS,
    MOST_UNEXPLAINED,
    SAMPLES,
    ClipMotion,
    FirstFrame,
    RigidPart,
    follow_parts,
    moving_parts,
    unexplained_travel,
)
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


def test_noise_does_not_pass_for_motion_along_the_view() -> None:
    """A small body says little of it: six pixels across and half a pixel of noise on its forty pixels."""
    rng = np.random.default_rng(4)
    points = rng.uniform([-0.1, -0.1, 2.9], [0.1, 0.1, 3.1], (40, 3))
    shifts = []
    for _ in range(20):
        seen = pixels(points) + rng.normal(0, 0.5, (40, 2))
        shifts.append(fit_pose(points, seen, np.ones(40), K, still(points)).shift[2])
    # 0.08 without the prior on it, and 0.045 with it
    assert np.abs(shifts).mean() < 0.06


def test_a_pose_is_found_from_afar_among_pixels_that_stayed() -> None:
    """Fourteen pixels to go, and a quarter of the pixels seen where they were: flow that found no motion."""
    points = body(np.random.default_rng(7))
    true = RigidPose(np.eye(3), np.array([0.46, 0.0, 0.0]), np.median(points, 0))
    seen = pixels(true.apply(points))
    seen[::4] = pixels(points)[::4]
    found = fit_pose(points, seen, np.ones(400), K, still(points))
    assert np.abs(pixels(found.apply(points)) - pixels(true.apply(points))).max() < 0.5


def test_untrusted_pixels_say_little() -> None:
    rng = np.random.default_rng(6)
    points = body(rng)
    seen = pixels(points)
    seen[:240] += 3.0  # too little to be outliers at the start
    trust = np.where(np.arange(400) < 240, 0.05, 1.0)
    found = fit_pose(points, seen, trust, K, still(points))
    assert np.abs(pixels(found.apply(points)) - pixels(points)).max() < 0.1


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
    flows[2, 10:30, 10:30], flows[1, 35:55, 50:70], flows[1, 42:48, 10:16] = 3.0, -2.0, 5.0
    labels = moving_parts(flows, np.ones((60, 80), bool))
    assert sorted(np.unique(labels)) == [0, 1, 2]
    assert labels[20, 20] != labels[45, 60] and labels[44, 12] == 0
    assert not moving_parts(flows, np.zeros((60, 80), bool)).any()


def test_gaps_in_a_part_are_closed_and_bridges_cut() -> None:
    flows = np.zeros((2, 60, 80, 2), np.float32)
    flows[1, 10:40, 10:30] = flows[1, 10:40, 45:65] = 3.0
    flows[1, 20:22] = np.where(flows[1, 20:22] > 0, 0, flows[1, 20:22])  # two rows that flow left standing
    flows[1, 30:33, 30:45] = 3.0  # a bridge three pixels thick
    labels = moving_parts(flows, np.ones((60, 80), bool))
    assert labels.max() == 2 and labels[12, 12] == labels[38, 12] != labels[12, 50] == labels[38, 50]
    slow = np.full((2, 60, 80, 2), 0.6, np.float32)  # 0.85 pixels
    assert not moving_parts(slow, np.ones((60, 80), bool)).any()


def test_a_large_part_is_fitted_to_a_share_of_its_pixels() -> None:
    mask = np.ones((100, 100), bool)
    part = RigidPart.of(mask, np.ones((100, 100, 3)), K)
    assert SAMPLES <= len(part.index) < 2 * SAMPLES and (np.diff(part.index) == np.diff(part.index)[0]).all()


def test_flow_of_a_pose_goes_there_and_back() -> None:
    """A part at distance 3 before a wall at 5; beyond its rim the flow goes on as on the rim."""
    part = np.zeros((H, W), bool)
    part[20:50, 30:60] = True
    points = FirstFrame(np.where(part, 3.0, 5.0).astype(np.float32), K, part).points
    pose = RigidPose(np.eye(3), np.array([4 / F * 3, 0, 0]), np.zeros(3))
    flow, back = pose_flow(pose, points, K, part)
    np.testing.assert_allclose(flow, np.broadcast_to([4.0, 0.0], flow.shape), atol=1e-4)
    np.testing.assert_allclose(warp(back, flow)[5:-5, 8:-8], -flow[5:-5, 8:-8], atol=1e-4)


def turning_clip(
    times: int, degrees: float, places: tuple[float, ...] = (0, 1, 2, 3, 4)
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
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
        turn, shift = (
            rotation_from_vector(np.array([0, np.radians(degrees) * t, 0])),
            np.array([0.08, 0.0, 0.0]) * places[t],
        )
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


def no_errors(flows: np.ndarray) -> np.ndarray:
    return np.zeros(flows.shape[:3], np.float32)


def blind(a: np.ndarray, b: np.ndarray, init: np.ndarray | None = None) -> np.ndarray:
    """An engine that sees no motion."""
    return np.zeros((H, W, 2), np.float32)


@pytest.mark.parametrize(("places", "engine"), [((0, 1, 2, 3, 4), blind), ((0, 1, 2, 3, 5), None)])
def test_flow_that_was_lost_is_found_where_the_pose_leads(places: tuple[float, ...], engine: object) -> None:
    """At a steady speed by the pose alone; a body that gets faster is measured again, from the pose as a start."""
    frames, depth, flows, _ = turning_clip(5, 2.0, places)
    lost, errors = flows.copy(), no_errors(flows)
    lost[4], errors[4] = 0.0, 20.0  # ten pixels of travel
    clip, first = ClipFlows(torch.from_numpy(frames), engine), FirstFrame(depth, K, np.ones((H, W), bool))
    motion = follow_parts(clip, lost, errors, first)
    assert motion.rigid_parts == 1
    inner = (slice(20, 52), slice(30, 66))
    off = np.linalg.norm(motion.flows[4] - flows[4], axis=-1)[inner]
    assert np.median(off) < 0.3 and np.mean(off < 1) > 0.9
    assert np.median(motion.errors[4][inner]) < 0.5


def test_noise_is_smoothed_and_does_not_change_the_depth_of_a_body_that_slides() -> None:
    frames, depth, flows, _ = turning_clip(2, 0.0)
    part = flows[-1].any(-1)
    noise = np.random.default_rng(5).normal(0, 0.3, flows.shape).astype(np.float32)
    noisy = flows + noise * part[..., None] * (flows != 0).any(-1)[..., None]
    first = FirstFrame(depth, K, np.ones((H, W), bool))
    motion = follow_parts(ClipFlows(torch.from_numpy(frames), blind), noisy, no_errors(flows), first)
    assert motion.rigid_parts == 1
    inner = (slice(20, 52), slice(30, 66))
    assert (motion.flows[1] - flows[1])[inner].std() < 0.7 * (noisy[1] - flows[1])[inner].std()
    assert np.array_equal(motion.depth, np.repeat(depth[None], 2, 0))


def test_a_part_is_fitted_to_what_returns() -> None:
    """More than half of it is three pixels off, and its forward-backward error says so."""
    _, depth, flows, _ = turning_clip(2, 0.0)
    part = RigidPart.of(flows[-1].any(-1), FirstFrame(depth, K, np.ones((H, W), bool)).points, K)
    wrong, errors = flows[1].copy(), no_errors(flows)[1]
    most = part.mask & (np.arange(H) < 42)[:, None]
    wrong[most, 1] += 3.0
    errors[most] = 1.5
    assert abs(part.fit(wrong, errors, part.standing).shift[1]) * F / 3 < 0.3


@pytest.mark.parametrize(("degrees", "pays"), [(0.0, False), (3.0, True)])
def test_depth_must_pay(degrees: float, pays: bool) -> None:
    """Of a body that slides, six numbers fit the noise little better than two; a turning one can't be shifted."""
    _, depth, flows, _ = turning_clip(3, degrees)
    first = FirstFrame(depth, K, np.ones((H, W), bool))
    part = RigidPart.of(flows[-1].any(-1), first.points, K)
    noisy = flows + np.random.default_rng(5).normal(0, 0.3, flows.shape).astype(np.float32)
    motion = ClipMotion(noisy, no_errors(flows), np.stack([depth] * 3))
    poses = [part.standing, *(part.fit(noisy[t], motion.errors[t], part.standing) for t in (1, 2))]
    left, sideways = unexplained_travel(poses, motion, part)
    assert left < MOST_UNEXPLAINED and (left < DEPTH_PAYS * sideways) is pays
    # the median length of such noise is 0.35 px, of 2.4 + 4.8 px of travel over two times
    assert left == pytest.approx(2 * 0.35 / 7.2, rel=0.25)


def test_unreliable_flow_does_not_count() -> None:
    _, depth, flows, _ = turning_clip(3, 0.0)
    first = FirstFrame(depth, K, np.ones((H, W), bool))
    part = RigidPart.of(flows[-1].any(-1), first.points, K)
    poses = [part.standing, *(part.fit(flows[t], no_errors(flows)[t], part.standing) for t in (1, 2))]
    wrong, errors = flows.copy(), no_errors(flows)
    most = part.mask & (np.arange(W) > 40)
    wrong[:, most], errors[:, most] = 30.0, 1.2
    motion = ClipMotion(wrong, errors, np.stack([depth] * 3))
    assert unexplained_travel(poses, motion, part)[0] < 0.01
    motion = ClipMotion(wrong, np.full_like(errors, 2.0), np.stack([depth] * 3))
    assert unexplained_travel(poses, motion, part) == (0.0, 0.0)


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
