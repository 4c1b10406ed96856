"""Places monocular geometry: cameras from flow, and one scale a frame so that the frames' depths agree.

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

from ..errors import InputError
from ..flow.clip_flows import ClipFlows
from ..progress import OnStep, no_progress
from .bundle_adjustment import Bundle, Observations, adjust, median_error
from .geometry import Geometry
from .structure_from_motion import ParallaxOptions, margin, match_views, solve_cameras

log = logging.getLogger(__name__)


def place_views(
    clip: ClipFlows,
    geometry: Geometry,
    valid: Tensor | None = None,
    options: ParallaxOptions | None = None,
    on_step: OnStep = no_progress,
) -> Geometry:
    """Gives geometry its cameras; geometry that has them is returned as it is.

    The focal length is the geometry's (the median over its frames, since one camera took the clip). Where it knows no
    depth (a sky), the depth becomes half as far again as the farthest it knows.

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
    state, obs = adjust_clip(clip, valid, options, lambda done, n, preview=None: on_step(6 * done // n, 10))
    views, (h, w) = len(clip), clip.size
    if only_turns(state, obs):
        log.warning(
            "the freeze-time clip has next to no parallax: its cameras only turn, and the depth is as the "
            "geometry has it; a camera that moves sideways gives a better scene"
        )
        state = turned(state, obs)
        scales = turning_scales(state, obs, geometry)
    else:
        scales = frame_scales(state, obs, geometry)
    log.info("placed %d frames of monocular geometry, scales %s", views, [round(float(s), 3) for s in scales])
    depth = geometry.depth * scales[:, None, None]
    farthest = torch.stack(
        [d[m].max() if bool(m.any()) else d.new_tensor(1.0) for d, m in zip(depth, geometry.mask, strict=True)]
    )
    depth = torch.where(geometry.mask, depth, 1.5 * farthest[:, None, None])
    on_step(10, 10)
    intrinsics = geometry.intrinsics.clone()
    intrinsics[:, 0, 0] = intrinsics[:, 1, 1] = focal
    intrinsics[:, 0, 2], intrinsics[:, 1, 2] = w / 2, h / 2
    return Geometry(
        depth,
        intrinsics,
        torch.ones_like(geometry.mask),
        torch.from_numpy(state.world_to_cam).float(),
        geometry.confidence,
    )


def adjust_clip(
    clip: ClipFlows,
    valid: Tensor | None = None,
    options: ParallaxOptions | None = None,
    on_step: OnStep = no_progress,
) -> tuple[Bundle, Observations]:
    """Cameras of a freeze-time clip and the inverse depths of its matched points, without any dense depth.

    Args:
        clip: F frames.
        valid: ``(H, W)`` bool, pixels that show the scene.
        options: How cameras are found.
        on_step: Progress.

    Raises:
        InputError: Fewer than two frames, or frames that do not match each other.
    """
    options = options or ParallaxOptions()
    views, (h, w) = len(clip), clip.size
    if views < 2:
        raise InputError(
            f"a freeze-time clip with {views} frame", "at least 2 frames", "give a clip in which the camera moves"
        )
    good = margin(np.ones((h, w), bool) if valid is None else valid.cpu().numpy(), options.mask_margin_px)
    flows = clip.pairs(min(options.reach, views - 1), lambda done, n, preview=None: on_step(max(1, 5 * done // n), 6))
    obs = match_views(flows, good, views, options)
    if not obs.pairs:
        raise InputError(
            "a freeze-time clip in which no two frames match",
            "neighbouring frames that overlap",
            "check that the clip has no cut and is not blank, or give more frames",
        )
    state = solve_cameras(obs, views, w, options, lambda: on_step(5, 6))
    on_step(6, 6)
    return state, obs


def only_turns(state: Bundle, obs: Observations) -> bool:
    """Whether a camera that stands and turns explains the matches as well as one that moves: there is no parallax.

    A wrong focal length can pass for a small baseline, so the baseline alone does not say.
    """
    centres = -np.einsum("vji,vj->vi", state.rotations, state.translations)
    spread = float(np.linalg.norm(centres - centres.mean(0), axis=1).max())
    return spread < 0.01 or median_error(turned(state, obs), obs) < 1.2 * median_error(state, obs) + 0.05


def turned(state: Bundle, obs: Observations) -> Bundle:
    """The same clip explained by a camera that stands and turns."""
    standing = replace(state, translations=np.zeros_like(state.translations))
    return adjust(standing, obs, len(state.rotations) // 2, 10, delta=4.0, turn_only=True)


def turning_scales(state: Bundle, obs: Observations, geometry: Geometry) -> Tensor:
    """What each frame's depths ``(F,)`` are multiplied by so that a camera that turns sees one scene.

    The median depth of the central frame becomes 1. A point has the same distance from all its cameras, so every two
    frames that share points say one ratio.
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
