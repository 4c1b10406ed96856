"""Geometry from depth maps: what a depth network drew, its scale and shift solved against parallax.

A relative depth map is an affine map of depth or of inverse depth, often another one in every frame. Bundle adjustment
knows the inverse depth of some hundred matched points a frame; a scale and a shift a frame fit the map to them.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..cameras import Cameras, intrinsics_from_focal
from ..errors import InputError
from ..flow.clip_flows import ClipFlows
from ..progress import OnStep, no_progress
from .align_monocular import matched_points
from .bundle_adjustment import Observations
from .dense_depth import Poses
from .geometry import Geometry
from .given_cameras import triangulate
from .structure_from_motion import ParallaxOptions, find_cameras

log = logging.getLogger(__name__)
Array = NDArray[np.float64]
Kind = Literal["auto", "inverse", "depth", "metric"]

LEAST_POINTS = 12
"""Matched points that a frame needs for a scale and a shift of its own."""
_ASPECT_TOLERANCE = 0.02


@dataclass(frozen=True)
class DepthPictures:
    """A geometry source: depth pictures of every frame of a freeze-time clip.

    Attributes:
        pictures: ``(V, h, w)`` of any size of the clip's aspect ratio and in any units.
        kind: What the pictures are affine to: ``inverse`` depth (near is large, as relative depth networks draw),
            ``depth`` (far is large), ``metric`` depth (right but for a factor), or ``auto``: whichever fits, near large
            or small.
        cameras: Of the frames, where they are known; found by parallax when None.
    """

    pictures: Tensor
    kind: Kind = "auto"
    cameras: Cameras | None = None

    def __post_init__(self) -> None:
        if self.pictures.ndim != 3 or self.kind not in get_args(Kind):
            raise InputError(
                f"depth pictures of shape {tuple(self.pictures.shape)} and kind {self.kind!r}",
                f"(frames, height, width) and one of {', '.join(get_args(Kind))}",
                "give one grey picture a frame",
            )
        if not bool(torch.isfinite(self.pictures).all()):
            raise InputError(
                "depth pictures with NaN or infinite pixels",
                "finite values",
                "replace what is not known by the farthest",
            )

    def __call__(
        self,
        clip: ClipFlows,
        valid: Tensor | None = None,
        options: ParallaxOptions | None = None,
        on_step: OnStep = no_progress,
    ) -> Geometry:
        """See GeometrySource."""
        views, (h, w) = len(clip), clip.size
        pictures = self._sized(views, (h, w))
        if self.cameras is not None:
            return self._with_cameras(self.cameras, pictures, clip, valid, options, on_step)
        found = find_cameras(clip, valid, options, lambda done, n, preview=None: on_step(9 * done // n, 10))
        state = found.state if found.turning is None else found.turning
        if found.no_parallax:
            log.warning(
                "%s: scale and shift of the depth pictures are a guess; a camera that moves sideways gives a better "
                "scene",
                found.no_parallax,
            )
            inverse = np.stack([_guess(picture, self.kind) for picture in pictures])
        else:
            inverse = align(pictures, state, found.obs, self.kind)
        on_step(10, 10)
        intrinsics = intrinsics_from_focal(state.focal_px, (h, w)).expand(views, 3, 3).clone()
        world_to_cam = state.world_to_cam
        if found.zooming is not None:
            intrinsics = torch.stack([intrinsics_from_focal(float(focal), (h, w)) for focal in found.zooming.focal_px])
            world_to_cam = found.zooming.world_to_cam
        depth = 1.0 / torch.from_numpy(inverse).float()
        return Geometry(
            depth, intrinsics, torch.ones_like(depth, dtype=torch.bool), torch.from_numpy(world_to_cam).float()
        )

    def _with_cameras(
        self,
        cameras: Cameras,
        pictures: Array,
        clip: ClipFlows,
        valid: Tensor | None,
        options: ParallaxOptions | None,
        on_step: OnStep,
    ) -> Geometry:
        found = triangulate(
            clip, cameras, valid, options, lambda done, n, preview=None: on_step(max(1, 9 * done // n), 10)
        )
        inverse = align(pictures, found.state, found.obs, self.kind)
        on_step(10, 10)
        depth = 1.0 / torch.from_numpy(inverse).float()
        return Geometry(
            depth,
            cameras.scaled(clip.size).intrinsics.float(),
            torch.ones_like(depth, dtype=torch.bool),
            torch.from_numpy(found.state.world_to_cam).float(),
        )

    def _sized(self, views: int, size: tuple[int, int]) -> Array:
        count, h, w = self.pictures.shape
        if count != views:
            raise InputError(
                f"{count} depth pictures",
                f"{views}, one a frame of the freeze-time clip",
                "draw them from the same frames",
            )
        if abs(w / h / (size[1] / size[0]) - 1) > _ASPECT_TOLERANCE:
            raise InputError(
                f"depth pictures of {w} x {h} pixels",
                f"the clip's aspect ratio, {size[1]} x {size[0]}",
                "draw them from the same frames",
            )
        whole = torch.nn.functional.interpolate(
            self.pictures[:, None].float(), size, mode="bilinear", align_corners=False
        )
        pictures = whole[:, 0].cpu().double().numpy()
        flat = [np.ptp(picture) <= 1e-6 * max(1.0, float(np.abs(picture).max())) for picture in pictures]
        if any(flat):
            raise InputError(
                f"depth pictures of which number {flat.index(True)} is one flat value",
                "near and far to differ",
                "give depth without clipping it to white or black",
            )
        return pictures


@dataclass(frozen=True)
class _Fit:
    """What a picture ``d`` stands for: ``a d + b``, as depth or as inverse depth."""

    a: float
    b: float
    of_depth: bool
    error: float

    def inverse_depth(self, picture: Array, low: float, high: float) -> Array:
        """Inverse depth of every pixel, clipped to two bounds: an extrapolated line is a guess."""
        value = self.a * picture + self.b
        return (1.0 / value.clip(1 / high, 1 / low)) if self.of_depth else value.clip(low, high)


def align(pictures: Array, state: Poses, obs: Observations, kind: Kind) -> Array:
    """Inverse depth ``(V, H, W)`` of pictures of the same shape, in the adjustment's units.

    Frames with too few matched points take the median of the others' numbers.

    Args:
        pictures: ``(V, H, W)``.
        state: Cameras, and the inverse depth of the matched points.
        obs: The matches.
        kind: See DepthPictures.

    Raises:
        InputError: Too few matched points in every frame.
    """
    samples = []
    for v, picture in enumerate(pictures):
        points, at = matched_points(obs, v, picture.shape)
        samples.append((picture[at[:, 1], at[:, 0]], state.inv_depth[points]))
    fits = _fit_all(samples, kind)
    low, high = np.quantile(state.inv_depth, [0.002, 0.998])
    log.info(
        "depth pictures: %s, median relative error %.3f",
        "depth" if fits[0].of_depth else "inverse depth",
        float(np.median([fit.error for fit in fits])),
    )
    return np.stack(
        [fit.inverse_depth(picture, max(low / 2, 1e-3), high * 2) for fit, picture in zip(fits, pictures, strict=True)]
    )


def _fit_all(samples: list[tuple[Array, Array]], kind: Kind) -> list[_Fit]:
    """One fit a frame, all of them of the same sort: the one that fits the clip best."""
    enough = [len(d) >= LEAST_POINTS for d, _ in samples]
    if not any(enough):
        raise InputError(
            f"a clip with at most {max(len(d) for d, _ in samples)} matched points a frame",
            f"at least {LEAST_POINTS}",
            "give frames that overlap and are not blank",
        )
    best: list[_Fit] = []
    for of_depth in {"auto": (False, True), "inverse": (False,)}.get(kind, (True,)):
        fits = [_fit(d, rho, of_depth, kind == "metric") for (d, rho), ok in zip(samples, enough, strict=True) if ok]
        if not best or np.median([f.error for f in fits]) < np.median([f.error for f in best]):
            best = fits
    middle = _Fit(float(np.median([f.a for f in best])), float(np.median([f.b for f in best])), best[0].of_depth, 0.0)
    found = iter(best)
    return [next(found) if ok else middle for ok in enough]


def _fit(picture: Array, inv_depth: Array, of_depth: bool, factor_only: bool) -> _Fit:
    """The robust line from picture values ``(M,)`` to depth or inverse depth, by reweighted least squares.

    Residuals are relative to what is fitted, so that near and far points count alike.
    """
    target = 1.0 / inv_depth if of_depth else inv_depth
    ones = np.ones_like(picture)
    basis = np.stack([picture, ones * (not factor_only)], 1)
    weight = 1.0 / target**2
    line: Array = np.zeros(2)
    for _ in range(20):
        gram = (basis * weight[:, None]).T @ basis
        gram[np.diag_indices(2)] += 1e-9 * np.trace(gram)
        line[:] = np.linalg.solve(gram, (basis * weight[:, None]).T @ target)
        relative = np.abs(basis @ line - target) / target
        width = max(2 * float(np.median(relative)), 1e-4)
        weight = 1.0 / (target * (1 + (relative / width) ** 2)) ** 2
    return _Fit(float(line[0]), float(line[1]), of_depth, float(np.median(relative)))


def _guess(picture: Array, kind: Kind) -> Array:
    """Inverse depth about one for a clip that has no scale to find."""
    low, middle, high = np.quantile(picture, [0.02, 0.5, 0.98])
    if kind == "metric":
        metric: Array = 1.0 / (picture / max(middle, 1e-9)).clip(0.1, 10)
        return metric
    unit: Array = ((picture - low) / max(high - low, 1e-9)).clip(0, 1)
    return 0.5 + (1 - unit if kind == "depth" else unit)
