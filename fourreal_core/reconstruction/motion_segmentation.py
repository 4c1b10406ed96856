"""Which pixels of every view move: labels of the fixed-view clip's tracks, propagated to all views and their outlines.

Tracks are least sure at silhouettes, and what view 0 does not see has none. A view's own picture and depth say where
its bodies end, so labels are transferred only where they are sure, and propagated along the picture's regions there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..cameras import inside_image, project
from ..flow.edge_aware_filter import complete
from ..flow.flow_cache import FlowCache
from ..progress import OnStep, no_progress
from ..scene.scene4d import Scene4D
from ..tracking.tracks import Tracks
from .scene_flow import SceneFlow, scene_flow
from .view_correspondence import ViewMatch, matches_with_first

REACH_PX = 8.0
"""How far labels spread over regions of one colour and depth."""
EDGE = 0.1
"""Colour difference, summed over RGB, at which the spreading has fallen to 1/e."""
DEPTH_EDGE = 0.05
"""Relative depth difference that counts as much as EDGE."""
RIM_PX = 3
"""Labels this near to an outline are not transferred to other views, where matches are off by as much."""
PLAIN = 2.0
"""Mean gradient in grey levels a pixel below which a region says little about standing: it looks alike either way."""
PRIOR = 1e-3
"""Confidence in standing where nothing is known, against 1 for a sure track."""


@dataclass(frozen=True)
class ClipMotion:
    """What the two clips measure of motion: the fixed-view clip's tracks, and where every view shows the same things.

    Attributes:
        scene: Its cameras, and the depth that every view sees.
        frames: The freeze-time clip ``(V, H, W, 3)`` in ``[0, 1]``.
        flow: Scene flow at view 0.
        matches: Of every view with view 0.
    """

    scene: Scene4D
    frames: Tensor
    flow: SceneFlow
    matches: Sequence[ViewMatch]

    def guide(self, view: int) -> NDArray[np.float32]:
        """What spreading must not cross: colours and log depth, scaled to count alike, ``(H, W, 4)``."""
        log_depth = self.scene.view_depth[view].clamp_min(1e-3).log()[..., None] * (EDGE / DEPTH_EDGE)
        return torch.cat([self.frames[view].to(log_depth), log_depth], -1).cpu().numpy().astype(np.float32)


def clip_motion(scene: Scene4D, tracks: Tracks, frames: Tensor, flows: FlowCache) -> ClipMotion:
    """Takes the fixed-view clip's tracks into the world and matches every view with view 0.

    Args:
        scene: Canonical splats that stand.
        tracks: Of the fixed-view clip.
        frames: The freeze-time clip ``(V, H, W, 3)`` in ``[0, 1]``.
        flows: Between known cells.
    """
    return ClipMotion(scene, frames, scene_flow(scene, tracks), matches_with_first(scene, frames, flows))


def motion_maps(motion: ClipMotion, on_step: OnStep = no_progress) -> Tensor:
    """What moves in every view, ``(V, H, W)`` of 0 and 1.

    Args:
        motion: See ClipMotion.
        on_step: Progress, one step a view.
    """
    scene = motion.scene
    first = _first_view(motion)
    maps = [first]
    rim = 2 * RIM_PX + 1
    grown = torch.nn.functional.max_pool2d(torch.stack([first, 1 - first])[None], rim, 1, RIM_PX)[0]
    inner = (grown.sum(0) < 1.5).to(first)  # where both grow over each other an outline is near
    on_step(1, scene.views)
    h, w = scene.cameras.size
    for v in range(1, scene.views):
        match = motion.matches[v]
        confidence = match.confidence * inner[match.row, match.column]
        label = first[match.row, match.column]
        maps.append(_propagated(label.view(h, w), confidence.view(h, w), motion.guide(v)))
        on_step(v + 1, scene.views)
    return torch.stack(maps)


def splat_motion(scene: Scene4D, maps: Tensor) -> Tensor:
    """Motion weight ``(N,)`` of every splat, 0 or 1: the majority of the views that see it.

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
        inside = inside_image(at, (h, w)) & (here[:, 2] > 0)
        seen = (scene.visible[v] & inside).to(votes)
        votes += seen * maps[v, at[:, 1].long().clamp(0, h - 1), at[:, 0].long().clamp(0, w - 1)]
        count += seen
    return (votes > 0.5 * count).to(votes)


def _first_view(motion: ClipMotion) -> Tensor:
    """View 0's map ``(H, W)``: moving tracks count by how often they were seen, standing ones by their texture."""
    flow = motion.flow
    h, w = motion.scene.cameras.size
    label, confidence = (torch.zeros(h, w, device=flow.points.device) for _ in range(2))
    column, row = flow.pixels[:, 0].long().clamp(0, w - 1), flow.pixels[:, 1].long().clamp(0, h - 1)
    label[row, column] = flow.moves.float()
    texture = _texture(motion.frames[0])[row, column] / PLAIN
    confidence[row, column] = torch.where(flow.moves, flow.visible.float().mean(0), texture.clamp(max=1))
    return _propagated(label, confidence, motion.guide(0))


def _texture(frame: Tensor) -> Tensor:
    """Mean absolute gradient ``(H, W)`` of a frame's grey over a 5 x 5 window, in grey levels of 255 a pixel."""
    grey = frame.float().mean(-1)
    across, down = torch.zeros_like(grey), torch.zeros_like(grey)
    across[:, 1:-1] = (grey[:, 2:] - grey[:, :-2]).abs() / 2
    down[1:-1] = (grey[2:] - grey[:-2]).abs() / 2
    return torch.nn.functional.avg_pool2d(255 * (across + down)[None], 5, 1, 2)[0]


def _propagated(label: Tensor, confidence: Tensor, guide: NDArray[np.float32]) -> Tensor:
    """Labels ``(H, W)`` spread by confidence ``(H, W)`` along regions of the guide, 0 or 1."""
    known = torch.maximum(confidence.float(), torch.full_like(confidence, PRIOR, dtype=torch.float32))
    value = torch.where(confidence > 0, label.float(), torch.zeros_like(label, dtype=torch.float32))
    spread, _ = complete(value.cpu().numpy(), known.cpu().numpy(), guide, REACH_PX**2, EDGE)
    return torch.from_numpy((spread > 0.5).astype(np.float32)).to(label.device)
