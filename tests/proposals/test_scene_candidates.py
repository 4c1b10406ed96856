"""Known rows correct the scene: a wrong one is corrected, a right one kept, disoccluded things are revealed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fourreal_core.flow.flow_cache import FlowCache, MeasuredFlow
from fourreal_core.proposals.candidate_selection import SelectionOptions, propose_from_source
from fourreal_core.proposals.complete_grid import ProposalOptions, complete_grid
from fourreal_core.proposals.scene_candidates import CORRECTION_HANDICAP_GRAY, SceneCandidates

from ..scene.scenes import SIZE, known_cross, psnr, rendered_grid, sliding, wall_scene

VIEWS, TIMES = 2, 3
INNER = (slice(6, -6), slice(6, -6))
OPTIONS = SelectionOptions()
VERIFIED = ProposalOptions(choice="verified")


class TrueFlows(FlowCache):
    """The wall's own flows: views lie one pixel apart, and it slides by whole pixels."""

    def __init__(self, frames: torch.Tensor, known: torch.Tensor, step: tuple[float, float]) -> None:
        super().__init__(frames, known, engine=lambda a, b, init=None: np.zeros((*a.shape, 2), np.float32))
        self.step = np.asarray(step, np.float32)

    def __call__(self, start: tuple[int, int], end: tuple[int, int]) -> MeasuredFlow:
        shift = self.step * (end[1] - start[1]) - np.asarray([end[0] - start[0], 0], np.float32)
        flow = np.broadcast_to(shift, (*SIZE, 2)).astype(np.float32)
        return MeasuredFlow(flow, np.zeros(SIZE, np.float32), (flow,))


@pytest.fixture(scope="module")
def truth() -> torch.Tensor:
    """A wall that slides by (2, 1) pixels a step, each view in a light of its own."""
    return (
        rendered_grid(wall_scene(VIEWS, TIMES, sliding(TIMES, (4.0, 2.0))))
        * torch.tensor([1.0, 0.8])[:, None, None, None, None]
    )


def flows_of(frames: torch.Tensor, known: torch.Tensor) -> TrueFlows:
    return TrueFlows(frames, known, (2.0, 1.0))


@pytest.mark.parametrize("wrong", [None, sliding(TIMES, (-3.0, 1.0))])
def test_a_scene_that_moves_wrongly_is_corrected(truth: torch.Tensor, wrong) -> None:
    scene, grid = wall_scene(VIEWS, TIMES, wrong), known_cross(truth)
    flows = flows_of(grid.frames, grid.known)
    believed = complete_grid(scene, grid, VERIFIED, flows=None)
    verified = complete_grid(scene, grid, VERIFIED, flows=flows)
    for time in (1, 2):
        assert psnr(believed.frames[1, time][INNER], truth[1, time][INNER]) < 25
        # the scene's own wrong map takes part in the correction, and its render is good to a tenth of a pixel
        assert psnr(verified.frames[1, time][INNER], truth[1, time][INNER]) > 35


def test_a_scene_that_moves_rightly_is_believed(truth: torch.Tensor) -> None:
    scene, grid = wall_scene(VIEWS, TIMES, sliding(TIMES, (4.0, 2.0))), known_cross(truth)
    verified = complete_grid(scene, grid, VERIFIED, flows=flows_of(grid.frames, grid.known))
    believed = complete_grid(scene, grid, VERIFIED, flows=None)
    for time in (1, 2):
        assert psnr(verified.frames[1, time][INNER], believed.frames[1, time][INNER]) > 45


@pytest.mark.parametrize("size", [float("inf"), 30.0])
def test_what_nothing_explains_is_taken_over_in_the_views_tone(truth: torch.Tensor, size: float) -> None:
    frames = truth.clone()
    patch = (slice(8, 16), slice(12, 22))
    frames[0, 2][patch] = torch.tensor([1.0, 0.0, 1.0])
    grid = known_cross(frames)
    options = ProposalOptions(choice="verified", selection=SelectionOptions(disocclusion_gray=size, window_px=8.0))
    made = complete_grid(
        wall_scene(VIEWS, TIMES, sliding(TIMES, (4.0, 2.0))), grid, options, flows=flows_of(grid.frames, grid.known)
    )
    there = made.frames[1, 2, 10:14, 13:19]  # one pixel farther left in view 1
    away = (there - torch.tensor([1.0, 0.0, 1.0])).abs().mean()
    # the view is darker by a fifth, and so is what it takes over
    assert (float(away) < 0.25) == np.isfinite(size)


def test_without_a_reference_row_the_scene_is_believed(truth: torch.Tensor) -> None:
    scene, grid = wall_scene(VIEWS, TIMES, sliding(TIMES, (4.0, 2.0))), known_cross(truth)
    known = grid.known.clone()
    known[0, 1] = False
    grid = replace(grid, known=known)
    flows = flows_of(grid.frames, grid.known)
    assert SceneCandidates(scene, grid, flows, OPTIONS).reference_rows(1, 2, 0) == []
    verified, believed = (
        complete_grid(scene, grid, VERIFIED, flows=flows),
        complete_grid(scene, grid, VERIFIED, flows=None),
    )
    torch.testing.assert_close(verified.frames, believed.frames, rtol=0, atol=1e-3)  # two bilinear readers


def test_the_nearest_whole_rows_are_asked() -> None:
    scene, frames = wall_scene(5, TIMES), torch.rand(5, TIMES, *SIZE, 3, generator=torch.Generator().manual_seed(0))
    grid = known_cross(frames)
    known = grid.known.clone()
    known[3] = known[4] = True
    grid = replace(grid, known=known)
    candidates = SceneCandidates(scene, grid, FlowCache(grid.frames, known), OPTIONS)
    assert candidates.reference_rows(2, 1, 0) == [3, 0]
    assert candidates.reference_rows(2, 0, 0) == []  # the cell itself


def found(truth: torch.Tensor, wrong: tuple[float, float] = (-3.0, 1.0), more: bool = False):
    """Candidates of cell (1, 2) and their references; the scene moves wrongly."""
    grid = known_cross(truth)
    if more:  # view 1 is known at a second time
        known = grid.known.clone()
        known[1, 1] = True
        grid = replace(grid, known=known)
    scene = wall_scene(VIEWS, TIMES, sliding(TIMES, wrong))
    candidates = SceneCandidates(scene, grid, flows_of(grid.frames, grid.known), OPTIONS)
    flow = np.broadcast_to(np.asarray([-1, 2], np.float32), (*SIZE, 2)).copy()
    return candidates.candidates((1, 2), 0, flow, np.ones(SIZE, bool))


def test_candidates_are_the_scene_standing_still_and_the_corrected_scene(truth: torch.Tensor) -> None:
    made, checks = found(truth)
    assert len(made.flows) == 3 and list(made.handicaps) == [0.0, 0.0, CORRECTION_HANDICAP_GRAY] and len(checks) == 1
    at = made.flows[2][12, 16]
    # the scene's answer plus the row's flow back (-4, -2) less the scene's own motion in the row, (3, -1) back
    assert made.flows[0][12, 16].tolist() == [-1, 2] and not made.flows[1].any()
    assert at == pytest.approx([-1 - 4 - 3, 2 - 2 + 1], abs=0.2)
    assert checks[0].match[12, 16].tolist() == [1, 0] and checks[0].match_error is None  # one votes alone


def test_a_view_known_at_several_times_hides_nothing(truth: torch.Tensor) -> None:
    once, twice = found(truth)[0], found(truth, more=True)[0]
    assert twice.self_error is None and once.self_error is not None
    # the row's flow is the wall's own, so nothing is left but what comes in at the border
    assert once.self_error[INNER].max() < 1.0


def test_a_caption_cannot_be_read(truth: torch.Tensor) -> None:
    valid = torch.ones(SIZE, dtype=torch.bool)
    valid[8:14, 6:26] = False
    grid = known_cross(truth, valid)
    candidates = SceneCandidates(wall_scene(VIEWS, TIMES), grid, flows_of(grid.frames, grid.known), OPTIONS)
    still = np.zeros((*SIZE, 2), np.float32)
    readable = candidates.candidates((1, 2), 0, still, np.ones(SIZE, bool))[0].readable(still)
    assert np.array_equal(readable, valid.numpy())


def test_two_rows_vote_by_their_matches() -> None:
    frames = torch.rand(3, TIMES, *SIZE, 3, generator=torch.Generator().manual_seed(0))
    grid = known_cross(frames)
    known = grid.known.clone()
    known[2] = True
    grid = replace(grid, known=known)
    candidates = SceneCandidates(wall_scene(3, TIMES), grid, flows_of(grid.frames, known), OPTIONS)
    made, checks = candidates.candidates((1, 2), 0, np.zeros((*SIZE, 2), np.float32), np.ones(SIZE, bool))
    assert len(checks) == 2 and all(check.match_error is not None for check in checks) and len(made.flows) == 4
    picture = grid.frames[1, 0].numpy()
    assert np.isfinite(propose_from_source(picture, made, checks, OPTIONS).color).all()
