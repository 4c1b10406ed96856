"""The comparison of a cell's candidates in plain NumPy: what ``candidate_features_kernel`` does faster."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]
Real = np.float32


def compare(
    measured: Map, colors: Map, flows: Map, across: Map, scale: Real, most: Real, out: Map, leads: NDArray[np.bool_]
) -> None:
    """See ``candidate_features_kernel.compare``."""
    here = np.float32(255 / colors.shape[-1]) * colors
    away = _length(flows - np.asarray(np.median(flows, 0), np.float32)) / scale
    errors = np.minimum(measured[1], most)
    ordered = np.sort(errors, 0)
    least, second = ordered[0], ordered[1] if len(errors) > 1 else np.full_like(ordered[0], np.inf)
    leads[:] = errors <= least
    found = {
        **{n: measured[n] for n in range(7)},
        7: np.abs(here - np.median(here, 0)).sum(-1),
        8: np.abs(here - here[-1]).sum(-1),
        9: measured[7],
        11: away,
        12: measured[8],
        13: measured[9],
        14: _length(flows) / scale,
        15: _length(across) / scale,
        16: least,
        17: np.abs(np.where(leads, second, least) - errors),
        18: here.std(0).sum(-1),
    }
    for n, values in found.items():
        out[..., n] = 1 + np.minimum(values, most)


def _length(vectors: Map) -> Map:
    return np.asarray(np.sqrt(vectors[..., 0] ** 2 + vectors[..., 1] ** 2), np.float32)
