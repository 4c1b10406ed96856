"""One picture from scored candidates: its light from all of them, its detail from one coherent choice.

Weighing all candidates by their scores is best on average but blurs what they disagree on; taking the best of each
pixel changes the candidate from pixel to pixel, which tears outlines. So one candidate a pixel is chosen such that
seams run where both candidates look alike (the cost of Kwatra et al., "Graphcut textures", 2003), by sequential
tree-reweighted message passing (Kolmogorov, 2006), and low frequencies are taken from the weighted mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .cell_evidence import shrunk
from .image_filters import WIDTH_PX, Image, gaussian_blur

Scores = NDArray[np.float32]

_FEATHER_PX = 0.7
_LEAST_SHARE = 1e-6
_NEVER = 1e4  # more than all seams of a pixel cost


@dataclass(frozen=True)
class ChoiceOptions:
    """How a picture is made from scored candidates.

    Attributes:
        scores_px: Standard deviation of the window over which scores are averaged, in pictures of WIDTH_PX.
        most_cost: The most by which one candidate is worse than the best, so that no score rules one out.
        seam_weight: Cost of a seam where the two candidates' colours differ by 1, summed over channels and both pixels.
        rounds: Of message passing; 0 takes the best of each pixel.
        detail_px: Standard deviation of the window that divides light from detail, in pictures of WIDTH_PX; 0 takes
            the weighted mean for both.
    """

    scores_px: float = 2.0
    most_cost: float = 8.0
    seam_weight: float = 3.0
    rounds: int = 4
    detail_px: float = 3.5

    def __post_init__(self) -> None:
        if min(self.scores_px, self.most_cost) <= 0 or min(self.seam_weight, self.rounds, self.detail_px) < 0:
            raise InputError(
                f"windows, costs and rounds of {(self.scores_px, self.most_cost, self.seam_weight, self.rounds)}",
                "positive windows and costs, no negative seam weight, rounds and detail window",
                "leave them at their defaults",
            )


class Choice(NamedTuple):
    """A picture made from candidates.

    Attributes:
        color: ``(H, W, 3)``.
        error: ``(H, W)`` expected error of the weighted mean in grey levels of 255, from the scores.
        shares: ``(K, H, W)`` weights of the candidates in the weighted mean, at the scores' resolution.
    """

    color: Image
    error: Image
    shares: Scores


def choose(colors: Image, scores: Scores, options: ChoiceOptions) -> Choice:
    """Makes one picture from the candidates of a cell.

    Args:
        colors: ``(K, H, W, 3)`` in ``[0, 1]``.
        scores: ``(K, h, w)``, see candidate_scorer; -inf where a candidate shows nothing. Their pictures may be smaller
            by a whole factor.
        options: See ChoiceOptions.
    """
    count, height, width = colors.shape[:3]
    factor = max(1, round(width / scores.shape[2]))
    finite = np.where(np.isfinite(scores), scores, scores.max(0) - 2 * options.most_cost)
    scale = width / WIDTH_PX
    smooth = np.stack([gaussian_blur(each, options.scores_px * scale / factor) for each in finite])
    smooth = np.where(np.isfinite(scores), smooth, -np.inf)
    best = smooth.max(0)
    shares = np.exp(smooth - best)
    shares /= shares.sum(0)
    soft = _weighted(colors, shares)
    error = _enlarged(np.exp(-0.5 * (smooth * shares.clip(_LEAST_SHARE)).sum(0, where=shares > 0)), (height, width))
    if options.detail_px == 0:
        return Choice(soft, error, shares)
    costs = np.where(np.isfinite(scores), np.minimum(best - smooth, options.most_cost), _NEVER).transpose(1, 2, 0)
    labels = _labels(costs, colors, factor, options)
    hard = _weighted(colors, np.stack([gaussian_blur((labels == k), _FEATHER_PX) for k in range(count)]))
    return Choice(hard + gaussian_blur(soft - hard, options.detail_px * scale), error, shares)


def _labels(costs: Scores, colors: Image, factor: int, options: ChoiceOptions) -> NDArray[np.int64]:
    """Which candidate ``(h, w)`` is taken, at the costs' resolution."""
    if options.rounds == 0:
        return np.asarray(costs.argmin(-1), np.int64)
    from .coherent_choice_kernel import pass_messages, seams_between  # numba is loaded for the first cell, not before

    small = np.ascontiguousarray(np.stack([shrunk(each, factor) for each in colors], 2), np.float32)
    seams = np.float32(options.seam_weight) * seams_between(small)
    labels: NDArray[np.int64] = pass_messages(np.ascontiguousarray(costs, np.float32), seams, options.rounds)
    return labels


def _weighted(colors: Image, shares: Scores) -> Image:
    """The mean ``(H, W, 3)`` of colours, weighted by shares of any size, which are enlarged and sum to 1 then."""
    size = (colors.shape[1], colors.shape[2])
    total, mass = np.zeros(colors.shape[1:], np.float32), np.zeros(size, np.float32)
    for color, share in zip(colors, shares, strict=True):
        if not share.any():
            continue
        weight = _enlarged(share, size)
        total += weight[..., None] * color
        mass += weight
    return np.asarray(total / np.maximum(mass, _LEAST_SHARE)[..., None])


def _enlarged(values: Image, size: tuple[int, int]) -> Image:
    import cv2

    values = np.ascontiguousarray(values, np.float32)
    if values.shape == size:
        return values
    return np.asarray(cv2.resize(values, size[::-1], interpolation=cv2.INTER_LINEAR))
