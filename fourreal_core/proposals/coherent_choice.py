"""One picture from scored candidates: its light from all of them, its detail from the best.

Weighing all candidates by their scores is best on average but blurs what they disagree on; so only low frequencies are
taken from the weighted mean, and detail from the candidate that scores best in a window around each pixel. On request
one candidate a pixel is chosen such that seams run where both candidates look alike (the cost of Kwatra et al.,
"Graphcut textures", 2003), by sequential tree-reweighted message passing (Kolmogorov, 2006).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .image_filters import WIDTH_PX, Image, gaussian_blur, resized

Scores = NDArray[np.float32]

_FEATHER_PX = 0.7
_LEAST_SHARE = 1e-6
_NEVER = 1e4  # more than all seams of a pixel cost
_MOST_COST = 8.0  # by which one candidate is worse than the best, so that no score rules one out
_SEAM_WEIGHT = 3.0  # where two candidates' colours differ by 1, summed over channels and both pixels


@dataclass(frozen=True)
class ChoiceOptions:
    """How a picture is made from scored candidates.

    Attributes:
        scores_px: Standard deviation of the window over which scores are averaged, in pictures of WIDTH_PX.
        rounds: Of message passing; 0 takes the best of each pixel, which differs little and takes a third of the time.
        detail_px: Standard deviation of the window that divides light from detail, in pictures of WIDTH_PX; 0 takes
            the weighted mean for both.
    """

    scores_px: float = 2.0
    rounds: int = 0
    detail_px: float = 3.5

    def __post_init__(self) -> None:
        if self.scores_px <= 0 or min(self.rounds, self.detail_px) < 0:
            raise InputError(
                f"windows of {self.scores_px} and {self.detail_px} pixels and {self.rounds} rounds",
                "positive windows, no negative rounds; a detail window may be 0",
                "leave them at their defaults",
            )


class Choice(NamedTuple):
    """What was chosen among candidates, at the scores' resolution.

    Attributes:
        mean: ``(h, w, 3)`` the weighted mean of the candidates' colours.
        labels: ``(h, w)`` which candidate gives the detail; None where the mean gives it, too.
        shares: ``(K, h, w)`` weights of the candidates in the weighted mean.
        error: ``(h, w)`` expected error of the weighted mean in grey levels of 255, from the scores.
    """

    mean: Image
    labels: NDArray[np.int64] | None
    shares: Scores
    error: Image


def choose(colors: Image, scores: Scores, options: ChoiceOptions) -> Choice:
    """Chooses among the candidates of a cell.

    Args:
        colors: ``(K, h, w, 3)`` in ``[0, 1]``.
        scores: ``(K, h, w)``, see candidate_scorer; -inf where a candidate shows nothing.
        options: See ChoiceOptions.
    """
    finite = np.where(np.isfinite(scores), scores, scores.max(0) - 2 * _MOST_COST)
    window = options.scores_px * colors.shape[2] / WIDTH_PX
    smooth = np.stack([gaussian_blur(each, window) for each in finite])
    smooth = np.where(np.isfinite(scores), smooth, -np.inf)
    best = smooth.max(0)
    shares = np.exp(smooth - best)
    shares /= shares.sum(0)
    mean = _weighted(colors.__getitem__, shares, (colors.shape[1], colors.shape[2]))
    error = np.exp(-0.5 * (smooth * shares.clip(_LEAST_SHARE)).sum(0, where=shares > 0))
    if options.detail_px == 0:
        return Choice(mean, None, shares, error)
    costs = np.where(np.isfinite(scores), np.minimum(best - smooth, _MOST_COST), _NEVER).transpose(1, 2, 0)
    return Choice(mean, _labels(costs, colors, options), shares, error)


def draw_choice(choice: Choice, shown: Callable[[int], Image], size: tuple[int, int], options: ChoiceOptions) -> Image:
    """The picture ``(H, W, 3)`` of a choice, which may be larger than what it was made on.

    Args:
        choice: Among candidates that may have been smaller.
        shown: Gives a candidate's colours ``(H, W, 3)``; asked once for each that is drawn.
        size: Height and width.
        options: As the choice was made with.
    """
    if choice.labels is None:
        return _weighted(shown, choice.shares, size)
    taken = np.stack([gaussian_blur(choice.labels == k, _FEATHER_PX) for k in range(len(choice.shares))])
    detail = _weighted(shown, taken, size)
    height, width = choice.mean.shape[:2]
    window = options.detail_px * width / WIDTH_PX
    light = gaussian_blur(choice.mean - resized(detail, (height, width)), window)
    return np.asarray(detail + resized(light, size))


def _labels(costs: Scores, colors: Image, options: ChoiceOptions) -> NDArray[np.int64]:
    """Which candidate ``(h, w)`` is taken."""
    if options.rounds == 0:
        return np.asarray(costs.argmin(-1), np.int64)
    from .coherent_choice_kernel import pass_messages, seams_between  # numba is loaded for the first cell, not before

    seams = np.float32(_SEAM_WEIGHT) * seams_between(np.ascontiguousarray(colors.transpose(1, 2, 0, 3)))
    labels: NDArray[np.int64] = pass_messages(np.ascontiguousarray(costs, np.float32), seams, options.rounds)
    return labels


def _weighted(shown: Callable[[int], Image], shares: Scores, size: tuple[int, int]) -> Image:
    """The mean ``(H, W, 3)`` of candidates' colours, weighted by shares of any size, which are enlarged."""
    total, mass = np.zeros((*size, 3), np.float32), np.zeros(size, np.float32)
    for k, share in enumerate(shares):
        if share.any():
            weight = resized(share, size)
            total += weight[..., None] * shown(k)
            mass += weight
    return np.asarray(total / np.maximum(mass, _LEAST_SHARE)[..., None])
