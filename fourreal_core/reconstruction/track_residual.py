"""What tracks measured and the deformation field does not follow: a fixed correction, one map a view and time.

The field is smooth and falls to nothing where it was not fitted; hands and wheels are not smooth, and half of a body
is hidden from the view that was tracked. As ``dp_view`` keeps what tracks found beyond the rigid cameras (supplement
eq. 3), these maps keep what the fixed-view clip's tracks found beyond ``dp_time``: measured where view 0 sees a point,
carried on along the regions of every other view's own picture where it does not. The paper leaves this out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..flow.edge_aware_filter import smooth
from ..progress import OnStep, no_progress
from ..scene.deformation_field import Deformation
from ..scene.pixel_points import view_points
from ..scene.scene4d import Scene4D
from .motion_segmentation import MotionMapOptions, region_guide
from .scene_flow import WorldMotion
from .view_correspondence import ViewMatch, match_by_geometry


@dataclass(frozen=True)
class _TrackedImage:
    """Tracks as pictures of view 0: offsets ``(H, W, T * 3)`` in units of depth, and trust ``(H, W)``."""

    offsets: np.ndarray
    trust: np.ndarray


def residual_maps(
    scene: Scene4D,
    deformation: Deformation,
    motion: WorldMotion,
    maps: Tensor,
    frames: Tensor,
    options: MotionMapOptions | None = None,
    cell: int = 2,
    matches: Sequence[ViewMatch] | None = None,
    on_step: OnStep = no_progress,
) -> Tensor:
    """Displacement beyond the field for what every view sees.

    Args:
        scene: Its cameras and the depth that every view sees.
        deformation: Solved from the same tracks.
        motion: Tracks in the world, T times.
        maps: ``(V, H, W)`` what moves in every view, from motion_maps.
        frames: The freeze-time clip ``(V, H, W, 3)`` in ``[0, 1]``.
        options: How far answers spread.
        cell: Pixels a side that share one value, their mean.
        matches: Of all views with view 0; by geometry if None.
        on_step: Progress, one step a view.

    Returns:
        ``(V, T, 3, H / cell, W / cell)`` in units of the point's depth, so that it means the same at any depth.
    """
    options = options or MotionMapOptions()
    times = motion.offsets.shape[0]
    matches = matches or [match_by_geometry(scene, v) for v in range(scene.views)]
    tracked = _tracked_image(scene, motion, options)
    out = []
    for v in range(scene.views):
        points = view_points(scene, v)
        value, trust = _carried(matches[v], tracked)
        guide = region_guide(frames[v], scene.view_depth[v], options)
        trust = trust * maps[v].cpu().numpy() + 1e-6
        spread = smooth(
            np.concatenate([value * trust[..., None], trust[..., None]], -1), guide, options.reach_px**2, options.edge
        )
        whole = torch.from_numpy(spread[..., :-1] / np.maximum(spread[..., -1:], 1e-12)).to(points)
        whole = whole.view(-1, times, 3)
        whole[:, 0] = 0
        # the field is asked where the map is read: at what moves, and as far around it as means and bilinear reading go
        read = torch.nn.functional.max_pool2d(maps[v][None], 4 * cell + 1, 1, 2 * cell)[0].reshape(-1).nonzero()[:, 0]
        moving = points[read]
        with torch.no_grad():
            by_knot = deformation.at_knots(moving) / moving[:, 2:, None].clamp_min(1e-2)
        for t in range(1, times):
            whole[read, t] -= torch.einsum("k,mkc->mc", deformation.knot_weights(t / (times - 1)), by_knot)
        planes = whole.permute(1, 2, 0).reshape(times, 3, *scene.cameras.size)
        out.append(torch.nn.functional.avg_pool2d(planes, cell, cell, ceil_mode=True, count_include_pad=False))
        on_step(v + 1, scene.views)
    return torch.stack(out)


def _tracked_image(scene: Scene4D, motion: WorldMotion, options: MotionMapOptions) -> _TrackedImage:
    h, w = scene.cameras.size
    times = motion.offsets.shape[0]
    moves = motion.travel_px > options.still_px
    column, row = motion.pixels[:, 0].long().clamp(0, w - 1), motion.pixels[:, 1].long().clamp(0, h - 1)
    unit = motion.points[:, 2:].clamp_min(1e-2)
    offsets = torch.zeros(h, w, times, 3, device=unit.device)
    offsets[row, column] = (motion.offsets / unit).permute(1, 0, 2)
    trust = torch.zeros(h, w, device=unit.device)
    trust[row, column] = moves * motion.visible.float().mean(0).clamp_min(0.05)
    return _TrackedImage(offsets.view(h, w, -1).cpu().numpy(), trust.cpu().numpy())


def _carried(match: ViewMatch, tracked: _TrackedImage) -> tuple[np.ndarray, np.ndarray]:
    """What view 0's tracks say of a view's pixels: offsets ``(H, W, T * 3)`` and trust, zero where it is hidden."""
    column, row, seen = (x.cpu().numpy() for x in (match.column, match.row, match.trust))
    h, w = tracked.trust.shape
    return tracked.offsets[row, column].reshape(h, w, -1), (tracked.trust[row, column] * seen).reshape(h, w)
