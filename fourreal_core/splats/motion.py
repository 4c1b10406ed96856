"""Where the deformation starts: which splats move, and the displacements the fixed-view tracks measured."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..cameras import project
from ..tracking.tracks import Tracks
from .scene import Scene4D


@dataclass(frozen=True)
class WorldMotion:
    """The fixed-view clip's tracks as motion in the world.

    Attributes:
        points: ``(M, 3)`` world positions at time 0.
        offsets: ``(T, M, 3)`` displacements from there in world units.
        visible: ``(T, M)`` bool, where they were measured.
        pixels: ``(M, 2)`` (x, y) where view 0 sees them at time 0.
        travel_px: ``(M,)`` longest visible displacement in pixels of view 0.
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
    travel = ((pixels - pixels[:1]).norm(dim=-1) * tracks.visible).amax(0)
    return WorldMotion(world[0], world - world[:1], tracks.visible, pixels[0], travel)


def motion_weights(scene: Scene4D, motion: WorldMotion, still_px: float, margin_px: int, candidates: int = 4096
                   ) -> Tensor:
    """Which splats move, ``(N,)`` 0 or 1.

    A splat that view 0 sees takes the answer of the tracks around its pixel; one that it does not see takes that of the
    nearest track in space, among a regular sample of them.

    Args:
        scene: Splats and cameras.
        motion: See world_motion.
        still_px: Travel in pixels up to which a track counts as standing.
        margin_px: Pixels by which moving regions are widened, so that silhouettes move whole.
        candidates: Size of the sample that hidden splats are compared with.
    """
    h, w = scene.cameras.size
    moves = motion.travel_px > still_px
    mask = torch.zeros(h, w, device=moves.device)
    index = motion.pixels.long()
    mask[index[:, 1].clamp(0, h - 1), index[:, 0].clamp(0, w - 1)] = moves.float()
    if margin_px > 0:
        size = 2 * margin_px + 1
        mask = torch.nn.functional.max_pool2d(mask[None, None], size, 1, margin_px)[0, 0]
    here = scene.in_view(0, 0)
    at = project(here, scene.cameras.intrinsics[0]).long()
    weight = mask[at[:, 1].clamp(0, h - 1), at[:, 0].clamp(0, w - 1)]
    hidden = (~scene.visible[0]).nonzero()[:, 0]
    if len(hidden) and bool(moves.any()):
        stride = max(1, len(moves) // candidates)
        known, answer = motion.points[::stride], moves[::stride].float()
        for part in hidden.split(16384):
            nearest = torch.cdist(scene.splats.means[part], known).argmin(1)
            weight[part] = answer[nearest]
    return weight
