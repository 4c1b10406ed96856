"""Where the deformation starts: the displacements that the fixed-view clip's tracks measured."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..cameras import project
from ..scene.scene4d import Scene4D
from ..tracking.tracks import Tracks


@dataclass(frozen=True)
class WorldMotion:
    """The fixed-view clip's tracks as motion in the world.

    Attributes:
        points: ``(M, 3)`` world positions at time 0.
        offsets: ``(T, M, 3)`` displacements from there in world units.
        visible: ``(T, M)`` bool, where they were measured.
        pixels: ``(M, 2)`` (x, y) where view 0 sees them at time 0.
        travel_px: ``(M,)`` longest displacement in pixels of view 0, seen or not: what moves fast is often not followed
            surely, and would stand still if it did not count.
    """

    points: Tensor
    offsets: Tensor
    visible: Tensor
    pixels: Tensor
    travel_px: Tensor


def world_motion(scene: Scene4D, tracks: Tracks) -> WorldMotion:
    """Carries tracks in view 0's camera space into the world (its camera stands, so the motion is the scene's)."""
    rot, trans = scene.cameras.world_to_cam[0, :3, :3], scene.cameras.world_to_cam[0, :3, 3]
    world = (tracks.positions - trans) @ rot
    pixels = project(tracks.positions, tracks.intrinsics[:, None])
    travel = (pixels - pixels[:1]).norm(dim=-1).amax(0)
    return WorldMotion(world[0], world - world[:1], tracks.visible, pixels[0], travel)
