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


def motion_weights(scene: Scene4D, motion: WorldMotion, points: Tensor, still_px: float, margin_px: int,
                   same_surface: float = 0.06, candidates: int = 1024) -> Tensor:
    """How much world points take part in the motion, ``(N,)`` in ``[0, 1]``; 0 or 1 for all that view 0 looks at.

    A point that view 0 sees takes the answer of the tracks around its pixel; one that it does not see takes that of the
    nearest track in space, among a regular sample of those away from silhouettes.

    Args:
        scene: Its cameras, and the depth that view 0 sees.
        motion: See world_motion.
        points: ``(N, 3)`` world points.
        still_px: Travel in pixels up to which a track counts as standing.
        margin_px: Pixels by which moving regions are widened, so that silhouettes move whole.
        same_surface: Relative depth difference up to which view 0 sees the point.
        candidates: Size of the sample that hidden points are compared with.
    """
    h, w = scene.cameras.size
    moves = motion.travel_px > still_px
    mask = torch.zeros(h, w, device=moves.device)
    index = motion.pixels.long()
    column, row = index[:, 0].clamp(0, w - 1), index[:, 1].clamp(0, h - 1)
    mask[row, column] = moves.float()
    wide = _widened(mask, margin_px)
    here = scene.cameras[0].to_camera(points)[0]
    at = project(here, scene.cameras.intrinsics[0])
    ix, iy = at[:, 0].long().clamp(0, w - 1), at[:, 1].long().clamp(0, h - 1)
    inside = (at[:, 0] >= 0) & (at[:, 0] < w) & (at[:, 1] >= 0) & (at[:, 1] < h)
    seen = inside & ((here[:, 2] - scene.view_depth[0, iy, ix]).abs() < same_surface * here[:, 2])
    weight = wide[iy, ix]
    hidden = (~seen).nonzero()[:, 0]
    # flow smears over silhouettes: a wall beside a moving arm seems to move, so such tracks don't speak for others
    reach = max(2, w // 64)
    settled = (_widened(mask, reach) == 1 - _widened(1 - mask, reach))[row, column].nonzero()[:, 0]
    if len(hidden) and len(settled):
        sample = settled[:: max(1, len(settled) // candidates)]
        known, answer = motion.points[sample], moves[sample].float()
        for part in hidden.split(16384):
            weight[part] = answer[torch.cdist(points[part], known).argmin(1)]
    # beyond view 0's image nothing was measured: the field fades out over a few hundredths of it
    beyond = torch.stack([-at[:, 0], at[:, 0] - w, -at[:, 1], at[:, 1] - h]).amax(0).clamp_min(0)
    return weight * torch.exp(-((beyond / (0.04 * w)) ** 2)) * (here[:, 2] > 0)


def _widened(mask: Tensor, pixels: int) -> Tensor:
    """A mask ``(H, W)`` grown by some pixels to all sides."""
    return torch.nn.functional.max_pool2d(mask[None, None], 2 * pixels + 1, 1, pixels)[0, 0]
