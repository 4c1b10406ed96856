"""Pose of a rigid body from known points and where they are seen (PnP), by robust Gauss-Newton."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..flow.flow_field import Flow, Mask, identity_map, invert_flow
from ..geometry.rotations import rotation_from_vector

Array = NDArray[np.float64]

ROUNDS = 15
"""Gauss-Newton steps."""
ROBUST_PX, FIRST_ROBUST_PX, ROBUST_SHRINKS = 2.0, 16.0, 0.7
"""Geman-McClure's width in pixels: in the end, at the start, and its factor from step to step."""
DEPTH_PRIOR = 4e-4
"""Weight of a quadratic prior that keeps the shift along the view at zero, a square pixel for each pixel of sideways
motion: it is weakly observed, and noise must not pass for it."""


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
        moved: Array = (points - self.centre) @ self.rotation.T + self.centre + self.shift
        return moved

    def extrapolated(self, later: RigidPose) -> RigidPose:
        """The pose as much after ``later`` as ``later`` is after this one: constant velocity."""
        turn = later.rotation @ self.rotation.T
        return RigidPose(turn @ later.rotation, 2 * later.shift - self.shift, self.centre)


def project_points(points: Array, intrinsics: Array) -> Array:
    """Pixels ``(..., 2)`` of camera-space points ``(..., 3)``; those behind the camera are held in front of it."""
    focal = np.array([intrinsics[0, 0], intrinsics[1, 1]])
    pixels: Array = points[..., :2] / np.maximum(points[..., 2:], 1e-6) * focal + intrinsics[:2, 2]
    return pixels


def project_jacobian(points: Array, turned: Array, intrinsics: Array) -> Array:
    """How the pixels of moved points change with a small turn and shift.

    Args:
        points: ``(M, 3)`` points after the motion, in camera space.
        turned: ``(M, 3)`` the same less centre and shift: what a further turn acts on.
        intrinsics: ``(3, 3)`` in pixels.

    Returns:
        ``(M, 2, 6)`` by rotation vector (left) and shift.
    """
    z = np.maximum(points[:, 2], 1e-6)
    focal = np.array([intrinsics[0, 0], intrinsics[1, 1]])
    by_point = np.zeros((len(points), 2, 3))
    by_point[:, 0, 0], by_point[:, 1, 1] = focal[0] / z, focal[1] / z
    by_point[:, :, 2] = -points[:, :2] / z[:, None] ** 2 * focal
    by_motion = np.zeros((len(points), 3, 6))
    by_motion[:, :, 3:] = np.eye(3)
    by_motion[:, 0, 1], by_motion[:, 0, 2] = turned[:, 2], -turned[:, 1]
    by_motion[:, 1, 0], by_motion[:, 1, 2] = -turned[:, 2], turned[:, 0]
    by_motion[:, 2, 0], by_motion[:, 2, 1] = turned[:, 1], -turned[:, 0]
    jacobian: Array = by_point @ by_motion
    return jacobian


def fit_pose(points: Array, pixels: Array, weight: Array, intrinsics: Array, start: RigidPose) -> RigidPose:
    """The rigid motion that carries known points to where they are seen, robustly.

    Gauss-Newton on reprojection errors under Geman-McClure weights whose width shrinks, so that half of the pixels may
    be wrong when the start is near. Motion along the view has a prior (DEPTH_PRIOR).

    Args:
        points: ``(M, 3)`` camera-space points at the start.
        pixels: ``(M, 2)`` where they are seen.
        weight: ``(M,)`` trust, not negative.
        intrinsics: ``(3, 3)`` in pixels.
        start: First guess; its centre stays.
    """
    rotation, shift = start.rotation, start.shift
    px_per_unit = intrinsics[0, 0] / np.median(points[:, 2])
    for k in range(ROUNDS):
        turned = (points - start.centre) @ rotation.T
        moved = turned + start.centre + shift
        jacobian = project_jacobian(moved, turned, intrinsics)
        residual = project_points(moved, intrinsics) - pixels
        width = max(ROBUST_PX, FIRST_ROBUST_PX * ROBUST_SHRINKS**k)
        trust = weight / (1 + (residual**2).sum(-1) / width**2) ** 2
        normal = np.einsum("n,nai,naj->ij", trust, jacobian, jacobian)
        right = -np.einsum("n,nai,na->i", trust, jacobian, residual)
        prior = DEPTH_PRIOR * trust.sum() * px_per_unit**2
        normal[5, 5] += prior
        right[5] -= prior * shift[2]
        normal += np.diag(1e-6 * np.diag(normal) + 1e-12)
        step = np.linalg.solve(normal, right)
        rotation, shift = rotation_from_vector(step[:3]) @ rotation, shift + step[3:]
    return RigidPose(rotation, shift, start.centre)


def pose_flow(pose: RigidPose, points: Array, intrinsics: Array, part: Mask) -> tuple[Flow, Flow]:
    """Flow ``(H, W, 2)`` of a part under a pose, extrapolated beyond the part's rim by its nearest pixel, and its
    inverse.

    Args:
        pose: The motion.
        points: ``(H, W, 3)`` camera-space points of every pixel.
        intrinsics: ``(3, 3)``.
        part: ``(H, W)`` bool.
    """
    from ..needed.opencv import cv2

    at = project_points(pose.apply(points), intrinsics) - 0.5
    flow = (at - identity_map(part.shape)).astype(np.float32)
    _, nearest = cv2.distanceTransformWithLabels(
        (~part).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    of_label = np.zeros((nearest.max() + 1, 2), np.float32)
    of_label[nearest[part]] = flow[part]
    flow = of_label[nearest]
    return flow, invert_flow(flow, 8)
