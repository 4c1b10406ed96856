"""Parts of a fixed-view clip that move as rigid bodies: their 3D motion from 2D flow and the depth at the start.

One camera that stands sees no depth change, but a body of known shape shows it: as it turns or recedes, its points move
against each other (pose from known points, PnP). What the poses predict finds fast bodies again where flow lost them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..flow.clip_flows import ClipFlows
from ..flow.flow_field import Flow, identity_map, warp
from ..flow.robust_flow import RobustFlowOptions, candidate_cost, smooth_flow
from ..progress import OnStep, no_progress

log = logging.getLogger(__name__)
Array = NDArray[np.float64]


@dataclass(frozen=True)
class RigidOptions:
    """How rigid parts are found and believed.

    Attributes:
        moves_px: Travel in pixels from which a pixel belongs to a moving part.
        least_share: Smallest part, as a share of the picture.
        samples: Pixels of a part that its pose is fitted to.
        robust_px: Error in pixels at which a pixel's say in the pose has fallen to a quarter.
        left_over: A part is rigid when its poses leave at most this share of its travel unexplained.
        depth_pays: Its depth changes only where the poses leave at most this share of what a shift at constant depth
            leaves: turns and approach are weakly seen, and noise must not pass for them.
        rounds: Gauss-Newton steps a time.
    """

    moves_px: float = 1.0
    least_share: float = 0.01
    samples: int = 3000
    robust_px: float = 2.0
    left_over: float = 0.2
    depth_pays: float = 0.75
    rounds: int = 15

    def __post_init__(self) -> None:
        if min(self.samples, self.rounds) < 1 or not (self.robust_px > 0 and self.moves_px > 0 < self.least_share):
            raise InputError(
                f"{self.samples} samples, {self.rounds} rounds, {self.moves_px} and {self.robust_px} px",
                "positive numbers",
                "leave them at their defaults",
            )


@dataclass(frozen=True)
class RigidPose:
    """A rigid motion ``x -> rotation (x - centre) + centre + shift`` in the camera's space.

    Attributes:
        rotation: ``(3, 3)``.
        shift: ``(3,)`` in scene units.
        centre: ``(3,)`` what it turns about.
    """

    rotation: Array
    shift: Array
    centre: Array

    def apply(self, points: Array) -> Array:
        """Moved points ``(..., 3)``."""
        return (points - self.centre) @ self.rotation.T + self.centre + self.shift

    def step_to(self, later: RigidPose) -> RigidPose:
        """The pose as much after ``later`` as ``later`` is after this one: constant velocity."""
        turn = later.rotation @ self.rotation.T
        return RigidPose(turn @ later.rotation, 2 * later.shift - self.shift, self.centre)


@dataclass(frozen=True)
class RigidMotion:
    """What is known of a fixed-view clip once its rigid parts are found.

    Attributes:
        flows: ``(T, H, W, 2)`` in pixels from frame 0, measured again where poses led back to lost parts.
        errors: ``(T, H, W)`` forward-backward errors in pixels.
        depth: ``(T, H, W)`` depth at every time of what frame 0's pixels show.
        parts: Number of parts that were believed.
    """

    flows: NDArray[np.float32]
    errors: NDArray[np.float32]
    depth: NDArray[np.float32]
    parts: int


def moving_parts(flows: NDArray[np.float32], valid: NDArray[np.bool_], options: RigidOptions) -> NDArray[np.int32]:
    """Connected parts ``(H, W)`` of the picture that move at any time, numbered from 1; 0 stands or is too small."""
    import cv2

    moves = (np.linalg.norm(flows, axis=-1).max(0) > options.moves_px) & valid
    reach = np.ones((5, 5), np.uint8)  # closes gaps that flow left standing, parts thin bridges between bodies
    mask = cv2.morphologyEx(cv2.morphologyEx(moves.astype(np.uint8), cv2.MORPH_CLOSE, reach), cv2.MORPH_OPEN, reach)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    large = [k for k in range(1, count) if stats[k, cv2.CC_STAT_AREA] >= options.least_share * mask.size]
    out = np.zeros_like(labels)
    for number, k in enumerate(large, 1):
        out[labels == k] = number
    return out


def rotation_of(vector: Array) -> Array:
    """Rotation matrix ``(3, 3)`` of a rotation vector ``(3,)`` in radians (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    x, y, z = vector
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    if angle < 1e-8:
        return np.eye(3) + cross
    return np.eye(3) + np.sin(angle) / angle * cross + (1 - np.cos(angle)) / angle**2 * cross @ cross


def project_jacobian(points: Array, turned: Array, intrinsics: Array) -> tuple[Array, Array]:
    """Pixels of moved points, and how they change with a small turn and shift.

    Args:
        points: ``(M, 3)`` points after the motion, in camera space.
        turned: ``(M, 3)`` the same less centre and shift: what a further turn acts on.
        intrinsics: ``(3, 3)`` in pixels.

    Returns:
        Pixels ``(M, 2)`` and their Jacobian ``(M, 2, 6)`` by rotation vector (left) and shift.
    """
    z = np.maximum(points[:, 2], 1e-6)
    focal = np.array([intrinsics[0, 0], intrinsics[1, 1]])
    pixels = points[:, :2] / z[:, None] * focal + intrinsics[:2, 2]
    by_point = np.zeros((len(points), 2, 3))
    by_point[:, 0, 0], by_point[:, 1, 1] = focal[0] / z, focal[1] / z
    by_point[:, :, 2] = -points[:, :2] / z[:, None] ** 2 * focal
    by_motion = np.zeros((len(points), 3, 6))
    by_motion[:, :, 3:] = np.eye(3)
    by_motion[:, 0, 1], by_motion[:, 0, 2] = turned[:, 2], -turned[:, 1]
    by_motion[:, 1, 0], by_motion[:, 1, 2] = -turned[:, 2], turned[:, 0]
    by_motion[:, 2, 0], by_motion[:, 2, 1] = turned[:, 1], -turned[:, 0]
    return pixels, by_point @ by_motion


def fit_pose(
    points: Array, pixels: Array, weight: Array, intrinsics: Array, start: RigidPose, options: RigidOptions
) -> RigidPose:
    """The rigid motion that carries known points to where they are seen, robustly.

    Gauss-Newton on reprojection errors under Geman-McClure weights whose width shrinks to ``robust_px``, so that half
    of the pixels may be wrong when the start is near. Motion along the view is weakly seen and held back a little.

    Args:
        points: ``(M, 3)`` camera-space points at the start.
        pixels: ``(M, 2)`` where they are seen.
        weight: ``(M,)`` trust, not negative.
        intrinsics: ``(3, 3)`` in pixels.
        start: First guess; its centre stays.
        options: See RigidOptions.
    """
    rotation, shift = start.rotation, start.shift
    px_per_unit = intrinsics[0, 0] / np.median(points[:, 2])
    for k in range(options.rounds):
        turned = (points - start.centre) @ rotation.T
        seen, jacobian = project_jacobian(turned + start.centre + shift, turned, intrinsics)
        residual = seen - pixels
        width = max(options.robust_px, 16.0 * 0.7**k)
        trust = weight / (1 + (residual**2).sum(-1) / width**2) ** 2
        normal = np.einsum("n,nai,naj->ij", trust, jacobian, jacobian)
        right = -np.einsum("n,nai,na->i", trust, jacobian, residual)
        hold = 4e-4 * trust.sum() * px_per_unit**2
        normal[5, 5] += hold
        right[5] -= hold * shift[2]
        normal += np.diag(1e-6 * np.diag(normal) + 1e-12)
        step = np.linalg.solve(normal, right)
        rotation, shift = rotation_of(step[:3]) @ rotation, shift + step[3:]
    return RigidPose(rotation, shift, start.centre)


def pose_flow(pose: RigidPose, points: Array, intrinsics: Array, part: NDArray[np.bool_]) -> tuple[Flow, Flow]:
    """Flow ``(H, W, 2)`` of a part under a pose, carried on beyond the part's rim, and the flow back.

    Args:
        pose: The motion.
        points: ``(H, W, 3)`` camera-space points of every pixel.
        intrinsics: ``(3, 3)``.
        part: ``(H, W)`` bool.
    """
    import cv2

    moved = pose.apply(points)
    z = np.maximum(moved[..., 2:], 1e-6)
    at = moved[..., :2] / z * [intrinsics[0, 0], intrinsics[1, 1]] + intrinsics[:2, 2] - 0.5
    flow = (at - identity_map(part.shape)).astype(np.float32)
    _, nearest = cv2.distanceTransformWithLabels(
        (~part).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    of_label = np.zeros((nearest.max() + 1, 2), np.float32)
    of_label[nearest[part]] = flow[part]
    flow = of_label[nearest]
    back = -flow
    for _ in range(8):  # the flow back solves b(y) = -f(y + b(y))
        back = -warp(flow, back)
    return flow, back


def follow_parts(
    clip: ClipFlows,
    flows: NDArray[np.float32],
    errors: NDArray[np.float32],
    scene: tuple[NDArray[np.float32], Array, NDArray[np.bool_]],
    options: RigidOptions | None = None,
    choice: RobustFlowOptions | None = None,
    on_step: OnStep = no_progress,
) -> RigidMotion:
    """Finds the rigid parts of a fixed-view clip, measures their flow again from their poses, and gives their depth.

    Args:
        clip: The fixed-view clip, T frames.
        flows: ``(T, H, W, 2)`` from frame 0.
        errors: ``(T, H, W)`` forward-backward errors in pixels.
        scene: Depth of frame 0 ``(H, W)``, intrinsics ``(3, 3)`` and valid pixels ``(H, W)``.
        options: See RigidOptions.
        choice: How candidates are weighed.
        on_step: Progress, one step a time and part.
    """
    options, choice = options or RigidOptions(), choice or RobustFlowOptions()
    depth0, intrinsics, valid = scene
    flows, errors = flows.copy(), errors.copy()
    depth = np.repeat(depth0[None], len(clip), 0)
    points = _lift(depth0.astype(np.float64), intrinsics)
    labels = moving_parts(flows, valid, options)
    count, believed = int(labels.max()), 0
    for number in range(1, count + 1):
        part = labels == number
        poses, new_flows, new_errors = _follow_part(
            clip,
            (flows, errors),
            (points, intrinsics, part),
            options,
            choice,
            lambda t, k=number: on_step((k - 1) * len(clip) + t, count * len(clip)),
        )
        left = _unexplained(poses, new_flows, new_errors, (points, intrinsics, part))
        sideways = [_lateral(p, new_flows[t], part, (points, intrinsics)) for t, p in enumerate(poses)]
        flat = _unexplained(sideways, new_flows, new_errors, (points, intrinsics, part))
        rigid, deep = left < options.left_over, left < options.depth_pays * flat
        turn = np.degrees(np.arccos(np.clip((np.trace(poses[-1].rotation) - 1) / 2, -1, 1)))
        log.info(
            "moving part of %.1f %% of the picture: %s (poses leave %.2f of its travel), turns %.1f degrees",
            100 * part.mean(),
            ("rigid" if deep else "rigid, at its depth") if rigid else "not rigid",
            left,
            turn,
        )
        if not rigid:
            continue
        believed += 1
        flows, errors = new_flows, new_errors
        for t, pose in enumerate(poses if deep else ()):
            depth[t][part] = np.maximum(pose.apply(points[part])[:, 2], 1e-3)
    return RigidMotion(flows, errors, depth, believed)


def _lift(depth: Array, intrinsics: Array) -> Array:
    at = identity_map(depth.shape) + 0.5
    rays = (at - intrinsics[:2, 2]) / [intrinsics[0, 0], intrinsics[1, 1]]
    return np.concatenate([rays * depth[..., None], depth[..., None]], -1)


def _follow_part(
    clip: ClipFlows,
    measured: tuple[NDArray, NDArray],
    body: tuple[Array, Array, NDArray[np.bool_]],
    options: RigidOptions,
    choice: RobustFlowOptions,
    on_time: Callable[[int], None],
) -> tuple[list[RigidPose], NDArray, NDArray]:
    """Poses of one part at every time, and flows and errors with what the poses found again."""
    points, intrinsics, part = body
    frames = clip.pictures
    flows, errors = measured[0].copy(), measured[1].copy()
    index = np.flatnonzero(part)
    index = index[:: max(1, len(index) // options.samples)]
    start = identity_map(part.shape).reshape(-1, 2)[index] + 0.5
    mine = points.reshape(-1, 3)[index]
    still = RigidPose(np.eye(3), np.zeros(3), np.median(mine, 0))
    poses = [still]

    def fit(t: int, guess: RigidPose) -> RigidPose:
        trust = np.clip(1.5 - errors[t].reshape(-1)[index], 0.05, 1)
        seen = start + flows[t].reshape(-1, 2)[index]
        return fit_pose(mine, seen.astype(np.float64), trust, intrinsics, guess, options)

    for t in range(1, len(frames)):
        guess = poses[-2].step_to(poses[-1]) if t > 1 else still
        ahead, back = pose_flow(guess, points, intrinsics, part)
        old = clip.measure(t, 0)
        pairs = [(clip.measure(0, t, ahead), clip.measure(t, 0, back)), (ahead, back)]
        best, error = candidate_cost(frames[0], frames[t], flows[t], old, choice)[0], errors[t].copy()
        for forward, backward in pairs:
            cost, returns = candidate_cost(frames[0], frames[t], forward, backward, choice)
            wins = part & (cost < best)
            flows[t][wins], error[wins], best[wins] = forward[wins], returns[wins], cost[wins]
        errors[t] = error
        flows[t][part] = smooth_flow(frames[0], flows[t], error, choice)[part]
        poses.append(
            min((fit(t, guess), fit(t, poses[-1])), key=lambda p: _misfit(p, mine, start, flows[t], index, intrinsics))
        )
        on_time(t)
    return poses, flows, errors


def _misfit(pose: RigidPose, points: Array, start: NDArray, flow: Flow, index: NDArray, intrinsics: Array) -> float:
    moved = pose.apply(points)
    seen, _ = project_jacobian(moved, moved, intrinsics)
    return float(np.minimum(np.linalg.norm(seen - start - flow.reshape(-1, 2)[index], axis=-1), 4.0).mean())


def _lateral(pose: RigidPose, flow: Flow, part: NDArray[np.bool_], scene: tuple[Array, Array]) -> RigidPose:
    """The shift parallel to the image that fits a part's flow best (medians), without turning or approaching."""
    points, intrinsics = scene
    shift = flow[part] * points[part][:, 2:] / [intrinsics[0, 0], intrinsics[1, 1]]
    return RigidPose(np.eye(3), np.array([*np.median(shift, 0), 0.0]), pose.centre)


def _unexplained(
    poses: list[RigidPose], flows: NDArray, errors: NDArray, body: tuple[Array, Array, NDArray[np.bool_]]
) -> float:
    """Share of a part's surely measured travel that its poses leave over: medians over its pixels, summed over time."""
    points, intrinsics, part = body
    mine, start = points[part], identity_map(part.shape)[part] + 0.5
    left, travel = 0.0, 1e-6
    for t in range(1, len(poses)):
        sure = errors[t][part] < 1.0
        if not sure.any():
            continue
        moved = poses[t].apply(mine[sure])
        seen, _ = project_jacobian(moved, moved, intrinsics)
        flow = flows[t][part][sure]
        left += float(np.median(np.linalg.norm(seen - start[sure] - flow, axis=-1)))
        travel += float(np.median(np.linalg.norm(flow, axis=-1)))
    return left / travel
