"""Aligns monocular geometry: cameras from flow, and one scale a frame so that the frames' depths agree.

A depth network sees each frame alone. Its shapes are clean, but it knows no cameras, and its scale may drift from frame
to frame; bundle adjustment knows both, sparsely.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..flow.clip_flows import ClipFlows
from ..progress import OnStep, no_progress
from .bundle_adjustment import Bundle, Observations
from .geometry import Geometry
from .structure_from_motion import ParallaxOptions, find_cameras

log = logging.getLogger(__name__)

BEHIND = 1.5
"""Where a frame knows no depth (a sky), it lies this multiple of the farthest that it knows away."""


def place_views(
    clip: ClipFlows,
    geometry: Geometry,
    valid: Tensor | None = None,
    options: ParallaxOptions | None = None,
    on_step: OnStep = no_progress,
) -> Geometry:
    """Gives geometry its cameras; geometry that has them is returned as it is.

    The focal length is the geometry's (the median over its frames, since one camera took the clip).

    Args:
        clip: The freeze-time clip, F frames.
        geometry: Of the same frames.
        valid: ``(H, W)`` bool, pixels that show the scene.
        options: How cameras are found.
        on_step: Progress.

    Raises:
        InputError: Geometry of another clip, or frames that do not match each other.
    """
    if geometry.world_to_cam is not None:
        return geometry
    geometry.check_clip(clip.frames)
    focal = geometry.intrinsics[:, 0, 0].median()
    options = replace(options or ParallaxOptions(), focal_px=float(focal))
    found = find_cameras(clip, valid, options, lambda done, n, preview=None: on_step(6 * done // n, 10))
    state = found.state if found.turning is None else found.turning
    if found.no_parallax:
        log.warning(
            "%s: the depth is as the geometry has it; a camera that moves sideways gives a better scene",
            found.no_parallax,
        )
    if found.turning is not None:
        scales = turning_scales(state, found.obs, geometry)
    else:
        scales = frame_scales(state, found.obs, geometry)
    log.info("placed %d frames of monocular geometry, scales %s", len(clip), [round(float(s), 3) for s in scales])
    depth = geometry.depth * scales[:, None, None]
    farthest = torch.stack(
        [d[m].max() if bool(m.any()) else d.new_tensor(1.0) for d, m in zip(depth, geometry.mask, strict=True)]
    )
    depth = torch.where(geometry.mask, depth, BEHIND * farthest[:, None, None])
    on_step(10, 10)
    intrinsics = geometry.intrinsics.clone()
    intrinsics[:, 0, 0] = intrinsics[:, 1, 1] = focal
    intrinsics[:, 0, 2], intrinsics[:, 1, 2] = clip.size[1] / 2, clip.size[0] / 2
    return Geometry(
        depth,
        intrinsics,
        torch.ones_like(geometry.mask),
        torch.from_numpy(state.world_to_cam).float(),
        geometry.confidence,
    )


def turning_scales(state: Bundle, obs: Observations, geometry: Geometry) -> Tensor:
    """What each frame's depths ``(F,)`` are multiplied by so that a camera that turns sees one scene.

    The median depth of the central frame becomes 1. A point has the same distance from all its cameras, so every two
    frames that share points give one ratio; the scales are their least-squares solution in the log.
    """
    frames, (h, w) = len(geometry.depth), geometry.size
    depth, centre = geometry.depth.cpu().numpy(), np.array([(w - 1) / 2, (h - 1) / 2])
    rows, ratios = [np.ones(frames)], [0.0]
    for (i, j), (index, seen, _) in obs.pairs.items():
        here, there = (np.round(at + centre).astype(int).clip(0, [w - 1, h - 1]) for at in (obs.pixels[index], seen))
        rays = np.column_stack([obs.pixels[index] / state.focal_px, np.ones(len(index))])
        along = (rays @ (state.rotations[j] @ state.rotations[i].T).T)[:, 2].clip(1e-3)
        expected = (depth[i][here[:, 1], here[:, 0]] * along).clip(1e-6)
        ratio = np.log(depth[j][there[:, 1], there[:, 0]].clip(1e-6) / expected)
        row = np.zeros(frames)
        row[i], row[j] = 1.0, -1.0
        rows.append(row)
        ratios.append(float(np.median(ratio)))
    scales = np.exp(np.linalg.lstsq(np.stack(rows), np.array(ratios), rcond=None)[0])
    middle = frames // 2
    known = depth[middle][geometry.mask[middle].cpu().numpy()]
    return torch.from_numpy(scales / (scales[middle] * float(np.median(known)) if known.size else 1.0)).float()


def matched_points(obs: Observations, frame: int, size: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Points anchored in a frame that another frame sees too: their indices ``(M,)`` and pixels ``(M, 2)`` (x, y)."""
    matched = np.zeros(len(obs.pixels), bool)
    for index, _, _ in obs.pairs.values():
        matched[index] = True
    mine = np.nonzero((obs.anchor == frame) & matched)[0]
    return mine, np.round(obs.pixels[mine] + [(size[1] - 1) / 2, (size[0] - 1) / 2]).astype(np.int64)


def frame_scales(state: Bundle, obs: Observations, geometry: Geometry) -> Tensor:
    """What each frame's depths ``(F,)`` are multiplied by to be the adjustment's: the median over matched points."""
    scales = []
    for f in range(len(geometry.depth)):
        mine, at = matched_points(obs, f, geometry.size)
        depth = geometry.depth[f].cpu().numpy()[at[:, 1], at[:, 0]]
        known = geometry.mask[f].cpu().numpy()[at[:, 1], at[:, 0]]
        ratio = 1.0 / (state.inv_depth[mine] * np.maximum(depth, 1e-6))
        scales.append(float(np.median(ratio[known])) if known.any() else 1.0)
    return torch.tensor(scales)
