"""How well the views of one time agree as one scene, seen by the cameras of the freeze-time clip."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..flow.flow_field import Mask
from ..geometry.bundle_adjustment import Bundle, Matches, Observations, reproject
from ..geometry.structure_from_motion import ClipCameras, ParallaxOptions, match_views
from .flow_figures import NeighbourFlows

FITS_PX = 1.5
"""A match that is at most so far in pixels from where the scene puts it fits."""
STARTS = (1.0, 0.35, 3.0)
"""Inverse depths, in units of the scene's median, from which a point's is sought."""
_ROUNDS, _HUBER_PX = 8, 1.0


@dataclass(frozen=True)
class SceneAgreement:
    """The agreement of one time's views.

    Attributes:
        reprojection_px: Median over matches.
        match_share: Percent of possible matches that fit.
        by_view: Median in pixels of the matches anchored in every view that has some.
    """

    reprojection_px: float
    match_share: float
    by_view: dict[int, float]


def scene_agreement(
    measured: NeighbourFlows, time: int, cameras: ClipCameras, views: int, valid: Mask
) -> SceneAgreement | None:
    """Fits one inverse depth a point to the matches between neighbouring views, and says how far they are from it.

    The cameras stay those of the freeze-time clip: a view of another time was taken from the same place. A point of a
    regular grid is matched where flow leads to the neighbouring view and back within a pixel.

    Args:
        measured: Flows of a grid.
        time: Whose views.
        cameras: Of the freeze-time clip.
        views: How many.
        valid: ``(H, W)`` pixels that count.

    Returns:
        None where no two views match.
    """
    ways = {(i, j) for i in range(views) for j in (i - 1, i + 1) if 0 <= j < views}
    flows = {(i, j): measured.flows[(i, time), (j, time)] for i, j in ways if ((i, time), (j, time)) in measured.flows}
    if not flows:
        return None
    obs = match_views(flows, valid, views, ParallaxOptions())
    if not obs.pairs:
        return None
    state = fit_points(cameras.state if cameras.turning is None else cameras.turning, obs)
    apart = {pair: np.linalg.norm(reproject(state, obs, pair)[2], axis=1) for pair in obs.pairs}
    every = np.concatenate(list(apart.values()))
    possible = len(flows) * len(obs.pixels) // views
    by_view = {
        v: float(np.median(np.concatenate([error for (i, _), error in apart.items() if i == v])))
        for v in sorted({i for i, _ in apart})
    }
    return SceneAgreement(float(np.median(every)), 100.0 * float((every < FITS_PX).sum()) / possible, by_view)


def fit_points(cameras: Bundle, obs: Observations) -> Bundle:
    """The cameras with the inverse depths ``(N,)`` that fit the matches best; Gauss-Newton from several starts."""
    matches = Matches.of(obs)
    best, error = np.ones(len(obs.pixels)), np.full(len(obs.pixels), np.inf)
    for start in STARTS:
        state = replace(cameras, inv_depth=np.full(len(obs.pixels), start))
        for _ in range(_ROUNDS):
            sums = matches.normal_equations(state, _HUBER_PX)
            step = -sums.gp / np.maximum(sums.hpp, 1e-9)
            state = replace(state, inv_depth=np.clip(state.inv_depth + step, 1e-3, 1e3))
        found = _point_errors(state, obs)
        better = found < error
        best[better], error[better] = state.inv_depth[better], found[better]
    return replace(cameras, inv_depth=best)


def _point_errors(state: Bundle, obs: Observations) -> np.ndarray:
    """Sum of distances in pixels of every point ``(N,)`` from where it is seen."""
    total = np.zeros(len(obs.pixels))
    for pair, (index, _, _) in obs.pairs.items():
        np.add.at(total, index, np.linalg.norm(reproject(state, obs, pair)[2], axis=1))
    return total
