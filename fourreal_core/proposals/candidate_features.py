"""What is measured of a candidate's colour in a pixel, from which a scorer learns how far off it is.

A candidate is believed for how well the row explains it, how sure the flows are that it was read along, how it agrees
with the others, how smooth it is, and where in the grid the cell is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..flow.flow_field import warp
from .cell_candidates import KINDS, CellCandidates
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


def candidate_features(groups: Sequence[tuple[CellEvidence, CellCandidates]]) -> Features:
    """Features ``(K, H, W, len(OF_EACH))`` of all candidates of a cell.

    Args:
        groups: The candidates of one cell, by the evidence that they come from; at least one.
    """
    from .candidate_features_kernel import compare  # numba is loaded when the first cell is scored, not before

    evidence, first = groups[0]
    scale = evidence.scale
    measured = [np.concatenate(parts) for parts in zip(*(_of_group(*group) for group in groups), strict=True)]
    colors, flows, across, seen = (
        np.concatenate([getattr(candidates, name) for _, candidates in groups])
        for name in ("colors", "flows", "across", "seen")
    )
    measured.append(_blurred(np.minimum(_gradient(flows), _MOST_GRADIENT), SMOOTH_PX * scale))
    measured.append(_blurred(255 / 3 * _gradient(colors), SMOOTH_PX * scale))
    measured.append(seen.astype(np.float32))
    out = np.empty((*colors.shape[:3], len(OF_EACH)), np.float32)
    limits = (np.float32(scale), np.float32(AGREE_GRAY), np.float32(_MOST_GRAY))
    compare(np.stack(measured), colors, flows, across, limits, out)
    out[..., OF_EACH.index("agreement")] *= (len(KINDS) - 1) / max(len(colors) - 1, 1)
    out[..., OF_EACH.index("view_phase")], out[..., OF_EACH.index("time_phase")] = evidence.phases
    out[..., OF_EACH.index("alpha")] = first.alpha
    return out


def _of_group(evidence: CellEvidence, candidates: CellCandidates) -> list[Image]:
    """What only the candidates' own evidence says of them, ``(K, H, W)`` each: OF_EACH's first, then from_row."""
    scale, px = evidence.scale, evidence.error_scale
    flows, across = candidates.flows, candidates.across
    now = np.stack([warp(evidence.row_now, way) for way in across])
    then = np.stack([warp(evidence.row_then, flow + way) for flow, way in zip(flows, across, strict=True)])
    unexplained = _gray(now - then)
    differs = evidence.source - warp(evidence.row_then, evidence.match)
    detail = differs - gaussian_blur(differs, DETAIL_PX * scale)
    mismatch = gaussian_blur(_gray(detail), SMOOTH_PX * scale)
    itself = gaussian_blur(_gray(evidence.row_now - warp(evidence.row_then, evidence.back)), SMOOTH_PX * scale)
    return [
        *(_blurred(unexplained, window * scale) for window in WINDOWS_PX),
        np.stack([read(evidence.match_error, flow, _MOST_PX) / px for flow in flows]),
        np.stack([warp(mismatch, flow) for flow in flows]),
        np.stack([read(evidence.back_error, way, _MOST_PX) / px for way in across]),
        np.stack([warp(itself, way) for way in across]),
        _gray(candidates.colors - now),
    ]


def _gray(difference: Image) -> Image:
    """Mean absolute difference of the channels in grey levels of 255."""
    return _channel_sum(difference) * np.float32(255 / difference.shape[-1])


def _blurred(maps: Image, sigma_px: float) -> Image:
    return np.stack([gaussian_blur(each, sigma_px) for each in maps])


def _gradient(maps: Image) -> Image:
    """Sum of absolute forward differences ``(K, H, W)`` over both axes and all channels."""
    total = np.zeros(maps.shape[:-1], np.float32)
    total[:, :-1] += _channel_sum(maps[:, 1:] - maps[:, :-1])
    total[:, :, :-1] += _channel_sum(maps[:, :, 1:] - maps[:, :, :-1])
    return total


def _channel_sum(values: Image) -> Image:
    """Sum of the absolute values over the last, short axis: a product is many times faster than a sum there."""
    return np.asarray(np.abs(values) @ np.ones(values.shape[-1], np.float32), np.float32)
