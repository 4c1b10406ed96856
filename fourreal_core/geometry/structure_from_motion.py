"""Geometry of a freeze-time clip from parallax alone: flow, cameras by bundle adjustment, dense depth. No weights."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..cameras import intrinsics_from_focal, lift, pixel_grid
from ..errors import InputError
from ..flow.clip_flows import ClipFlows
from ..flow.flow_field import Flow, Mask, forward_backward_error
from ..progress import OnStep, no_progress
from .bundle_adjustment import AdjustOptions, Bundle, Observations, adjust, flat_start, median_error
from .dense_depth import Map, dense_depth
from .depth_picture import depth_picture
from .geometry import Geometry
from .zoom import ZoomingCamera, fit_zoom

log = logging.getLogger(__name__)

REACH = 7
"""Largest distance between views whose flow is measured."""
MATCH_PX = 1.0
"""Largest forward-backward error of a match in pixels."""
LEAST_MATCHES = 12
"""Matches without which two views are not joined."""
FOCAL_PRIOR, FOCAL_PRIOR_STRENGTH = 0.8, 0.02
"""Focal length over image width that a clip falls back to when it leaves it undetermined (a phone's), and how strongly,
in squared pixels per observation."""
FOCAL_STARTS = (0.7, 1.6)
"""Focal lengths over image width that the adjustment starts from."""
MASK_MARGIN_PX = 4
"""Pixels around invalid ones that are not trusted either: captions leave speckles."""
TURN_RATIO, TURN_MARGIN_PX = 1.2, 0.05
"""A camera that only turns explains a clip as well when its median error is at most this multiple of that of one that
moves plus this many pixels, and so does one that stands and zooms. The baseline says less: a wrong focal length can
pass for a small one."""
LEAST_ZOOM = 1.03
"""Longest focal length over the shortest from which a camera is said to zoom."""


@dataclass(frozen=True)
class ParallaxOptions:
    """How cameras are found.

    Attributes:
        focal_px: Known focal length in pixels; estimated when None.
        grid_px: Distance of the matched points in pixels at 512 pixels width.
    """

    focal_px: float | None = None
    grid_px: float = 12.0

    def __post_init__(self) -> None:
        if self.focal_px is not None and not self.focal_px > 0:
            raise InputError(
                f"a focal length of {self.focal_px} pixels", "a positive number", "leave it out to have it estimated"
            )
        if not self.grid_px > 0:
            raise InputError(f"matched points {self.grid_px} pixels apart", "more than 0", "leave it at its default")


@dataclass(frozen=True)
class ClipCameras:
    """The cameras of a freeze-time clip.

    Attributes:
        state: Cameras and the inverse depths of matched points.
        obs: The matches.
        flows: Of all pairs of views that were measured.
        valid: ``(H, W)`` pixels that show the scene, less a margin.
        turning: The clip explained by a camera that stands and turns, where that explains it as well: there is no
            parallax. None where there is some.
        zooming: Likewise by a camera that stands, turns and zooms; None too where one that only turns does.
    """

    state: Bundle
    obs: Observations
    flows: dict[tuple[int, int], Flow]
    valid: Mask
    turning: Bundle | None
    zooming: ZoomingCamera | None = None

    @property
    def no_parallax(self) -> str:
        """What explains the clip as well as a camera that moves, as a sentence's beginning; empty if nothing does."""
        moving = f"one that moves to {median_error(self.state, self.obs):.2f} px"
        if self.turning is not None:
            error = median_error(self.turning, self.obs)
            return (
                "the freeze-time clip has next to no parallax (a camera that only turns explains it to "
                f"{error:.2f} px, {moving})"
            )
        if self.zooming is not None:
            error = self.zooming.median_error(self.obs)
            return (
                f"the freeze-time clip has next to no parallax (a camera that only zooms, by a factor "
                f"{self.zooming.zoom:.2f}, explains it to {error:.2f} px, {moving})"
            )
        return ""


def margin(valid: Mask, pixels: int) -> Mask:
    """The valid pixels ``(H, W)`` less a border of some pixels around every invalid one."""
    from ..needed.opencv import cv2

    kernel = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
    kept: Mask = cv2.erode(valid.astype(np.uint8), kernel, borderValue=1) > 0
    return kept


def match_views(flows: dict[tuple[int, int], Flow], valid: Mask, views: int, options: ParallaxOptions) -> Observations:
    """A regular grid of points in every view and where the consistent flows see them in the others."""
    h, w = valid.shape
    stride = max(3, round(options.grid_px * w / 512 * max(1.0, (views / 16) ** 0.5)))
    ys, xs = (a.ravel() for a in np.mgrid[stride // 2 : h : stride, stride // 2 : w : stride])
    ys, xs = ys[valid[ys, xs]], xs[valid[ys, xs]]
    centre = np.array([(w - 1) / 2, (h - 1) / 2])
    pixels = np.stack([xs, ys], -1) - centre
    pairs = {}
    for (i, j), flow in flows.items():
        error = forward_backward_error(flow, flows[j, i])[ys, xs]
        seen = pixels + flow[ys, xs]
        at = np.round(seen + centre).astype(int)
        inside = valid[at[:, 1].clip(0, h - 1), at[:, 0].clip(0, w - 1)]
        index = np.nonzero((error < MATCH_PX) & inside)[0]
        if len(index) >= LEAST_MATCHES:
            pairs[i, j] = (index + i * len(xs), seen[index], 1 / (1 + error[index] ** 2))
    return Observations(np.tile(pixels, (views, 1)), np.repeat(np.arange(views), len(xs)), pairs)


def _within(obs: Observations, low: int, high: int) -> Observations:
    return replace(obs, pairs={p: x for p, x in obs.pairs.items() if low <= min(p) and max(p) <= high})


def solve_cameras(
    obs: Observations, views: int, width: int, options: ParallaxOptions, on_iteration: Callable[[], None] = lambda: None
) -> Bundle:
    """Cameras of all views, grown outward from the central one.

    Every newly added view starts from its neighbour's pose, and so does one that has no matches of its own; the focal
    length is started twice, wide and long, and the better end is taken.
    """
    middle = views // 2
    known = options.focal_px is not None
    prior = (FOCAL_PRIOR * width, FOCAL_PRIOR_STRENGTH)
    coarse = AdjustOptions(middle, 10, 6.0, fix_focal=known, focal_prior=prior)
    ends = []
    for focal_px in [start * width for start in FOCAL_STARTS] if options.focal_px is None else [options.focal_px]:
        state = flat_start(obs, views, focal_px)
        radius = 1
        while radius < max(middle, views - 1 - middle):
            low, high = max(middle - radius, 0), min(middle + radius, views - 1)
            state = adjust(state, _within(obs, low, high), coarse, on_iteration)
            rot, trans = state.rotations.copy(), state.translations.copy()
            rot[:low], trans[:low] = rot[low], trans[low]
            rot[high + 1 :], trans[high + 1 :] = rot[high], trans[high]
            state = replace(state, rotations=rot, translations=trans)
            radius += max(1, radius // 2)
        state = adjust(state, obs, replace(coarse, huber_px=4.0), on_iteration)
        ends.append(adjust(state, obs, replace(coarse, iterations=25, huber_px=1.0), on_iteration))
    return min(ends, key=lambda s: s.cost)


def only_turning(state: Bundle, obs: Observations, width: int, fix_focal: bool) -> Bundle | None:
    """The clip explained by a camera that stands and turns, or None where only one that moves explains it as well.

    Args:
        state: The cameras that were found.
        obs: Matches.
        width: Of the frames in pixels.
        fix_focal: Keep the focal length.
    """
    views, error = len(state.rotations), median_error(state, obs)
    centres = -np.einsum("vji,vj->vi", state.rotations, state.translations)
    baseline = float(np.linalg.norm(centres - centres.mean(0), axis=1).max())
    log.info(
        "cameras: %d views, focal length %.2f of the width, median error %.2f px, baseline %.3f of the distance",
        views,
        state.focal_px / width,
        error,
        baseline,
    )
    standing = replace(state, translations=np.zeros((views, 3)))
    turning = adjust(standing, obs, AdjustOptions(views // 2, 10, 4.0, fix_focal=fix_focal, turn_only=True))
    return turning if median_error(turning, obs) < TURN_RATIO * error + TURN_MARGIN_PX else None


def only_zooming(state: Bundle, obs: Observations, width: int, focal_px: float | None) -> ZoomingCamera | None:
    """The clip explained by a camera that stands, turns and zooms, or None where only one that moves explains it.

    Args:
        state: The cameras that were found.
        obs: Matches.
        width: Of the frames in pixels.
        focal_px: Of the middle view; what clips that leave it open fall back to when None.
    """
    zooming = fit_zoom(obs, len(state.rotations), focal_px or FOCAL_PRIOR * width)
    enough = TURN_RATIO * median_error(state, obs) + TURN_MARGIN_PX
    return zooming if zooming.zoom >= LEAST_ZOOM and zooming.median_error(obs) < enough else None


def find_cameras(
    clip: ClipFlows,
    valid: Tensor | None = None,
    options: ParallaxOptions | None = None,
    on_step: OnStep = no_progress,
) -> ClipCameras:
    """Cameras of a freeze-time clip and the inverse depths of its matched points.

    The world is the central view's camera space, in units of the scene's median distance.

    Args:
        clip: V frames, at least two.
        valid: ``(H, W)`` bool, pixels that show the scene; all when None.
        options: See ParallaxOptions.
        on_step: Progress.

    Raises:
        InputError: Fewer than two frames, or clips in which no two views share enough matches.
    """
    options = options or ParallaxOptions()
    views, (h, w) = len(clip), clip.size
    if views < 2:
        raise InputError(
            f"a freeze-time clip with {views} frame", "at least 2 frames", "give a clip in which the camera moves"
        )
    good = margin(np.ones((h, w), bool) if valid is None else valid.cpu().numpy(), MASK_MARGIN_PX)
    flows = clip.pairs(min(REACH, views - 1), lambda done, n, preview=None: on_step(max(1, 5 * done // n), 6))
    obs = match_views(flows, good, views, options)
    if not obs.pairs:
        raise InputError(
            "a freeze-time clip in which no two frames match",
            "neighbouring frames that overlap",
            "check that the clip has no cut and is not blank, or give more frames",
        )
    state = solve_cameras(obs, views, w, options, lambda: on_step(5, 6))
    turning = only_turning(state, obs, w, options.focal_px is not None)
    zooming = only_zooming(state, obs, w, options.focal_px) if turning is None else None
    on_step(6, 6)
    return ClipCameras(state, obs, flows, good, turning, zooming)


def parallax_geometry(
    clip: ClipFlows,
    valid: Tensor | None = None,
    options: ParallaxOptions | None = None,
    on_step: OnStep = no_progress,
) -> Geometry:
    """Depth, focal length and cameras of a freeze-time clip.

    The world is the central view's camera space, in units of the scene's median distance.

    Args:
        clip: V frames, at least two.
        valid: ``(H, W)`` bool, pixels that show the scene; all when None.
        options: See ParallaxOptions.
        on_step: Progress.

    Raises:
        InputError: Fewer than two frames, or clips in which no two views share enough matches.
    """
    views, (h, w) = len(clip), clip.size
    total = 10 + 3 * views
    found = find_cameras(clip, valid, options, lambda done, n, preview=None: on_step(max(1, 10 * done // n), total))
    if found.no_parallax:
        log.warning("%s: depth is a guess; a camera that moves sideways gives a better scene", found.no_parallax)
    if found.zooming is not None:
        on_step(total, total)
        return zoomed_geometry(found.zooming, (h, w))
    inverse: list[Map] = []
    confidence: list[Map] = []
    for v in range(views):
        on_step(10 + 3 * v, total, depth_picture(inverse[-1]) if inverse else None)
        rho, sure = dense_depth(found.state, found.flows, v, clip.pictures[v], found.valid)
        inverse.append(rho)
        confidence.append(sure)
    on_step(total, total, depth_picture(inverse[-1]))
    intrinsics = intrinsics_from_focal(found.state.focal_px, (h, w)).expand(views, 3, 3).clone()
    depth = 1.0 / torch.from_numpy(np.stack(inverse))
    return Geometry(
        depth,
        intrinsics,
        torch.ones_like(depth, dtype=torch.bool),
        torch.from_numpy(found.state.world_to_cam).float(),
        torch.from_numpy(np.stack(confidence)),
    )


def zoomed_geometry(camera: ZoomingCamera, size: tuple[int, int]) -> Geometry:
    """Geometry of a clip that only zooms: a focal length a view, and everything at distance 1 from the one place.

    Args:
        camera: Of the V views.
        size: ``(height, width)`` of the frames.
    """
    intrinsics = torch.stack([intrinsics_from_focal(float(focal), size) for focal in camera.focal_px])
    rays = lift(pixel_grid(size), torch.ones(len(intrinsics), *size), intrinsics[:, None, None])
    depth = 1.0 / rays.norm(dim=-1)
    return Geometry(
        depth,
        intrinsics,
        torch.ones_like(depth, dtype=torch.bool),
        torch.from_numpy(camera.world_to_cam).float(),
        torch.zeros_like(depth),
    )
