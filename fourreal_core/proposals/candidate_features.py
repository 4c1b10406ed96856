"""What is measured of a candidate's colour in a pixel, from which a scorer learns how far off it is.

A candidate is believed for how well the row explains it, how sure the flows are that it was read along, how it agrees
with the others, how smooth it is, and where in the grid the cell is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..flow.flow_field import warp
from .cell_candidates import REFERENCE_PX, CellCandidates
from .cell_evidence import CellEvidence, read
from .image_filters import Image, gaussian_blur

Features = NDArray[np.float32]

WINDOWS_PX = (1.5, 4.0, 12.0)
"""Standard deviations of the windows of photometric errors."""
SMOOTH_PX, DETAIL_PX = 2.0, 4.0
"""Windows of gradients, and of what counts as detail of a picture."""
AGREE_GRAY = 8.0
"""Grey levels by which a candidate differs from one that it agrees with to 1/e."""
OF_EACH = (
    *("photometric_fine", "photometric", "photometric_coarse"),
    *("match_error", "view_mismatch", "return_error", "self_error"),
    *("from_median", "from_render", "from_row", "agreement", "flow_from_median"),
    *("flow_gradient", "color_gradient", "flow_length", "across_length"),
    *("least_error", "lead", "spread", "view_phase", "time_phase", "alpha", "seen"),
)
"""Names of the features, in the order of the last axis."""
_MOST_PX, _MOST_GRAY, _MOST_GRADIENT = 20.0, 200.0, 10.0
_LEAST_SCALE = 0.5


def candidate_features(groups: Sequence[tuple[CellEvidence, CellCandidates]]) -> Features:
    """Features ``(K, H, W, len(OF_EACH))`` of all candidates of a cell.

    Args:
        groups: The candidates of one cell, by the evidence that they come from; at least one.
    """
    of_each = [np.concatenate(parts) for parts in zip(*(_of_group(*group) for group in groups), strict=True)]
    colors = np.concatenate([candidates.colors for _, candidates in groups])
    flows = np.concatenate([candidates.flows for _, candidates in groups])
    seen = np.concatenate([candidates.seen for _, candidates in groups])
    evidence, first = groups[0]
    scale = evidence.width / REFERENCE_PX
    every = np.ones(colors.shape[:3], np.float32)
    least, lead = _lead(np.expm1(of_each[1]))
    ready = {
        **dict(zip(OF_EACH[:7], of_each[:7], strict=True)),
        "from_median": _log(_gray(colors - np.median(colors, 0))),
        "from_render": of_each[7],
        "from_row": of_each[8],
        "agreement": _agreement(colors),
        "flow_from_median": _log(np.linalg.norm(flows - np.median(flows, 0), axis=-1) / scale),
        "flow_gradient": _log(_blurred(np.minimum(_gradient(flows), _MOST_GRADIENT), SMOOTH_PX * scale)),
        "color_gradient": _log(_blurred(255 / 3 * _gradient(colors), SMOOTH_PX * scale)),
        "flow_length": _log(np.linalg.norm(flows, axis=-1) / scale),
        "across_length": of_each[9],
        "least_error": _log(least) * every,
        "lead": lead,
        "spread": _log(255 * colors.std(0).mean(-1)) * every,
        "view_phase": evidence.phases[0] * every,
        "time_phase": evidence.phases[1] * every,
        "alpha": first.alpha * every,
        "seen": seen,
    }
    return np.stack([ready[name] for name in OF_EACH], -1).astype(np.float32)


def _of_group(evidence: CellEvidence, candidates: CellCandidates) -> list[Image]:
    """What only the candidates' own evidence says of them, ``(K, H, W)`` each: OF_EACH's first, then three more."""
    scale = evidence.width / REFERENCE_PX
    px = max(scale, _LEAST_SCALE)
    flows, across, colors = candidates.flows, candidates.across, candidates.colors
    now = np.stack([warp(evidence.row_now, way) for way in across])
    then = np.stack([warp(evidence.row_then, flow + way) for flow, way in zip(flows, across, strict=True)])
    unexplained = _gray(now - then)
    differs = evidence.source - warp(evidence.row_then, evidence.match)
    detail = differs - gaussian_blur(differs, DETAIL_PX * scale)
    mismatch = gaussian_blur(_gray(detail), SMOOTH_PX * scale)
    itself = gaussian_blur(_gray(evidence.row_now - warp(evidence.row_then, evidence.back)), SMOOTH_PX * scale)
    return [
        *(_log(_blurred(unexplained, window * scale)) for window in WINDOWS_PX),
        _log(np.stack([read(evidence.match_error, flow, _MOST_PX) / px for flow in flows])),
        _log(np.stack([warp(mismatch, flow) for flow in flows])),
        _log(np.stack([read(evidence.back_error, way, _MOST_PX) / px for way in across])),
        _log(np.stack([warp(itself, way) for way in across])),
        _log(_gray(colors - colors[-1])),  # the render is the last of its kinds
        _log(_gray(colors - now)),
        _log(np.linalg.norm(across, axis=-1) / scale),
    ]


def _lead(errors: Image) -> tuple[Image, Image]:
    """The least error ``(H, W)`` of all, and by how much each leads the best of the others, signed logarithm."""
    ordered = np.partition(errors, 1, axis=0)
    others = np.where(errors <= ordered[:1], ordered[1:2], ordered[:1])
    return ordered[0], np.sign(others - errors) * _log(np.abs(others - errors))


def _agreement(colors: Image) -> Image:
    """How many others ``(K, H, W)`` each agrees with, of as many as there are kinds in one group."""
    from .cell_candidates import KINDS

    total = np.zeros(colors.shape[:3], np.float32)
    for k in range(len(colors)):
        for j in range(k):
            alike = np.exp(-_gray(colors[k] - colors[j]) / AGREE_GRAY)
            total[k] += alike
            total[j] += alike
    return total * ((len(KINDS) - 1) / max(len(colors) - 1, 1))


def _gray(difference: Image) -> Image:
    """Mean absolute difference of the channels in grey levels of 255."""
    return np.asarray(255 * np.abs(difference).mean(-1), np.float32)


def _log(values: Image) -> Image:
    return np.log1p(np.minimum(values, _MOST_GRAY))


def _blurred(maps: Image, sigma_px: float) -> Image:
    return np.stack([gaussian_blur(each, sigma_px) for each in maps])


def _gradient(maps: Image) -> Image:
    """Sum of absolute forward differences ``(K, H, W)`` over both axes and all channels."""
    down = np.abs(np.diff(maps, axis=1, append=maps[:, -1:])).sum(-1)
    return np.asarray(down + np.abs(np.diff(maps, axis=2, append=maps[:, :, -1:])).sum(-1))
