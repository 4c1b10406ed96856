"""A freeze-time clip explained by a camera that stands, turns and zooms: what a clip without parallax may show.

A zoom towards a wall and a step towards it look alike; only near things that move against far ones tell them apart. So
where a zoom explains the clip as well as a step, no depth can be had.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .bundle_adjustment import Observations
from .rotations import rotation_from_vector

Array = NDArray[np.float64]

WIDTHS_PX = (6.0, 6.0, 4.0, 4.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
"""Residuals in pixels at which Huber's loss bends, step by step."""
MOST_MATCHES = 300
"""Matches that every pair of views is solved with."""
_STEP = 1e-6  # of the numeric derivatives


@dataclass(frozen=True)
class ZoomingCamera:
    """A camera that stays in one place.

    Attributes:
        rotations: ``(V, 3, 3)`` world to camera.
        focal_px: ``(V,)`` focal length of every view in pixels.
    """

    rotations: Array
    focal_px: Array

    @property
    def zoom(self) -> float:
        """The longest focal length over the shortest."""
        return float(self.focal_px.max() / self.focal_px.min())

    @property
    def world_to_cam(self) -> Array:
        """``(V, 4, 4)``."""
        out = np.tile(np.eye(4), (len(self.rotations), 1, 1))
        out[:, :3, :3] = self.rotations
        return out

    def seen(self, pixels: Array, pair: tuple[int, int]) -> Array:
        """Where view j sees pixels ``(M, 2)`` (from the centre) of view i."""
        i, j = pair
        rays = np.column_stack([pixels / self.focal_px[i], np.ones(len(pixels))])
        there = rays @ (self.rotations[j] @ self.rotations[i].T).T
        at: Array = self.focal_px[j] * there[:, :2] / np.maximum(there[:, 2:], 1e-3)
        return at

    def moved(self, view: int, step: Array) -> ZoomingCamera:
        """With one view turned by a rotation vector and zoomed by a log factor, ``(4,)``."""
        rotations, focal = self.rotations.copy(), self.focal_px.copy()
        rotations[view] = rotation_from_vector(step[:3]) @ rotations[view]
        focal[view] *= np.exp(np.clip(step[3], -0.3, 0.3))
        return ZoomingCamera(rotations, focal)

    def median_error(self, obs: Observations) -> float:
        """Median distance in pixels between where points are seen and where this camera sees them."""
        errors = [self.seen(obs.pixels[index], pair) - seen for pair, (index, seen, _) in obs.pairs.items()]
        return float(np.median(np.linalg.norm(np.concatenate(errors), axis=1)))


def fit_zoom(obs: Observations, views: int, focal_px: float) -> ZoomingCamera:
    """The camera that explains matches best without changing its place; its middle view keeps a focal length.

    Gauss-Newton under Huber's weights; derivatives are numeric.

    Args:
        obs: Matches.
        views: V.
        focal_px: Of the middle view; a zoom alone leaves it open.
    """
    camera = ZoomingCamera(np.tile(np.eye(3), (views, 1, 1)), np.full(views, focal_px))
    few = replace(obs, pairs={pair: _thinned(*match) for pair, match in obs.pairs.items()})
    middle = views // 2
    free = np.setdiff1d(np.arange(4 * views), np.arange(4 * middle, 4 * middle + 4))
    for width in WIDTHS_PX:
        normal, right = np.zeros((4 * views, 4 * views)), np.zeros(4 * views)
        for pair, (index, seen, weight) in few.pairs.items():
            at, pixels = camera.seen(obs.pixels[index], pair), obs.pixels[index]
            jacobian = np.stack(
                [(camera.moved(v, _STEP * e).seen(pixels, pair) - at) / _STEP for v in pair for e in np.eye(4)], -1
            )
            size = np.linalg.norm(at - seen, axis=1)
            trust = weight * np.minimum(1.0, width / np.maximum(size, 1e-9))
            where = np.concatenate([np.arange(4 * v, 4 * v + 4) for v in pair])
            normal[np.ix_(where, where)] += np.einsum("n,nai,naj->ij", trust, jacobian, jacobian)
            right[where] -= np.einsum("n,nai,na->i", trust, jacobian, at - seen)
        normal = normal[np.ix_(free, free)]
        normal[np.diag_indices_from(normal)] *= 1 + 1e-6
        normal[np.diag_indices_from(normal)] += 1e-9
        step = np.zeros(4 * views)
        step[free] = np.linalg.solve(normal, right[free])
        for v in range(views):
            camera = camera.moved(v, step[4 * v : 4 * v + 4])
    return camera


def _thinned(index: NDArray[np.int64], seen: Array, weight: Array) -> tuple[NDArray[np.int64], Array, Array]:
    every = max(1, len(index) // MOST_MATCHES)
    return index[::every], seen[::every], weight[::every]
