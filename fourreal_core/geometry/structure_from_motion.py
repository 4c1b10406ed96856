"""Geometry of a freeze-time clip from parallax alone: flow, cameras by bundle adjustment, dense depth. No weights."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..cameras import intrinsics_from_focal
from ..errors import InputError
from ..flow.clip_flows import ClipFlows
from ..flow.flow_field import Flow, forward_backward_error
from ..progress import OnStep, no_progress
from .bundle_adjustment import Bundle, Observations, adjust, flat_start, median_error
from .dense_depth import DepthOptions, dense_depth
from .geometry import Geometry

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ParallaxOptions:
    """How cameras and depth are found.

    Attributes:
        focal_px: Known focal length in pixels; estimated when None.
        reach: Largest distance between views whose flow is measured.
        grid_px: Distance of the matched points in pixels at 512 pixels width.
        match_px: Largest forward-backward error of a match in pixels.
        focal_prior: Focal length over image width that a clip falls back to when it does not say (a phone's).
        focal_prior_strength: How strongly, in squared pixels.
        mask_margin_px: Pixels around invalid ones that are not trusted either: captions leave speckles.
        depth: Options of the dense depth.
    """

    focal_px: float | None = None
    reach: int = 7
    grid_px: float = 12.0
    match_px: float = 1.0
    focal_prior: float = 0.8
    focal_prior_strength: float = 0.02
    mask_margin_px: int = 4
    depth: DepthOptions = field(default_factory=DepthOptions)

    def __post_init__(self) -> None:
        if self.focal_px is not None and not self.focal_px > 0:
            raise InputError(
                f"a focal length of {self.focal_px} pixels", "a positive number", "leave it out to have it estimated"
            )
        if self.reach < 1:
            raise InputError(f"a reach of {self.reach} views", "at least 1", "leave it at its default")


def margin(valid: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """The valid pixels ``(H, W)`` less a border of some pixels around every invalid one."""
    import cv2

    kernel = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
    return cv2.erode(valid.astype(np.uint8), kernel, borderValue=1) > 0


def match_views(
    flows: dict[tuple[int, int], Flow], valid: NDArray[np.bool_], views: int, options: ParallaxOptions
) -> Observations:
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
        index = np.nonzero((error < options.match_px) & inside)[0]
        if len(index) >= 12:
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
    ends = []
    for start in (0.7, 1.6) if options.focal_px is None else (options.focal_px / width,):
        state = flat_start(obs, views, start * width)
        prior = (options.focal_prior * width, options.focal_prior_strength)
        settings = {"fix_focal": options.focal_px is not None, "focal_prior": prior, "on_iteration": on_iteration}
        radius = 1
        while radius < max(middle, views - 1 - middle):
            low, high = max(middle - radius, 0), min(middle + radius, views - 1)
            state = adjust(state, _within(obs, low, high), middle, 10, delta=6.0, **settings)
            rot, trans = state.rotations.copy(), state.translations.copy()
            rot[:low], trans[:low] = rot[low], trans[low]
            rot[high + 1 :], trans[high + 1 :] = rot[high], trans[high]
            state = replace(state, rotations=rot, translations=trans)
            radius += max(1, radius // 2)
        state = adjust(state, obs, middle, 10, delta=4.0, **settings)
        ends.append(adjust(state, obs, middle, 25, delta=1.0, **settings))
    return min(ends, key=lambda s: s.cost)


def _report(state: Bundle, obs: Observations, width: int, options: ParallaxOptions) -> None:
    """Logs what was found, and warns when a camera that only turns explains the clip as well."""
    views, error = len(state.rotations), median_error(state, obs)
    centres = -np.einsum("vji,vj->vi", state.rotations, state.translations)
    spread = float(np.linalg.norm(centres - centres.mean(0), axis=1).max())
    log.info(
        "cameras: %d views, focal length %.2f of the width, median error %.2f px, baseline %.3f of the distance",
        views,
        state.focal_px / width,
        error,
        spread,
    )
    turning = replace(state, translations=np.zeros((views, 3)))
    turning = adjust(turning, obs, views // 2, 10, delta=4.0, fix_focal=options.focal_px is not None, turn_only=True)
    turned = median_error(turning, obs)
    if spread < 0.01 or turned < 1.2 * error + 0.05:
        log.warning(
            "the freeze-time clip has next to no parallax (a camera that only turns explains it to %.2f px, "
            "one that moves to %.2f px): depth is a guess; a camera that moves sideways gives a better scene",
            turned,
            error,
        )


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
    options = options or ParallaxOptions()
    views, (h, w) = len(clip), clip.size
    if views < 2:
        raise InputError(
            f"a freeze-time clip with {views} frame", "at least 2 frames", "give a clip in which the camera moves"
        )
    good = margin(np.ones((h, w), bool) if valid is None else valid.cpu().numpy(), options.mask_margin_px)
    reach = min(options.reach, views - 1)
    total = 10 + 3 * views
    flows = clip.pairs(reach, lambda done, n, preview=None: on_step(max(1, 5 * done // n), total))
    obs = match_views(flows, good, views, options)
    if not obs.pairs:
        raise InputError(
            "a freeze-time clip in which no two frames match",
            "neighbouring frames that overlap",
            "check that the clip has no cut and is not blank, or give more frames",
        )
    state = solve_cameras(obs, views, w, options, lambda: on_step(5, total))
    _report(state, obs, w, options)
    inverse, confidence = [], []
    for v in range(views):
        on_step(10 + 3 * v, total)
        rho, conf = dense_depth(state, flows, v, clip.pictures[v], good, options.depth)
        inverse.append(rho)
        confidence.append(conf)
    on_step(total, total)
    intrinsics = intrinsics_from_focal(state.focal_px, (h, w)).expand(views, 3, 3).clone()
    depth = 1.0 / torch.from_numpy(np.stack(inverse))
    return Geometry(
        depth,
        intrinsics,
        torch.ones_like(depth, dtype=torch.bool),
        torch.from_numpy(state.world_to_cam).float(),
        torch.from_numpy(np.stack(confidence)),
    )
