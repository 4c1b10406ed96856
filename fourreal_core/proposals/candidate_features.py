"""What is measured of a candidate's colour in a pixel, from which a scorer learns how far off it is.

A candidate is believed for how well the row explains it, how sure the flows are that it was read along, how it agrees
with the others, how smooth it is, and where in the grid the cell is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..flow.flow_field import Flow, warp
from .cell_candidates import KINDS, CellCandidates
from .cell_evidence import CellEvidence, read
from .image_filters import Image, Mask, gaussian_blur

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
    return MeasuredCandidates.of_cell(groups).features(slice(None))


@dataclass(frozen=True)
class MeasuredCandidates:
    """What features are made of, so that they can be made for some rows of the picture at a time.

    Attributes:
        maps: ``(10, K, H, W)`` what needs windows or warps: photometric errors in three windows, errors of match, view,
            return and row itself, distance to the row's colour, gradients of flow and colour.
        colors: ``(K, H, W, 3)`` of the candidates.
        flows: ``(K, H, W, 2)``.
        across: ``(K, H, W, 2)``.
        seen: ``(K, H, W)`` bool.
        alpha: ``(H, W)``.
        phases: Of view and time.
        scale: Of the evidence.
    """

    maps: Image
    colors: Image
    flows: Flow
    across: Flow
    seen: Mask
    alpha: Image
    phases: tuple[float, float]
    scale: float

    @classmethod
    def of_cell(cls, groups: Sequence[tuple[CellEvidence, CellCandidates]]) -> MeasuredCandidates:
        """Measures the candidates of one cell, by the evidence that they come from; at least one."""
        evidence, first = groups[0]
        window = SMOOTH_PX * evidence.scale
        maps = [np.concatenate(parts) for parts in zip(*(_of_group(*group) for group in groups), strict=True)]
        colors, flows, across, seen = (
            np.concatenate([getattr(candidates, name) for _, candidates in groups])
            for name in ("colors", "flows", "across", "seen")
        )
        maps.append(_blurred(np.minimum(_gradient(flows), _MOST_GRADIENT), window))
        maps.append(_blurred(255 / 3 * _gradient(colors), window))
        return cls(np.stack(maps), colors, flows, across, seen, first.alpha, evidence.phases, evidence.scale)

    def features(self, rows: slice) -> Features:
        """Features ``(K, h, W, len(OF_EACH))`` of the candidates in some rows of the picture."""
        from .candidate_features_kernel import compare  # numba is loaded when the first cell is scored, not before

        colors, flows, across = (each[:, rows] for each in (self.colors, self.flows, self.across))
        out, leads = np.ones((*colors.shape[:3], len(OF_EACH)), np.float32), np.empty(colors.shape[:3], bool)
        scale, most = np.float32(self.scale), np.float32(_MOST_GRAY)
        compare(self.maps[:, :, rows], colors, flows, across, scale, most, out, leads)
        np.log(out, out=out)
        out[..., OF_EACH.index("lead")] *= np.where(leads, np.float32(1), np.float32(-1))
        out[..., OF_EACH.index("agreement")] = _agreement(colors) * ((len(KINDS) - 1) / max(len(colors) - 1, 1))
        out[..., OF_EACH.index("view_phase")], out[..., OF_EACH.index("time_phase")] = self.phases
        out[..., OF_EACH.index("alpha")] = self.alpha[rows]
        out[..., OF_EACH.index("seen")] = self.seen[:, rows]
        return out


def _agreement(colors: Image) -> Image:
    """With how many others each candidate ``(K, H, W, 3)`` agrees, ``(K, H, W)``: exp of their distance, summed."""
    out = np.zeros(colors.shape[:3], np.float32)
    for k in range(1, len(colors)):
        alike = np.exp(-_gray(colors[:k] - colors[k]) / np.float32(AGREE_GRAY))
        out[:k] += alike
        out[k] += alike.sum(0)
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
