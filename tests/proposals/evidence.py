"""A wall of waves that slides, seen by two views: everything around its missing cell is known exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fourreal_core.proposals.cell_candidates import CellCandidates, cell_candidates
from fourreal_core.proposals.cell_evidence import CellEvidence

SIZE = (36, 64)
PARALLAX, MOTION = 3, 2  # pixels to the right, from the view to the row and from then to now
INNER = (slice(4, -4), slice(10, -10))
EACH_INNER = (slice(None), *INNER)


def wall(shift: float, light: float = 0.0) -> np.ndarray:
    """The wall moved to the right."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    waves = [np.sin(0.5 * (x - shift) + 0.3 * k) * np.cos(0.35 * y + k) for k in range(3)]
    return (0.5 + 0.3 * np.stack(waves, -1) + light).astype(np.float32)


def flow(dx: float) -> np.ndarray:
    return np.broadcast_to(np.float32([dx, 0]), (*SIZE, 2)).copy()


def wall_evidence(**changes) -> CellEvidence:
    """Of cell [1, 2] of a grid of 3 x 5, from [1, 0] and row 0."""
    zero, one = np.zeros(SIZE, np.float32), np.ones(SIZE, np.float32)
    made = CellEvidence(
        cell=(1, 2),
        phases=(0.5, 0.5),
        source=wall(0),
        row_then=wall(PARALLAX),
        row_now=wall(PARALLAX + MOTION),
        match=flow(PARALLAX),
        match_error=zero,
        match_back=flow(-PARALLAX),
        match_back_error=zero,
        back=flow(-MOTION),
        back_error=zero,
        forth=flow(MOTION),
        forth_error=zero,
        row_nearness=one,
        source_nearness=one,
        valid=np.ones(SIZE, bool),
    )
    return replace(made, **changes)


def truth(light: float = 0.0) -> np.ndarray:
    return wall(MOTION, light)


def wall_candidates(evidence: CellEvidence | None = None, scene_dx: float = -MOTION) -> CellCandidates:
    """With a scene that says the wall moved by ``-scene_dx``, corrected rightly, and a black render."""
    flows = [flow(scene_dx), flow(-MOTION)]
    black = np.zeros((*SIZE, 3), np.float32)
    return cell_candidates(
        evidence or wall_evidence(), flows, np.ones(SIZE, bool), black, np.full(SIZE, 0.7, np.float32)
    )
