"""Scene flow at view 0: how far the fixed-view clip's tracks carry its points, in the world."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..cameras import project
from ..scene.scene4d import Scene4D
from ..tracking.tracks import Tracks

STILL_PX = 0.7
"""Travel in pixels up to which a track counts as standing."""


@dataclass(frozen=True)
class SceneFlow:
    """The fixed-view clip's tracks as displacements in the world.

    Attributes:
        points: ``(M, 3)`` world positions at time 0.
        offsets: ``(T, M, 3)`` displacements from there in world units.
        visible: ``(T, M)`` bool, where they were measured.
        pixels: ``(M, 2)`` (x, y) where view 0 sees them at time 0.
        travel_px: ``(M,)`` longest displacement in pixels of view 0, seen or not: what moves fast is often not followed
            surely, and would stand still if it did not count.
        px_per_unit: ``(M,)`` pixels of view 0 that one world unit spans at the point.
    """

    points: Tensor
    offsets: Tensor
    visible: Tensor
    pixels: Tensor
    travel_px: Tensor
    px_per_unit: Tensor

    @property
    def moves(self) -> Tensor:
        """Which points move, ``(M,)`` bool."""
        return self.travel_px > STILL_PX

    def select(self, keep: Tensor) -> SceneFlow:
        """The points picked by a bool mask or an index tensor."""
        return SceneFlow(
            self.points[keep],
            self.offsets[:, keep],
            self.visible[:, keep],
            self.pixels[keep],
            self.travel_px[keep],
            self.px_per_unit[keep],
        )


def scene_flow(scene: Scene4D, tracks: Tracks) -> SceneFlow:
    """Takes tracks in view 0's camera space into the world (its camera stands, so the motion is the scene's)."""
    rot, trans = scene.cameras.world_to_cam[0, :3, :3], scene.cameras.world_to_cam[0, :3, 3]
    world = (tracks.positions - trans) @ rot
    pixels = project(tracks.positions, tracks.intrinsics[:, None])
    travel = (pixels - pixels[:1]).norm(dim=-1).amax(0)
    px_per_unit = scene.cameras.intrinsics[0, 0, 0] / tracks.positions[0, :, 2].clamp_min(1e-3)
    return SceneFlow(world[0], world - world[:1], tracks.visible, pixels[0], travel, px_per_unit)
