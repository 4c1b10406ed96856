"""Geometry of a freeze-time clip whose cameras are known: points triangulated from flow, dense depth. No weights.

A rig, a renderer or another program has told the cameras, each perhaps with a lens of its own; nothing of them is
adjusted. What is measured is where points lie along their rays, and how well the cameras explain the pictures.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..cameras import Cameras
from ..errors import InputError
from ..flow.clip_flows import ClipFlows
from ..flow.flow_field import Flow, Mask
from ..progress import OnStep, no_progress
from .bundle_adjustment import Observations
from .dense_depth import dense_depth
from .geometry import Geometry
from .structure_from_motion import MASK_MARGIN_PX, REACH, ParallaxOptions, margin, match_views

log = logging.getLogger(__name__)
Array = NDArray[np.float64]

CANDIDATES = 64
"""Inverse depths that are tried for a point, evenly spread in the log, before the best one is refined."""
FAR_PX, NEAR_STEPS = 0.05, 0.5
"""Between them they are spread: the parallax in pixels of what is far, and how near a thing may be, in the shortest
step of the cameras."""
REFINEMENTS = 10
"""Reweighted Gauss-Newton steps."""
WIDTH_PX = 2.0
"""Width of Geman-McClure's loss in pixels."""
FITS_PX = 3.0
"""Median error of the matches, at 512 pixels width, above which the cameras can't be those of the pictures."""


@dataclass(frozen=True)
class PosedViews:
    """Given cameras and points, as dense depth is measured from them (see dense_depth.Poses).

    Attributes:
        rotations: ``(V, 3, 3)`` world to camera; the world is the central view's space.
        translations: ``(V, 3)`` world to camera, in units of the scene's median distance.
        intrinsics: ``(V, 3, 3)`` in pixels relative to the image's centre.
        focal_px: The focal length in which matches are compared, the median of all.
        inv_depth: ``(N,)`` of every matched point in its anchor view.
        scale: Units of the given cameras that one unit of this scene is.
    """

    rotations: Array
    translations: Array
    intrinsics: Array
    focal_px: float
    inv_depth: Array
    scale: float = 1.0

    def relative(self, i: int, j: int) -> tuple[Array, Array]:
        """From view i to view j, ``(3, 3)`` and ``(3,)``, as if both had the one focal length and a centred picture."""
        common = np.diag([self.focal_px, self.focal_px, 1.0])
        before, after = np.linalg.solve(self.intrinsics[i], common), np.linalg.solve(common, self.intrinsics[j])
        rot = self.rotations[j] @ self.rotations[i].T
        return after @ rot @ before, after @ (self.translations[j] - rot @ self.translations[i])

    @property
    def world_to_cam(self) -> Array:
        """``(V, 4, 4)``."""
        out = np.tile(np.eye(4), (len(self.rotations), 1, 1))
        out[:, :3, :3], out[:, :3, 3] = self.rotations, self.translations
        return out


@dataclass(frozen=True)
class PosedClip:
    """What is measured of a clip with given cameras.

    Attributes:
        state: Cameras and points.
        obs: The matches.
        flows: Of all pairs of views that were measured.
        valid: ``(H, W)`` pixels that show the scene, less a margin.
        error_px: Median distance between where points are seen and where the cameras put them.
    """

    state: PosedViews
    obs: Observations
    flows: dict[tuple[int, int], Flow]
    valid: Mask
    error_px: float


@dataclass(frozen=True)
class GivenCameras:
    """A geometry source: cameras that are known, depth by parallax.

    Attributes:
        cameras: V cameras in the order of the clip's frames; their pictures may have another size than the clip.
    """

    cameras: Cameras

    def __call__(
        self,
        clip: ClipFlows,
        valid: Tensor | None = None,
        options: ParallaxOptions | None = None,
        on_step: OnStep = no_progress,
    ) -> Geometry:
        """See GeometrySource; the options' focal length is not asked for.

        Raises:
            InputError: As many cameras as frames are expected; cameras that all stand in one place; frames in which
                nothing matches.
        """
        views = len(clip)
        total = 10 + 3 * views
        found = triangulate(
            clip, self.cameras, valid, options, lambda done, n, preview=None: on_step(max(1, 10 * done // n), total)
        )
        inverse, confidence = [], []
        for v in range(views):
            on_step(10 + 3 * v, total)
            rho, sure = dense_depth(found.state, found.flows, v, clip.pictures[v], found.valid)
            inverse.append(rho)
            confidence.append(sure)
        on_step(total, total)
        depth = 1.0 / torch.from_numpy(np.stack(inverse))
        return Geometry(
            depth,
            self.cameras.scaled(clip.size).intrinsics.float(),
            torch.ones_like(depth, dtype=torch.bool),
            torch.from_numpy(found.state.world_to_cam).float(),
            torch.from_numpy(np.stack(confidence)),
        )


def triangulate(
    clip: ClipFlows,
    cameras: Cameras,
    valid: Tensor | None = None,
    options: ParallaxOptions | None = None,
    on_step: OnStep = no_progress,
) -> PosedClip:
    """Matches the views of a clip by flow and finds where the points lie along their rays.

    Args:
        clip: V frames, at least two.
        cameras: Theirs.
        valid: ``(H, W)`` bool, pixels that show the scene; all when None.
        options: See ParallaxOptions.
        on_step: Progress.

    Raises:
        InputError: See GivenCameras.
    """
    options = options or ParallaxOptions()
    views, (h, w) = len(clip), clip.size
    if len(cameras) != views:
        raise InputError(f"{len(cameras)} cameras", f"{views}, one a view", "give every view its camera")
    good = margin(np.ones((h, w), bool) if valid is None else valid.cpu().numpy(), MASK_MARGIN_PX)
    flows = clip.pairs(min(REACH, views - 1), lambda done, n, preview=None: on_step(max(1, 5 * done // n), 6))
    obs = match_views(flows, good, views, options)
    if not obs.pairs:
        raise InputError(
            "views of which no two match",
            "neighbouring views that overlap",
            "check the order of the views, or give more of them",
        )
    state = _solve(_start(cameras.scaled((h, w)), obs), obs)
    error = float(np.median(np.concatenate([_distance(state, obs, pair) for pair in obs.pairs])))
    log.info("given cameras: %d views, median error %.2f px", views, error)
    if error > FITS_PX * max(w / 512, 0.25):
        log.warning(
            "the given cameras don't fit the pictures: what they have in common is seen %.1f pixels beside where the "
            "cameras put it; check that each view has its own camera, the axes and the size the cameras are for",
            error,
        )
    on_step(6, 6)
    return PosedClip(state, obs, flows, good, error)


def _start(cameras: Cameras, obs: Observations) -> PosedViews:
    """The cameras with the central one as the world, every point still at no depth."""
    (h, w), middle = cameras.size, len(cameras) // 2
    world_to_cam = cameras.world_to_cam.detach().cpu().double().numpy()
    world_to_cam = world_to_cam @ np.linalg.inv(world_to_cam[middle])
    world_to_cam[middle] = np.eye(4)  # to the last bit
    intrinsics = cameras.intrinsics.detach().cpu().double().numpy().copy()
    focal_px = float(np.median(intrinsics[:, [0, 1], [0, 1]]))
    intrinsics[:, 0, 2] -= w / 2
    intrinsics[:, 1, 2] -= h / 2
    return PosedViews(world_to_cam[:, :3, :3], world_to_cam[:, :3, 3], intrinsics, focal_px, np.zeros(len(obs.pixels)))


def _solve(start: PosedViews, obs: Observations) -> PosedViews:
    """The points' inverse depths, and the scene in units of its median distance.

    Raises:
        InputError: Cameras that stand in one place.
    """
    centres = -np.einsum("vji,vj->vi", start.rotations, start.translations)
    steps = np.array([np.linalg.norm(centres[i] - centres[j]) for i, j in obs.pairs])
    if steps.max() < 1e-9:
        raise InputError(
            "cameras that all stand in one place", "views from several places", "check the file of the cameras"
        )
    low, high = FAR_PX / (start.focal_px * steps.max()), 1 / (NEAR_STEPS * steps[steps > 1e-6 * steps.max()].min())
    tried = np.geomspace(low, max(high, 2 * low), CANDIDATES)
    cost, seen = np.zeros((len(obs.pixels), CANDIDATES)), np.zeros(len(obs.pixels), bool)
    for pair, (index, _, weight) in obs.pairs.items():
        for k, rho in enumerate(tried):
            at = replace(start, inv_depth=np.full(len(obs.pixels), rho))
            squared = (_residual(at, obs, pair)[0] ** 2).sum(-1)
            cost[index, k] += weight * squared / (squared + WIDTH_PX**2)
        seen[index] = True
    state = replace(start, inv_depth=tried[cost.argmin(1)])
    for _ in range(REFINEMENTS):
        state = _refined(state, obs, tried[0])
    inv_depth = np.where(seen, state.inv_depth, np.median(state.inv_depth[seen]))
    unit = float(np.median(inv_depth[seen]))
    return replace(state, inv_depth=inv_depth / unit, translations=state.translations * unit, scale=1 / unit)


def _refined(state: PosedViews, obs: Observations, least: float) -> PosedViews:
    """One Gauss-Newton step of every point's inverse depth, at most a factor of two."""
    gain, curve = np.zeros(len(obs.pixels)), np.full(len(obs.pixels), 1e-12)
    for pair, (index, _, weight) in obs.pairs.items():
        residual, slope = _residual(state, obs, pair)
        trust = weight / (1 + (residual**2).sum(-1) / WIDTH_PX**2) ** 2
        gain[index] += trust * (residual * slope).sum(-1)
        curve[index] += trust * (slope**2).sum(-1)
    rho = state.inv_depth
    return replace(state, inv_depth=np.clip(rho - gain / curve, np.maximum(rho / 2, least), 2 * rho))


def _residual(state: PosedViews, obs: Observations, pair: tuple[int, int]) -> tuple[Array, Array]:
    """How far the matches of a pair are seen from where the cameras put them ``(M, 2)`` in pixels, and its derivative
    by inverse depth ``(M, 2)``."""
    index, seen, _ = obs.pairs[pair]
    rot, shift = state.relative(*pair)
    rays = np.column_stack([obs.pixels[index] / state.focal_px, np.ones(len(index))])
    there = rays @ rot.T + state.inv_depth[index, None] * shift
    z = np.maximum(there[:, 2:], 1e-3)
    put = there[:, :2] / z
    return state.focal_px * put - seen, state.focal_px * (shift[:2] - put * shift[2]) / z


def _distance(state: PosedViews, obs: Observations, pair: tuple[int, int]) -> Array:
    distance: Array = np.linalg.norm(_residual(state, obs, pair)[0], axis=1)
    return distance
