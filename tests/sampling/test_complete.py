"""Completing grids with a model: held cells, seeds, guidance, proposals, large grids in windows."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.model.codec import SpaceToDepth
from fourreal_core.model.shown_planes import PLANES_BY_COUNT
from fourreal_core.sampling.complete import Condition4D, model_velocity, sample_grid, wall_picture
from fourreal_core.sampling.known_cells import KnownCells
from fourreal_core.sampling.rectified_flow import SamplingOptions
from fourreal_core.sampling.windows import Window, WindowOptions, plan_windows, spans, windowed

from .tiny import rng, start, tiny_model

CANDIDATES = PLANES_BY_COUNT[31]

FAST = SamplingOptions(steps=3)


@pytest.mark.parametrize(("views", "times", "batch"), [(3, 4, 1), (4, 2, 2), (2, 2, 1)])
def test_known_cells_stay_and_a_seed_repeats(views: int, times: int, batch: int) -> None:
    model, known = tiny_model(), start(views, times, batch)
    out = sample_grid(model, known, FAST, rng(7))
    assert out.shape == known.latents.shape
    assert torch.equal(out[known.mask], known.latents[known.mask])
    assert torch.equal(sample_grid(model, known, FAST, rng(7)), out)
    assert not torch.equal(sample_grid(model, known, FAST, rng(8)), out)


def test_what_unknown_cells_hold_does_not_count() -> None:
    model, known = tiny_model(), start(3, 4)
    filled = torch.where(known.mask[..., None, None, None], known.latents, float("nan"))
    assert torch.equal(
        sample_grid(model, KnownCells(known.mask, filled), FAST, rng(7)), sample_grid(model, known, FAST, rng(7))
    )


def test_a_clean_model_ends_at_what_it_draws() -> None:
    # the last Euler step goes to x - s v, which is the clean prediction itself
    model, known, seen = tiny_model(), start(3, 4), []
    model.register_forward_hook(lambda _m, _i, out: seen.append(out))
    out = sample_grid(model, known, FAST, rng(7))
    torch.testing.assert_close(out[~known.mask], seen[-1][~known.mask], rtol=0, atol=1e-5)  # float32


def test_guidance_leads_away_from_no_text() -> None:
    model, known = tiny_model(text_width=5), start(3, 4)
    condition = Condition4D(text=torch.randn(1, 4, 5, generator=rng()))
    with_text, without = (model_velocity(model, known.mask, c) for c in (condition, Condition4D()))
    x, s = torch.randn(known.latents.shape, generator=rng(1)), known.levels(1.0)
    one_step = SamplingOptions(steps=1, guidance=3.0)
    with torch.no_grad():
        begin = known.hold(torch.randn(known.latents.shape, generator=rng(7)))
        slope = without(begin, s) + 3 * (with_text(begin, s) - without(begin, s))
    torch.testing.assert_close(
        sample_grid(model, known, one_step, rng(7), condition), known.hold(begin - slope), rtol=0, atol=1e-5
    )  # float32
    assert (with_text(x, s) - without(x, s)).abs().max() > 1e-3


def test_a_start_near_zero_stays_at_the_proposal() -> None:
    known, proposal = start(3, 4), torch.rand(1, 3, 4, 3, 8, 8, generator=rng(2))
    options = SamplingOptions(steps=1, start=1e-3)
    model = tiny_model(prediction="velocity")
    out = sample_grid(model, known, options, rng(7), Condition4D(proposal=proposal))
    # one step of a thousandth along a velocity of a few units
    torch.testing.assert_close(out[~known.mask], proposal[~known.mask], rtol=0, atol=2e-2)
    with pytest.raises(InputError, match="give a proposal"):
        sample_grid(model, known, options, rng(7))


def test_a_refiner_sees_its_proposal_at_any_start() -> None:
    model, known = tiny_model(proposals=PLANES_BY_COUNT[1]), start(3, 4)
    outs = [
        sample_grid(model, known, FAST, rng(7), Condition4D(proposal=torch.full_like(known.latents, value)))
        for value in (0.0, 0.5)
    ]
    assert (outs[0] - outs[1]).abs().max() > 1e-2


def test_grids_with_nothing_to_complete_are_refused() -> None:
    known = start(3, 4)
    with pytest.raises(InputError, match="every cell is known"):
        sample_grid(tiny_model(), replace(known, mask=torch.ones_like(known.mask)), FAST, rng())


def test_nothing_of_the_input_is_written() -> None:
    known = start(3, 4)
    before = known.latents.clone()
    sample_grid(tiny_model(), known, FAST, rng(7))
    assert torch.equal(known.latents, before)


def test_previews_are_a_wall_of_frames() -> None:
    known, seen = start(2, 3), []
    sample_grid(
        tiny_model(),
        known,
        FAST,
        rng(7),
        picture=wall_picture(SpaceToDepth().decode),
        on_step=lambda done, total, preview=None: seen.append(preview),
    )
    assert [tuple(p.shape) for p in seen] == [(16, 24, 3)] * 3
    corner = SpaceToDepth().decode(known.latents[0, 0, 0])
    assert torch.equal(seen[0][:8, :8], corner)


def test_spans_by_hand() -> None:
    assert spans(5, 8, 4, True) == [(0, 1, 2, 3, 4)]
    assert spans(10, 6, 2, False) == [(0, 1, 2, 3, 4, 5), (4, 5, 6, 7, 8, 9)]
    assert spans(9, 6, 2, True) == [(0, 1, 2, 3, 4, 5), (0, 4, 5, 6, 7, 8)]
    assert spans(8, 4, 1, True) == [(0, 1, 2, 3), (0, 3, 4, 5), (0, 5, 6, 7)]


@pytest.mark.parametrize("anchor", [False, True])
@pytest.mark.parametrize(("views", "times"), [(3, 5), (9, 4), (8, 30), (17, 13)])
def test_windows_cover_the_grid_and_grow_with_it(views: int, times: int, anchor: bool) -> None:
    options = WindowOptions(5, 6, 2, anchor)
    windows = plan_windows(views, times, options)
    seen = {(v, t) for w in windows for v in w.views for t in w.times}
    assert len(seen) == views * times
    assert all(len(w.views) <= 5 and len(w.times) <= 6 for w in windows)
    if anchor:
        assert all(w.views[0] == 0 and w.times[0] == 0 for w in windows)
    # each window brings at least two new rows and columns where the grid is larger than one
    assert len(windows) <= (1 + views / 2) * (1 + times / 2)


def test_windows_blend_to_what_they_agree_on() -> None:
    grid = torch.randn(2, 7, 9, 1, 2, 2, generator=rng(), dtype=torch.float64)
    windows = plan_windows(7, 9, WindowOptions(4, 4, 2))
    velocity = windowed(lambda window: lambda x, s: 2 * x + s[..., None, None, None], windows)
    levels = torch.rand(2, 7, 9, generator=rng(1), dtype=torch.float64)
    torch.testing.assert_close(velocity(grid, levels), 2 * grid + levels[..., None, None, None], rtol=0, atol=1e-13)


def test_where_windows_disagree_weights_fall_to_their_edges() -> None:
    windows = [Window((0, 1), (0, 1, 2)), Window((0, 1), (1, 2, 3))]
    velocity = windowed(lambda window: lambda x, s: torch.full_like(x, float(window.times[0])), windows)
    out = velocity(torch.zeros(1, 2, 4, 1, 1, 1, dtype=torch.float64), torch.zeros(1, 2, 4))[0, 0, :, 0, 0, 0]
    # weights along time 1, 2, 1: at time 1 two of the first to one of the second, at time 2 the reverse
    assert out.tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])


def test_one_window_over_all_is_the_model_itself() -> None:
    model, known = tiny_model(), start(3, 4)
    plain = sample_grid(model, known, FAST, rng(7))
    windows = sample_grid(model, known, FAST, rng(7), windows=WindowOptions(4, 4, 1))
    torch.testing.assert_close(windows, plain, rtol=0, atol=1e-5)  # float32, weighted and divided


def test_a_large_grid_is_completed_in_windows() -> None:
    known = start(5, 9)
    condition = Condition4D(proposal=torch.zeros_like(known.latents), time_positions=torch.arange(9))
    out = sample_grid(tiny_model(proposals=PLANES_BY_COUNT[1]), known, FAST, rng(7), condition, WindowOptions(4, 4, 2))
    assert bool(torch.isfinite(out).all())
    assert torch.equal(out[known.mask], known.latents[known.mask])


@pytest.mark.parametrize("fields", [{"overlap": 7}, {"overlap": -1}, {"views": 4}])
def test_windows_without_room_are_refused(fields: dict) -> None:
    with pytest.raises(InputError, match="smaller overlap"):
        WindowOptions(**fields)


def test_a_chooser_chooses_once_for_all_steps_and_windows() -> None:
    model, known = tiny_model(proposals=CANDIDATES, chooser=8), start(3, 4)
    shape = (*known.latents.shape[:3], len(CANDIDATES) * known.latents.shape[3], *known.latents.shape[4:])
    proposal = torch.rand(shape, generator=rng(3)) * 2 - 1
    seen: list[int] = []
    model.dit.chooser.register_forward_hook(lambda _m, cells, _out: seen.append(len(cells[0])))
    out = sample_grid(model, known, FAST, rng(7), Condition4D(proposal=proposal), WindowOptions(2, 3, 0))
    assert seen == [int((~known.mask).sum())]
    with torch.no_grad():
        chosen = model.dit.with_choice(proposal, known.mask)
    again = sample_grid(model, known, FAST, rng(7), Condition4D(proposal=chosen), WindowOptions(2, 3, 0))
    assert torch.equal(out, again) and len(seen) == 2  # what is chosen stays
    assert (sample_grid(model, known, FAST, rng(7)) - out).abs().max() > 1e-3  # and it counts
