"""Parts of a fixed-view clip that move as rigid bodies: their 3D motion from 2D flow and the depth at the start.

One camera that stands gives no parallax, but a body of known shape shows its depth change: as it turns or recedes, its
points move against each other (pose from known points, PnP). Where flow lost a fast body, it is measured again from
what the body's poses predict.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..flow.clip_flows import ClipFlows
from ..flow.flow_field import Flow, Image, Mask, identity_map
from ..flow.robust_flow import candidate_cost, smooth_flow
from ..progress import OnStep, no_progress
from .rigid_pose import Array, RigidPose, fit_pose, pose_flow, project_points

log = logging.getLogger(__name__)
Maps = NDArray[np.float32]

MOVES_PX = 1.0
"""Travel in pixels from which a pixel belongs to a moving part."""
LEAST_SHARE = 0.01
"""Smallest part, as a share of the picture."""
SAMPLES = 3000
"""Pixels of a part that its pose is fitted to."""
MOST_UNEXPLAINED = 0.2
"""A part is rigid when its poses leave at most this share of its travel unexplained."""
RELIABLE_PX = 1.0
"""Forward-backward error up to which a pixel takes part in that."""
DEPTH_PAYS = 0.75
"""Its depth changes only where the poses leave at most this share of what a shift at constant depth leaves: turns and
approach are weakly observed, and noise must not pass for them."""


@dataclass(frozen=True)
class FirstFrame:
    """What is known of a fixed-view clip's first frame.

    Attributes:
        depth: ``(H, W)``.
        intrinsics: ``(3, 3)`` in pixels.
        valid: ``(H, W)`` pixels that show the scene.
    """

    depth: Image
    intrinsics: Array
    valid: Mask

    @property
    def points(self) -> Array:
        """Camera-space points ``(H, W, 3)``."""
        depth = self.depth.astype(np.float64)
        rays = (identity_map(depth.shape) + 0.5 - self.intrinsics[:2, 2]) / np.diag(self.intrinsics)[:2]
        return np.concatenate([rays * depth[..., None], depth[..., None]], -1)


@dataclass(frozen=True)
class ClipMotion:
    """How a fixed-view clip moves, from its first frame on.

    Attributes:
        flows: ``(T, H, W, 2)`` in pixels from frame 0.
        errors: ``(T, H, W)`` forward-backward errors in pixels.
        depth: ``(T, H, W)`` depth at every time of what frame 0's pixels show.
        rigid_parts: How many rigid parts were found.
    """

    flows: Maps
    errors: Maps
    depth: Maps
    rigid_parts: int = 0


@dataclass(frozen=True)
class RigidPart:
    """A part of the first frame: its pixels, and a share of them that its pose is fitted to.

    Attributes:
        mask: ``(H, W)``.
        points: ``(H, W, 3)`` camera-space points of all pixels.
        intrinsics: ``(3, 3)``.
        index: ``(M,)`` the share, as flat indices.
    """

    mask: Mask
    points: Array
    intrinsics: Array
    index: NDArray[np.int64]

    @classmethod
    def of(cls, mask: Mask, points: Array, intrinsics: Array) -> RigidPart:
        """All pixels of a part, and every so many of them."""
        index = np.flatnonzero(mask)
        return cls(mask, points, intrinsics, index[:: max(1, len(index) // SAMPLES)])

    @property
    def standing(self) -> RigidPose:
        """No motion yet."""
        return RigidPose(np.eye(3), np.zeros(3), np.median(self.points.reshape(-1, 3)[self.index], 0))

    def fit(self, flow: Flow, error: Image, start: RigidPose) -> RigidPose:
        """The part's pose under a flow; what misses its start by more than half a pixel counts less."""
        seen = (identity_map(self.mask.shape) + 0.5 + flow).reshape(-1, 2)[self.index].astype(np.float64)
        trust = np.clip(1.5 - error.reshape(-1)[self.index], 0.05, 1)
        return fit_pose(self.points.reshape(-1, 3)[self.index], seen, trust, self.intrinsics, start)


def moving_parts(flows: Maps, valid: Mask) -> NDArray[np.int32]:
    """Connected parts ``(H, W)`` of the picture that move at any time, numbered from 1; 0 stands or is too small."""
    from ..needed.opencv import cv2

    moves = (np.linalg.norm(flows, axis=-1).max(0) > MOVES_PX) & valid
    reach = np.ones((5, 5), np.uint8)  # closes gaps that flow left standing, parts thin bridges between bodies
    mask = cv2.morphologyEx(cv2.morphologyEx(moves.astype(np.uint8), cv2.MORPH_CLOSE, reach), cv2.MORPH_OPEN, reach)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    large = [k for k in range(1, count) if stats[k, cv2.CC_STAT_AREA] >= LEAST_SHARE * mask.size]
    out = np.zeros(labels.shape, np.int32)
    for number, k in enumerate(large, 1):
        out[labels == k] = number
    return out


def follow_parts(
    clip: ClipFlows, flows: Maps, errors: Maps, first: FirstFrame, on_step: OnStep = no_progress
) -> ClipMotion:
    """Finds the rigid parts of a fixed-view clip, measures their flow again from their poses, and gives their depth.

    Args:
        clip: The fixed-view clip, T frames.
        flows: ``(T, H, W, 2)`` from frame 0.
        errors: ``(T, H, W)`` forward-backward errors in pixels.
        first: The first frame.
        on_step: Progress, one step a time and part.
    """
    motion = ClipMotion(flows.copy(), errors.copy(), np.repeat(first.depth[None], len(clip), 0))
    points, labels = first.points, moving_parts(flows, first.valid)
    count, times = int(labels.max()), len(clip)
    for number in range(1, count + 1):

        def on_time(t: int, before: int = (number - 1) * times) -> None:
            on_step(before + t, count * times)

        part = RigidPart.of(labels == number, points, first.intrinsics)
        poses, found = _follow_part(clip, motion, part, on_time)
        left, left_sideways = unexplained_travel(poses, found, part)
        rigid, deep = left < MOST_UNEXPLAINED, left < DEPTH_PAYS * left_sideways
        turn = np.degrees(np.arccos(np.clip((np.trace(poses[-1].rotation) - 1) / 2, -1, 1)))
        log.info(
            "moving part of %.1f %% of the picture: %s (poses leave %.2f of its travel), turns %.1f degrees",
            100 * part.mask.mean(),
            ("rigid" if deep else "rigid, at its depth") if rigid else "not rigid",
            left,
            turn,
        )
        if not rigid:
            continue
        motion = replace(found, rigid_parts=motion.rigid_parts + 1)
        for t, pose in enumerate(poses if deep else ()):
            motion.depth[t][part.mask] = np.maximum(pose.apply(points[part.mask])[:, 2], 1e-3)
    return motion


def _follow_part(
    clip: ClipFlows, motion: ClipMotion, part: RigidPart, on_time: Callable[[int], None]
) -> tuple[list[RigidPose], ClipMotion]:
    """Poses of one part at every time, and the motion with its flow measured again from what poses predict."""
    first, flows, errors = clip.pictures[0], motion.flows.copy(), motion.errors.copy()
    poses = [part.standing]
    for t in range(1, len(clip)):
        guess = poses[-2].extrapolated(poses[-1]) if t > 1 else poses[0]
        ahead, back = pose_flow(guess, part.points, part.intrinsics, part.mask)
        best = candidate_cost(first, clip.pictures[t], flows[t], clip.measure(t, 0))[0]
        for forward, backward in ((clip.measure(0, t, ahead), clip.measure(t, 0, back)), (ahead, back)):
            cost, returns = candidate_cost(first, clip.pictures[t], forward, backward)
            wins = part.mask & (cost < best)
            flows[t][wins], errors[t][wins], best[wins] = forward[wins], returns[wins], cost[wins]
        flows[t][part.mask] = smooth_flow(first, flows[t], errors[t])[part.mask]
        poses.append(part.fit(flows[t], errors[t], guess))
        on_time(t)
    return poses, replace(motion, flows=flows, errors=errors)


def unexplained_travel(poses: list[RigidPose], motion: ClipMotion, part: RigidPart) -> tuple[float, float]:
    """Shares of a part's reliably measured travel that its poses leave, and that shifts at constant depth leave.

    Medians over its pixels, summed over time.

    Args:
        poses: At every time.
        motion: The measured flow.
        part: The part.
    """
    points, start = part.points[part.mask], identity_map(part.mask.shape)[part.mask] + 0.5
    left, travel = np.zeros(2), 1e-6
    for t in range(1, len(poses)):
        reliable = motion.errors[t][part.mask] < RELIABLE_PX
        if not reliable.any():
            continue
        flow = motion.flows[t][part.mask]
        sideways = np.median(flow * points[:, 2:] / [part.intrinsics[0, 0], part.intrinsics[1, 1]], 0)
        shifted = RigidPose(np.eye(3), np.array([*sideways, 0.0]), poses[t].centre)
        for k, pose in enumerate((poses[t], shifted)):
            seen = project_points(pose.apply(points[reliable]), part.intrinsics)
            left[k] += np.median(np.linalg.norm(seen - start[reliable] - flow[reliable], axis=-1))
        travel += float(np.median(np.linalg.norm(flow[reliable], axis=-1)))
    return float(left[0] / travel), float(left[1] / travel)
