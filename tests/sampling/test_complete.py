"""Completing grids with a model: held cells, seeds, proposals."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.model.shown_planes import PLANES_BY_COUNT
from fourreal_core.sampling.complete import Condition4D, sample_grid
from fourreal_core.sampling.known_cells import KnownCells
from fourreal_core.sampling.rectified_flow import SamplingOptions

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


def test_a_chooser_chooses_once_for_all_steps() -> None:
    model, known = tiny_model(proposals=CANDIDATES, chooser=8), start(3, 4)
    shape = (*known.latents.shape[:3], len(CANDIDATES) * known.latents.shape[3], *known.latents.shape[4:])
    proposal = torch.rand(shape, generator=rng(3)) * 2 - 1
    seen: list[int] = []
    model.dit.chooser.register_forward_hook(lambda _m, cells, _out: seen.append(len(cells[0])))
    out = sample_grid(model, known, FAST, rng(7), Condition4D(proposal=proposal))
    assert seen == [int((~known.mask).sum())]
    with torch.no_grad():
        chosen = model.dit.with_choice(proposal, known.mask)
    again = sample_grid(model, known, FAST, rng(7), Condition4D(proposal=chosen))
    assert torch.equal(out, again) and len(seen) == 2  # what is chosen stays
    assert (sample_grid(model, known, FAST, rng(7)) - out).abs().max() > 1e-3  # and it counts
