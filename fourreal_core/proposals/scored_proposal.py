"""A cell's colours from one known cell of its view: all candidates, scored, made into one picture."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..flow.flow_field import Flow
from ..rasterizer import Rendered
from .candidate_features import candidate_features
from .candidate_scorer import CandidateScorer, load_scorer
from .cell_candidates import KINDS, RENDER, ROW_COLORS, CellCandidates, cell_candidates
from .cell_evidence import CellEvidence
from .coherent_choice import ChoiceOptions, choose
from .image_filters import Image, Mask
from .scene_candidates import COVERED_ALPHA, SceneCandidates

FEATURES_WIDTH = 256
"""Candidates are scored in pictures of about this width, that of the grids the scorer was trained on."""
MOST_SMALLER = 4


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
        factor = smaller_by(scene_flow.shape[1])
        small = [(evidence.smaller(factor), candidates.smaller(factor)) for evidence, candidates in groups]
        kinds = np.concatenate([candidates.kinds for _, candidates in groups])
        scores = self.scorer.scores(candidate_features(small), kinds)
        free = np.concatenate([free_of_captions(*group) for group in small])
        scores = np.where(free | ~free.any(0), scores, -np.inf)
        colors = np.concatenate([candidates.colors for _, candidates in groups])
        choice = choose(colors, scores, self.options)
        seen = np.asarray(np.concatenate([free_of_captions(*group) for group in groups]).any(0))
        color: Image = choice.color.clip(0, 1)
        return color, seen, choice.error

    def groups(
        self, cell: tuple[int, int], source: int, scene_flow: Flow, scene_seen: Mask, rendered: Rendered
    ) -> list[tuple[CellEvidence, CellCandidates]]:
        """The candidates of a cell, by the row that they come from; arguments as of propose."""
        image, alpha = rendered.image.clamp(0, 1).cpu().numpy(), rendered.alpha.cpu().numpy()
        found = []
        for row in self.scene.reference_rows(*cell, source):
            evidence = self.scene.evidence(cell, source, row)
            flows = [scene_flow, *self.scene.corrected(scene_flow, (cell[0], source), row, cell[1])]
            found.append((evidence, cell_candidates(evidence, flows, scene_seen, image, alpha)))
        return found


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
