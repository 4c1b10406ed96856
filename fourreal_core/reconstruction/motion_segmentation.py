"""Which pixels of every view move: the fixed-view clip's tracks, carried to all views and fitted to their outlines.

Tracks are least sure at silhouettes, and what view 0 does not see has none. A view's own picture and depth say where
its bodies end, so answers are carried only where they are sure and spread along the picture's regions from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..cameras import project
from ..errors import InputError
from ..flow.edge_aware_filter import complete
from ..progress import OnStep, no_progress
from ..scene.scene4d import Scene4D
from .scene_flow import WorldMotion
from .view_correspondence import ViewMatch, match_by_geometry


@dataclass(frozen=True)
class MotionMapOptions:
    """How moving regions are outlined.

    Attributes:
        still_px: Travel in pixels up to which a track counts as standing.
        reach_px: How far answers spread over regions of one colour and depth.
        edge: Colour difference, summed over RGB, at which the spreading has fallen to 1/e.
        depth_edge: Relative depth difference that counts as much as ``edge``.
        rim_px: Answers this near to an outline are not carried to other views, whose geometry is off by as much.
        plain: Mean gradient in grey levels a pixel below which a region says little about standing.
        standing: Trust in standing where nothing is known, against 1 for a sure track.
    """

    still_px: float = 0.7
    reach_px: float = 8.0
    edge: float = 0.1
    depth_edge: float = 0.05
    rim_px: int = 3
    plain: float = 2.0
    standing: float = 1e-3

    def __post_init__(self) -> None:
        if min(self.reach_px, self.edge, self.depth_edge, self.still_px) <= 0 or self.rim_px < 0:
            raise InputError(
                f"a reach of {self.reach_px}, edges of {self.edge} and {self.depth_edge}, a rim of {self.rim_px}",
                "positive numbers",
                "leave them at their defaults",
            )


def motion_maps(
    scene: Scene4D,
    motion: WorldMotion,
    frames: Tensor,
    options: MotionMapOptions | None = None,
    matches: Sequence[ViewMatch] | None = None,
    on_step: OnStep = no_progress,
) -> Tensor:
    """What moves in every view, ``(V, H, W)`` of 0 and 1.

    Args:
        scene: Its cameras and the depth that every view sees.
        motion: See world_motion.
        frames: The freeze-time clip ``(V, H, W, 3)`` in ``[0, 1]``.
        options: See MotionMapOptions.
        matches: Of all views with view 0; by geometry if None.
        on_step: Progress, one step a view.
    """
    options = options or MotionMapOptions()
    matches = matches or [match_by_geometry(scene, v) for v in range(scene.views)]
    first = _first_view(scene, motion, frames[0], options)
    maps = [first]
    rim = 2 * options.rim_px + 1
    grown = torch.nn.functional.max_pool2d(torch.stack([first, 1 - first])[None], rim, 1, options.rim_px)[0]
    sure = (grown.sum(0) < 1.5).to(first)  # both grown over each other: an outline is near
    on_step(1, scene.views)
    h, w = scene.cameras.size
    for v in range(1, scene.views):
        match = matches[v]
        trust = match.trust * sure[match.row, match.column]
        maps.append(
            _outlined(
                first[match.row, match.column].view(h, w), trust.view(h, w), frames[v], scene.view_depth[v], options
            )
        )
        on_step(v + 1, scene.views)
    return torch.stack(maps)


def splat_motion(scene: Scene4D, maps: Tensor) -> Tensor:
    """Motion weight ``(N,)`` of every splat, 0 or 1: what most of the views that see it say.

    Args:
        scene: Its splats and cameras.
        maps: ``(V, H, W)`` from motion_maps.
    """
    h, w = scene.cameras.size
    votes = torch.zeros(len(scene.splats), device=maps.device)
    count = torch.zeros_like(votes)
    for v in range(scene.views):
        here = scene.in_view(v, 0)
        at = project(here, scene.cameras.intrinsics[v])
        inside = (at[:, 0] >= 0) & (at[:, 0] < w) & (at[:, 1] >= 0) & (at[:, 1] < h) & (here[:, 2] > 0)
        seen = (scene.visible[v] & inside).to(votes)
        votes += seen * maps[v, at[:, 1].long().clamp(0, h - 1), at[:, 0].long().clamp(0, w - 1)]
        count += seen
    return (votes > 0.5 * count).to(votes)


def _first_view(scene: Scene4D, motion: WorldMotion, frame: Tensor, options: MotionMapOptions) -> Tensor:
    """View 0's map ``(H, W)``: tracks count as much as they were surely seen."""
    h, w = scene.cameras.size
    answer, trust = torch.zeros(h, w, device=motion.points.device), torch.zeros(h, w, device=motion.points.device)
    column, row = motion.pixels[:, 0].long().clamp(0, w - 1), motion.pixels[:, 1].long().clamp(0, h - 1)
    moves = motion.travel_px > options.still_px
    answer[row, column] = moves.float()
    texture = _texture(frame)[row, column] / options.plain  # a plain region explains standing and moving alike
    trust[row, column] = torch.where(moves, motion.visible.float().mean(0).clamp_min(0.05), texture.clamp(1e-2, 1))
    return _outlined(answer, trust, frame, scene.view_depth[0], options)


def region_guide(frame: Tensor, depth: Tensor, options: MotionMapOptions) -> np.ndarray:
    """What spreading must not cross: colours ``(H, W, 3)`` and log depth, scaled to count alike, ``(H, W, 4)``."""
    relative = depth.clamp_min(1e-3).log()[..., None] * (options.edge / options.depth_edge)
    return torch.cat([frame.to(depth), relative], -1).cpu().numpy().astype(np.float32)


def _texture(frame: Tensor) -> Tensor:
    """Mean absolute gradient ``(H, W)`` of a frame's grey over a 5 x 5 window, in grey levels of 255 a pixel."""
    grey = frame.float().mean(-1)
    across, down = torch.zeros_like(grey), torch.zeros_like(grey)
    across[:, 1:-1] = (grey[:, 2:] - grey[:, :-2]).abs() / 2
    down[1:-1] = (grey[2:] - grey[:-2]).abs() / 2
    return torch.nn.functional.avg_pool2d(255 * (across + down)[None], 5, 1, 2)[0]


def _outlined(answer: Tensor, trust: Tensor, frame: Tensor, depth: Tensor, options: MotionMapOptions) -> Tensor:
    """Spreads answers ``(H, W)`` in 0..1 by trust ``(H, W)`` along regions of one colour and depth; 0 or 1."""
    guide = region_guide(frame, depth, options)
    known = torch.maximum(trust.float(), torch.full_like(trust, options.standing, dtype=torch.float32))
    value = torch.where(trust > 0, answer.float(), torch.zeros_like(answer, dtype=torch.float32))
    spread, _ = complete(value.cpu().numpy(), known.cpu().numpy(), guide, options.reach_px**2, options.edge)
    return torch.from_numpy((spread > 0.5).astype(np.float32)).to(answer.device)
