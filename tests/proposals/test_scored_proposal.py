"""Scored cells take what the scorer prefers, and nothing from under a caption."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fourreal_core.flow.flow_cache import FlowCache
from fourreal_core.grid import FrameGrid
from fourreal_core.proposals import scored_proposal
from fourreal_core.proposals.candidate_features import OF_EACH
from fourreal_core.proposals.candidate_scorer import CandidateScorer
from fourreal_core.proposals.candidate_selection import SelectionOptions
from fourreal_core.proposals.cell_candidates import (
    KINDS,
    OWN_CARRIED,
    RENDER,
    ROW_CARRIED,
    ROW_COLOR,
    SCENE,
    STATIC,
)
from fourreal_core.proposals.coherent_choice import ChoiceOptions
from fourreal_core.proposals.scene_candidates import SceneCandidates
from fourreal_core.proposals.scored_proposal import MOST_SMALLER, RowCandidates, ScoredCells, smaller_by
from fourreal_core.scene.render import render_cell

from ..scene.scenes import SIZE, known_cross, rendered_grid, sliding, wall_scene
from .evidence import MOTION, truth, wall_evidence

VIEWS, TIMES = 3, 3


def prefers(*kinds: str) -> CandidateScorer:
    """Scores some kinds 30, all others 0, whatever is measured of them."""
    first = np.zeros((len(OF_EACH) + len(KINDS), 1), np.float32)
    for kind in kinds:
        first[len(OF_EACH) + KINDS.index(kind)] = 30
    one, zero = np.ones((1, 1), np.float32), np.zeros(1, np.float32)
    mean = np.zeros(len(OF_EACH), np.float32)
    return CandidateScorer(mean, mean + 1, (first, one, one), (zero, zero, zero))


@pytest.fixture(scope="module")
def grid() -> FrameGrid:
    return known_cross(rendered_grid(wall_scene(VIEWS, TIMES, sliding(TIMES, (4.0, 2.0)))))


def proposed(grid: FrameGrid, scorer: CandidateScorer, cell=(1, 2)):
    scene = wall_scene(VIEWS, TIMES, sliding(TIMES, (4.0, 2.0)))
    candidates = SceneCandidates(scene, grid, FlowCache(grid.frames, grid.known), SelectionOptions())
    flow = np.broadcast_to(np.float32([-2 * cell[1], -cell[1]]), (*SIZE, 2))
    with torch.no_grad():
        rendered = render_cell(scene, *cell)
        made = ScoredCells(candidates, ChoiceOptions(), scorer).propose(cell, 0, flow, np.ones(SIZE, bool), rendered)
    return made, rendered


def test_it_takes_what_the_scorer_prefers(grid: FrameGrid) -> None:
    (color, seen, error), rendered = proposed(grid, prefers(STATIC))
    assert np.abs(color - grid.frames[1, 0].numpy()).max() < 1e-3 and seen.all()
    assert np.allclose(error, np.exp(-15), atol=1e-6)
    (color, _, _), _ = proposed(grid, prefers(RENDER))
    assert np.abs(color - rendered.image.clamp(0, 1).numpy()).max() < 1e-3
    (color, _, _), _ = proposed(grid, prefers(STATIC, RENDER))
    half = (grid.frames[1, 0] + rendered.image.clamp(0, 1)).numpy() / 2
    assert abs(float((color - half).mean())) < 0.01


def test_under_captions_others_are_taken(grid: FrameGrid) -> None:
    valid = torch.ones(SIZE, dtype=torch.bool)
    valid[8:14, 6:26] = False
    pink = torch.tensor([1.0, 0.0, 1.0])
    captioned = replace(grid, frames=torch.where(valid[..., None], grid.frames, pink), valid=valid)
    (color, seen, _), _ = proposed(captioned, prefers(STATIC))
    assert seen.all()
    inner = (slice(9, 13), slice(8, 24))
    assert np.abs(color[inner] - pink.numpy()).max(-1).min() > 0.2
    assert np.abs(color[20:] - captioned.frames[1, 0, 20:].numpy()).max() < 1e-2


def test_rows_that_are_not_wholly_known_verify_nothing(grid: FrameGrid) -> None:
    known = grid.known.clone()
    known[0, 2] = False
    assert proposed(replace(grid, known=known), prefers(SCENE))[0] is None


def test_every_wholly_known_row_gives_candidates(grid: FrameGrid) -> None:
    known = grid.known.clone()
    known[2] = True
    frames = rendered_grid(wall_scene(VIEWS, TIMES, sliding(TIMES, (4.0, 2.0)))).clone()
    frames[2] *= torch.tensor([0.6, 1.0, 1.0])  # its colours are told from those of row 0 by their light
    both = replace(grid, frames=frames, known=known)
    scene = wall_scene(VIEWS, TIMES, sliding(TIMES, (4.0, 2.0)))
    candidates = SceneCandidates(scene, both, FlowCache(both.frames, both.known), SelectionOptions())
    with torch.no_grad():
        groups = ScoredCells(candidates, ChoiceOptions(), prefers(ROW_COLOR)).groups(
            (1, 2), 0, np.zeros((*SIZE, 2), np.float32), np.ones(SIZE, bool), render_cell(scene, 1, 2)
        )
    assert [group.evidence.row_now.mean() for group in groups] == pytest.approx(
        [float(frames[row, 2].mean()) for row in (0, 2)]
    )
    (color, _, _), _ = proposed(both, prefers(ROW_COLOR))
    assert np.isfinite(color).all()


@pytest.mark.parametrize(("width", "factor"), [(64, 1), (256, 1), (320, 1), (512, 2), (1280, MOST_SMALLER)])
def test_large_pictures_are_scored_smaller(width: int, factor: int) -> None:
    assert smaller_by(width) == factor


@pytest.mark.parametrize("factor", [1, 2])
def test_candidates_measured_in_small_are_drawn_in_full(factor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scored_proposal, "smaller_by", lambda width: factor)
    light, size = 0.1, wall_evidence().source.shape[:2]
    evidence = wall_evidence(source=wall_evidence().source + np.float32(light))
    render = np.random.default_rng(0).random((*size, 3)).astype(np.float32)
    flows = [np.broadcast_to(np.float32([-MOTION, 0]), (*size, 2))]
    made = RowCandidates.measured(evidence, flows, np.ones(size, bool), render, np.ones(size, np.float32))
    assert made.candidates.colors.shape[1:3] == (size[0] // factor, size[1] // factor)
    inner = (slice(8, -8), slice(16, -16))
    still = KINDS.index(STATIC)
    for k, kind in enumerate(KINDS):
        expected = evidence.source if k == still else render if kind == RENDER else truth(light)
        if kind not in (ROW_CARRIED, OWN_CARRIED):  # carried pixels have holes of their own, tested elsewhere
            assert np.abs(made.picture(k)[inner] - expected[inner]).max() < (1e-3 if factor == 1 else 0.03), kind
        if factor == 1:
            assert np.abs(made.picture(k).clip(0, 1) - made.candidates.colors[k]).max() < 1e-5, kind
