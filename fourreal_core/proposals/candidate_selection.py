"""One cell's colours from one known cell: candidate flows are verified, the best is chosen, the rest is disoccluded.

This is the one engine behind every proposal, for grids of any size: the pipeline's (complete_grid) and those that
networks are shown (grid_proposals). The paper renders splats here and leaves the rest to its model; this is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..flow.flow_field import Flow, warp
from .image_filters import WIDTH_PX, Image, Mask, gaussian_blur, logistic_step, median_flow, open_regions
from .photometric_check import PhotometricCheck, mean_photometric_error


@dataclass(frozen=True)
class SelectionOptions:
    """How candidates are verified and chosen.

    Attributes:
        window_px: Standard deviation of the window over which photometric errors are averaged, for WIDTH_PX.
        tone_px: Standard deviation of the window over which mean colours are compared, for WIDTH_PX.
        disocclusion_gray: Photometric error in grey levels of 255 at which a pixel counts as disoccluded by one half.
        disocclusion_soft_gray: Grey levels over which that goes from no to yes.
        region_px: Disoccluded regions narrower than this are chance; 0 keeps them.
        median_px: Side of the window of the median over the chosen flow; 0 for none.
    """

    window_px: float = 4.0
    tone_px: float = 8.0
    disocclusion_gray: float = 20.0
    disocclusion_soft_gray: float = 3.0
    region_px: int = 5
    median_px: int = 5

    def __post_init__(self) -> None:
        positive = (self.window_px, self.tone_px, self.disocclusion_gray, self.disocclusion_soft_gray)
        if min(positive) <= 0 or min(self.region_px, self.median_px) < 0:
            raise InputError(
                f"windows, grey levels and sides of {(*positive, self.region_px, self.median_px)}",
                "positive windows and grey levels, no negative sides",
                "leave them at their defaults",
            )


class Candidates(NamedTuple):
    """Answers to where a cell's pixels are in a known cell, and what else is known of them.

    Attributes:
        flows: ``(H, W, 2)`` each, in pixels from the cell to the source; the first is believed where nothing is known.
        handicaps: Grey levels of 255 by which each must be the better; none if empty.
        readable: Whether ``(H, W)`` a flow leads onto what may be read, for all but the first flow; None for anywhere.
        first_seen: ``(H, W)`` where the first flow leads onto what may be read; None for everywhere.
        self_error: Photometric error ``(H, W)`` that the reference's own flow leaves, at the reference's pixels: where
            it is small, the reference shows nothing new (see occluded_in_reference); None to skip that.
    """

    flows: Sequence[Flow]
    handicaps: Sequence[float] = ()
    readable: Callable[[Flow], Mask] | None = None
    first_seen: Mask | None = None
    self_error: Image | None = None


class SourceProposal(NamedTuple):
    """What a cell takes from one known cell.

    Attributes:
        color: ``(H, W, 3)``.
        seen: ``(H, W)`` bool, where there is such a colour.
        error: ``(H, W)`` photometric error of the chosen candidate in the references, in grey levels of 255.
        flow: ``(H, W, 2)`` the chosen candidate, from the cell to the known cell.
    """

    color: Image
    seen: Mask
    error: Image
    flow: Flow


def propose_from_source(
    picture: Image, candidates: Candidates, checks: Sequence[PhotometricCheck], options: SelectionOptions
) -> SourceProposal:
    """A cell's colours from a known cell by the candidate that the references verify best, pixel by pixel.

    Args:
        picture: ``(H, W, 3)`` in ``[0, 1]``, the known cell.
        candidates: At least one.
        checks: References, the nearest first; without any the first candidate is taken.
        options: See SelectionOptions.
    """
    first, scale = candidates.flows[0], picture.shape[1] / WIDTH_PX
    everywhere = np.ones(first.shape[:2], bool)
    first_seen = everywhere if candidates.first_seen is None else candidates.first_seen
    if not checks:
        return SourceProposal(warp(picture, first), first_seen, np.zeros(first.shape[:2], np.float32), first)
    flow, error, choice = _best_flow(candidates, checks, options.window_px * scale)
    flow = median_flow(flow, options.median_px)
    if candidates.self_error is not None:
        occluded = occluded_in_reference(flow, error, checks[0], candidates.self_error, options.disocclusion_gray)
        flow, choice = np.where(occluded[..., None], first, flow), np.where(occluded, 0, choice)
        error = np.where(occluded, np.float32(0), error)
    readable = candidates.readable or (lambda _: everywhere)
    seen = np.where(choice == 0, first_seen, readable(flow))
    color = warp(picture, flow)
    revealed, across = checks[0].transfer_color(flow, color, options.tone_px * scale)
    share = disocclusion_probability(error, options) * readable(across)
    color = color + share[..., None] * (revealed - color)
    return SourceProposal(color.clip(0, 1), seen | (share > 0.5), error, flow)


def _best_flow(
    candidates: Candidates, checks: Sequence[PhotometricCheck], window_px: float
) -> tuple[Flow, Image, NDArray[np.int_]]:
    errors = [mean_photometric_error(checks, flow, window_px) for flow in candidates.flows]
    errors = [e + np.float32(h) for e, h in zip(errors, candidates.handicaps or [0] * len(errors), strict=True)]
    if candidates.readable is not None:
        for k in range(1, len(errors)):
            errors[k] = np.where(candidates.readable(candidates.flows[k]), errors[k], np.inf)
    return best_candidate(candidates.flows, errors)


def best_candidate(flows: Sequence[Flow], errors: Sequence[Image]) -> tuple[Flow, Image, NDArray[np.int_]]:
    """Each pixel's flow ``(H, W, 2)`` of the least error, that error ``(H, W)``, and which one it is."""
    stacked = np.stack(errors)
    choice = stacked.argmin(0)
    flow = np.take_along_axis(np.stack(flows), choice[None, ..., None], 0)[0]
    return flow, stacked.min(0), choice


def disocclusion_probability(error: Image, options: SelectionOptions) -> Image:
    """How surely ``(H, W)`` a pixel shows what the known cell does not: no candidate explains the references."""
    share = logistic_step(error, options.disocclusion_gray, options.disocclusion_soft_gray)
    return open_regions(share, options.region_px)


def occluded_in_reference(
    flow: Flow, error: Image, check: PhotometricCheck, self_error: Image, disocclusion_gray: float
) -> Mask:
    """Where no candidate explains the reference but its own flow does: something near hides the point there.

    What hides it is in its own place in the cell's view, so that the reference says nothing about what is behind.

    Args:
        flow: ``(H, W, 2)`` from the cell to the source.
        error: ``(H, W)`` its photometric error in grey levels of 255.
        check: The reference.
        self_error: ``(H, W)`` what the reference's own flow leaves unexplained, at the reference's pixels.
        disocclusion_gray: See SelectionOptions.
    """
    explains_itself = warp(self_error, warp(check.match, flow)) < _SELF_EXPLAINED_GRAY
    return (error > disocclusion_gray) & explains_itself


_SELF_EXPLAINED_GRAY = 10.0


def smoothed_error(values: Image, options: SelectionOptions) -> Image:
    """An error ``(H, W)`` over the window in which candidates are compared."""
    return gaussian_blur(values, options.window_px * values.shape[1] / WIDTH_PX)
