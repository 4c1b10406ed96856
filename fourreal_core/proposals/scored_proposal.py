"""A cell's colours from one known cell of its view: all candidates, scored, made into one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..flow.flow_field import Flow, warp
from ..rasterizer import Rendered
from .candidate_features import MeasuredCandidates
from .candidate_scorer import CandidateScorer, load_scorer
from .cell_candidates import (
    CORRECTED,
    KINDS,
    RENDER,
    ROW_COLORS,
    SCENE,
    CellCandidates,
    cell_candidates,
    flow_of,
)
from .cell_evidence import CellEvidence, shrunk
from .coherent_choice import ChoiceOptions, Scores, choose, draw_choice
from .image_filters import Image, Mask, resized
from .scene_candidates import COVERED_ALPHA, SceneCandidates

FEATURES_WIDTH = 256
"""Candidates are scored in pictures of about this width, that of the grids the scorer was trained on."""
MOST_SMALLER = 4
BAND = 8
"""Rows of a picture that are scored at once."""


@dataclass(frozen=True)
class ScoredCells:
    """Proposes cells by scored candidates.

    Attributes:
        scene: What the scene says of a grid's cells.
        options: How a picture is made from scored candidates.
        scorer: What scores them.
    """

    scene: SceneCandidates
    options: ChoiceOptions
    scorer: CandidateScorer = field(default_factory=load_scorer)

    def propose(
        self, cell: tuple[int, int], source: int, scene_flow: Flow, scene_seen: Mask, rendered: Rendered
    ) -> tuple[Image, Mask, Image] | None:
        """Colours of a cell from the known cell of its view at a time; None if no row can verify it.

        Args:
            cell: View and time.
            source: Time of the known cell.
            scene_flow: ``(H, W, 2)`` in pixels from the cell to the source, as the scene says.
            scene_seen: ``(H, W)`` bool, where it does.
            rendered: The cell as the scene renders it.

        Returns:
            Colours ``(H, W, 3)``, where there are any ``(H, W)`` bool, and their expected error ``(H, W)`` in grey
            levels of 255.
        """
        groups = self.groups(cell, source, scene_flow, scene_seen, rendered)
        if not groups:
            return None
        small = [(group.small, group.candidates) for group in groups]
        kinds = np.concatenate([candidates.kinds for _, candidates in small])
        scores = self._scores(MeasuredCandidates.of_cell(small), kinds)
        free = np.concatenate([free_of_captions(*group) for group in small])
        scores = np.where(free | ~free.any(0), scores, -np.inf)
        choice = choose(np.concatenate([candidates.colors for _, candidates in small]), scores, self.options)
        each, size = len(groups[0].candidates.kinds), (scene_seen.shape[0], scene_seen.shape[1])

        def shown(k: int) -> Image:
            return groups[k // each].picture(k % each)

        color: Image = draw_choice(choice, shown, size, self.options).clip(0, 1)
        seen = resized(np.asarray(free.any(0), np.float32), size) > 0.5
        return color, seen, resized(choice.error, size)

    def _scores(self, measured: MeasuredCandidates, kinds: NDArray[np.int_]) -> Scores:
        """Scores ``(K, h, w)``, a few rows of the picture at a time, so that their features stay in the cache."""
        out = np.empty(measured.seen.shape, np.float32)
        for start in range(0, measured.seen.shape[1], BAND):
            rows = slice(start, start + BAND)
            out[:, rows] = self.scorer.scores(measured.features(rows), kinds)
        return out

    def groups(
        self, cell: tuple[int, int], source: int, scene_flow: Flow, scene_seen: Mask, rendered: Rendered
    ) -> list[RowCandidates]:
        """The candidates of a cell, by the row that they come from; arguments as of propose."""
        image, alpha = rendered.image.clamp(0, 1).cpu().numpy(), rendered.alpha.cpu().numpy()
        found = []
        for row in self.scene.reference_rows(*cell, source):
            evidence = self.scene.evidence(cell, source, row)
            flows = [scene_flow, *self.scene.corrected(scene_flow, (cell[0], source), row, cell[1])]
            found.append(RowCandidates.measured(evidence, flows, scene_seen, image, alpha))
        return found


@dataclass(frozen=True)
class RowCandidates:
    """The candidates of a cell from one row, measured in pictures of about FEATURES_WIDTH, drawn in full.

    Attributes:
        evidence: Around the cell, in full.
        small: The same, as small as the candidates.
        flows: The scene's and its corrections, in full; see cell_candidates.
        render: ``(H, W, 3)`` the scene's own picture.
        candidates: In small.
    """

    evidence: CellEvidence
    small: CellEvidence
    flows: Sequence[Flow]
    render: Image
    candidates: CellCandidates

    @classmethod
    def measured(
        cls, evidence: CellEvidence, flows: Sequence[Flow], scene_seen: Mask, render: Image, alpha: Image
    ) -> RowCandidates:
        """Measures the candidates; arguments in full, as of cell_candidates."""
        factor = smaller_by(render.shape[1])
        small, less = evidence.smaller(factor), np.float32(1 / factor)
        candidates = cell_candidates(
            small,
            [shrunk(flow, factor) * less for flow in flows],
            shrunk(scene_seen.astype(np.float32), factor) > 0.5,
            shrunk(render, factor),
            shrunk(alpha, factor),
        )
        return cls(evidence, small, flows, render, candidates)

    def picture(self, k: int) -> Image:
        """A candidate's colours ``(H, W, 3)`` in full.

        Flows that the candidate itself found are as fine as it is; the light of a view is smooth.
        """
        name, size = KINDS[self.candidates.kinds[k]], self.render.shape[:2]
        if name == RENDER:
            return self.render
        if name not in ROW_COLORS:
            return np.asarray(warp(self.evidence.source, self._flow(k)))
        across = self._enlarged(self.candidates.across[k])
        now = warp(self.small.row_now, self.candidates.across[k])
        light = resized(self.candidates.colors[k] - now, size)
        return np.asarray(warp(self.evidence.row_now, across) + light)

    def _flow(self, k: int) -> Flow:
        """The flow of a candidate from the view's frame, in full: the scene's as fine as it is."""
        name = KINDS[self.candidates.kinds[k]]
        if name in (SCENE, *CORRECTED):
            return flow_of(name, self.flows)
        return self._enlarged(self.candidates.flows[k])

    def _enlarged(self, flow: Flow) -> Flow:
        size = self.render.shape[:2]
        return resized(flow, size) * np.float32(size[1] / flow.shape[1])


def free_of_captions(evidence: CellEvidence, candidates: CellCandidates) -> Mask:
    """Where ``(K, H, W)`` candidates read no caption; a render does where it shows nothing for want of a picture."""
    free = []
    for k, flow, across in zip(candidates.kinds, candidates.flows, candidates.across, strict=True):
        name = KINDS[k]
        if name == RENDER:
            free.append(candidates.alpha > COVERED_ALPHA)
        else:
            free.append(evidence.free_of_captions(across if name in ROW_COLORS else flow))
    return np.stack(free)


def smaller_by(width: int) -> int:
    """The whole factor by which pictures of a width are made smaller to be scored."""
    return max(1, min(MOST_SMALLER, round(width / FEATURES_WIDTH)))
