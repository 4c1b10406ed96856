"""Colours settled by what known rows show: a wrong scene is corrected, a right one kept, new things are taken over."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.flow.flow_cache import FlowCache, MeasuredFlow
from fourreal_core.proposals.candidate_selection import Evidence, EvidenceOptions
from fourreal_core.proposals.scene_proposal import ProposalOptions, complete_grid

from ..scene.scenes import SIZE, known_cross, psnr, rendered_grid, sliding, wall_scene

VIEWS, TIMES = 2, 3
INNER = (slice(6, -6), slice(6, -6))
NONE = ProposalOptions(evidence=None)


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
    believed = complete_grid(scene, grid, NONE)
    settled = complete_grid(scene, grid, flows=flows)
    for time in (1, 2):
        assert psnr(believed.frames[1, time][INNER], truth[1, time][INNER]) < 25
        # the scene's own wrong map takes part in the correction, and its render is good to a tenth of a pixel
        assert psnr(settled.frames[1, time][INNER], truth[1, time][INNER]) > 35


def test_a_scene_that_moves_rightly_is_believed(truth: torch.Tensor) -> None:
    scene, grid = wall_scene(VIEWS, TIMES, sliding(TIMES, (4.0, 2.0))), known_cross(truth)
    settled = complete_grid(scene, grid, flows=flows_of(grid.frames, grid.known))
    believed = complete_grid(scene, grid, NONE)
    for time in (1, 2):
        assert psnr(settled.frames[1, time][INNER], believed.frames[1, time][INNER]) > 45


@pytest.mark.parametrize("size", [float("inf"), 30.0])
def test_what_nothing_explains_is_taken_over_in_the_views_tone(truth: torch.Tensor, size: float) -> None:
    frames = truth.clone()
    patch = (slice(8, 16), slice(12, 22))
    frames[0, 2][patch] = torch.tensor([1.0, 0.0, 1.0])
    grid = known_cross(frames)
    options = ProposalOptions(evidence=EvidenceOptions(new_gray=size, window_px=8.0))
    made = complete_grid(
        wall_scene(VIEWS, TIMES, sliding(TIMES, (4.0, 2.0))), grid, options, flows=flows_of(grid.frames, grid.known)
    )
    there = made.frames[1, 2, 10:14, 13:19]  # one pixel farther left in view 1
    away = (there - torch.tensor([1.0, 0.0, 1.0])).abs().mean()
    # the view is darker by a fifth, and so is what it takes over
    assert (float(away) < 0.25) == np.isfinite(size)


def test_no_row_to_ask_leaves_the_scene_its_word(truth: torch.Tensor) -> None:
    scene, grid = wall_scene(VIEWS, TIMES, sliding(TIMES, (4.0, 2.0))), known_cross(truth)
    known = grid.known.clone()
    known[0, 1] = False
    grid = replace(grid, known=known)
    flows = flows_of(grid.frames, grid.known)
    assert Evidence(scene, grid, flows).witnesses(1, 2, 0) == []
    settled, believed = complete_grid(scene, grid, flows=flows), complete_grid(scene, grid, NONE)
    torch.testing.assert_close(settled.frames, believed.frames, rtol=0, atol=1e-3)  # two bilinear readers


def test_the_nearest_whole_rows_are_asked() -> None:
    scene, frames = wall_scene(5, TIMES), torch.rand(5, TIMES, *SIZE, 3, generator=torch.Generator().manual_seed(0))
    grid = known_cross(frames)
    known = grid.known.clone()
    known[3] = known[4] = True
    grid = replace(grid, known=known)
    evidence = Evidence(scene, grid, FlowCache(grid.frames, known))
    assert evidence.witnesses(2, 1, 0) == [3, 0]
    assert Evidence(scene, grid, evidence.flows, EvidenceOptions(rows=3)).witnesses(2, 1, 0) == [3, 0, 4]


def test_the_cost_is_the_rows_own_change_by_hand(truth: torch.Tensor) -> None:
    grid = known_cross(truth)
    evidence = Evidence(
        wall_scene(VIEWS, TIMES), grid, flows_of(grid.frames, grid.known), EvidenceOptions(window_px=1e-3)
    )
    flow = np.zeros((*SIZE, 2), np.float32)
    flow[..., 0] = 3
    cost = evidence._cost(flow, [0], (1, 2), 0)
    now, then = grid.frames[0, 2].double().numpy(), grid.frames[0, 0].double().numpy()
    y, x = 10, 12
    expected = np.zeros((3, 3))
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):  # the match leads one pixel to the right; the flow three more
            expected[i + 1, j + 1] = 255 * np.abs(now[y + i, x + j + 1] - then[y + i, x + j + 4]).mean()
    side = np.exp(-0.5 / 0.5**2)  # the smallest window: half a pixel
    weights = np.outer([side, 1, side], [side, 1, side])
    # OpenCV cuts the Gaussian at a radius of two pixels, of which the second carries 0.03 %
    assert cost[y, x] == pytest.approx((weights * expected).sum() / weights.sum(), rel=5e-3)


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match="defaults"):
        EvidenceOptions(window_px=0)


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("explained", [True, False])
def test_what_a_row_explains_itself_hides_the_point_and_is_not_new(
    truth: torch.Tensor, explained: bool, several: bool
) -> None:
    frames = truth.clone()
    patch = (slice(8, 16), slice(12, 22))
    frames[0, 2][patch] = torch.tensor([1.0, 0.0, 1.0])  # something near, say, that view 1 sees elsewhere
    grid = known_cross(frames)
    if several:  # view 1 is known at a second time: nothing counts as hidden
        known = grid.known.clone()
        known[1, 1] = True
        grid = replace(grid, known=known)
    scene = wall_scene(VIEWS, TIMES, sliding(TIMES, (4.0, 2.0)))
    evidence = Evidence(scene, grid, flows_of(grid.frames, grid.known), EvidenceOptions(window_px=8.0))
    evidence._own_costs[0, 2, 0] = np.full(SIZE, 0.0 if explained else 99.0, np.float32)
    flow = np.broadcast_to(np.asarray([-4, -2], np.float32), (*SIZE, 2)).copy()
    made = evidence.settle((1, 2), 0, flow, np.ones(SIZE, bool))
    there = (slice(10, 14), slice(13, 19))
    wall = float(np.abs(made.color[there] - truth[1, 2][there].numpy()).mean())
    hidden = explained and not several
    assert (wall < 0.02) == hidden  # whole pixels: the wall itself, or else the patch
    assert bool((made.cost[there] == 0).all()) == hidden and made.seen[there].all()


def test_a_row_explains_itself_by_its_best_way(truth: torch.Tensor) -> None:
    grid = known_cross(truth)
    evidence = Evidence(wall_scene(VIEWS, TIMES), grid, flows_of(grid.frames, grid.known))
    # its flow is the wall's own, so nothing is left but what comes in at the border
    assert evidence._itself(0, 2, 0)[INNER].max() < 1.0
