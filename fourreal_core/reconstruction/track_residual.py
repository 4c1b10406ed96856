"""What tracks measured beyond the deformation field: a fixed correction, one map a view and time.

The field is smooth and falls to nothing where it was not fitted; hands and wheels are not smooth, and half of a body
is hidden from the view that was tracked. As ``dp_view`` keeps what tracks found beyond the rigid cameras (supplement
eq. 3), these maps keep what the fixed-view clip's tracks found beyond ``dp_time``: measured where view 0 sees a point,
propagated along the regions of every other view's own picture where it does not. The paper leaves this out.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..flow.edge_aware_filter import smooth
from ..progress import OnStep, no_progress
from ..scene.deformation_field import NEAREST, DeformationField
from ..scene.pixel_points import view_points
from ..scene.points_in_time import TimeOffsets
from .motion_segmentation import EDGE, REACH_PX, ClipMotion

CELL = 2
"""Pixels a side that share one value, their mean."""


def residual_maps(
    motion: ClipMotion, maps: Tensor, field: DeformationField, on_step: OnStep = no_progress, cell: int = CELL
) -> Tensor:
    """Displacement beyond the field for what every view sees.

    Args:
        motion: The tracks, over T times, and the views.
        maps: ``(V, H, W)`` what moves in every view, from motion_maps.
        field: Fitted to the same tracks.
        on_step: Progress, one step a view.
        cell: Pixels a side that share one value.

    Returns:
        ``(V, T, 3, H / cell, W / cell)`` in units of the point's depth, so that it means the same at any depth.
    """
    scene = motion.scene
    offsets, confidence = _tracked_image(motion)
    times, size = motion.flow.offsets.shape[0], scene.cameras.size
    out = []
    for v in range(scene.views):
        match, points = motion.matches[v], view_points(scene, v)
        row, column, matched = (x.cpu().numpy() for x in (match.row, match.column, match.confidence))
        weight = (confidence[row, column] * matched).reshape(size) * maps[v].cpu().numpy() + 1e-6
        weighted = offsets[row, column].reshape(*size, -1) * weight[..., None]
        spread = smooth(np.concatenate([weighted, weight[..., None]], -1), motion.guide(v), REACH_PX**2, EDGE)
        whole = torch.from_numpy(spread[..., :-1] / np.maximum(spread[..., -1:], 1e-12)).to(points)
        whole = whole.view(-1, times, 3)
        # the field is asked where the map is read: at what moves, and as far around it as means and bilinear reading go
        read = torch.nn.functional.max_pool2d(maps[v][None], 4 * cell + 1, 1, 2 * cell)[0].reshape(-1).nonzero()[:, 0]
        moving = points[read]
        with torch.no_grad():
            knots = [at_knot / moving[:, 2:].clamp_min(NEAREST) for at_knot in field.at_knots(moving)]
        followed = TimeOffsets(read, knots, times)
        for t in range(1, times):
            whole[read, t] -= followed.at(t)
        planes = whole.permute(1, 2, 0).reshape(times, 3, *size)
        out.append(torch.nn.functional.avg_pool2d(planes, cell, cell, ceil_mode=True, count_include_pad=False))
        on_step(v + 1, scene.views)
    return torch.stack(out)


def _tracked_image(motion: ClipMotion) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Tracks as pictures of view 0: offsets ``(H, W, T * 3)`` in units of depth, and confidence ``(H, W)``."""
    flow, (h, w) = motion.flow, motion.scene.cameras.size
    column, row = flow.pixels[:, 0].long().clamp(0, w - 1), flow.pixels[:, 1].long().clamp(0, h - 1)
    unit = flow.points[:, 2:].clamp_min(NEAREST)
    offsets = torch.zeros(h, w, flow.offsets.shape[0], 3, device=unit.device)
    offsets[row, column] = (flow.offsets / unit).permute(1, 0, 2)
    confidence = torch.zeros(h, w, device=unit.device)
    confidence[row, column] = flow.moves * flow.visible.float().mean(0)
    return offsets.view(h, w, -1).cpu().numpy(), confidence.cpu().numpy()
