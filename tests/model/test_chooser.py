"""The chooser: what it starts from, what it looks at, how it blends, and where a model takes its choice."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.model.chooser import CELLS_AT_ONCE, FIRST, LEAD, Chooser, blend_candidates, read_costs
from fourreal_core.model.dit import VideoDiT
from fourreal_core.model.spec import CHOOSING, SHOWN, DiTSpec
from fourreal_core.proposals.candidates import CANDIDATES, COST_GRAYS, MISS_PX, PER_CLIP, Candidates, candidate_maps

from .small import TINY, grid_inputs, rng, stirred, tiny_model

CHOOSY = replace(TINY, proposals=CHOOSING, chooser=8, lead=4.0)


def cells(count: int = 2, size: int = 8, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, CHOOSING, 3, size, size, generator=rng(seed)) * 2 - 1


def test_it_starts_as_the_first_proposal_with_a_little_of_every_candidate() -> None:
    given = cells()
    made = Chooser(8)(given)
    whole = math.exp(LEAD) + CANDIDATES
    expected = (math.exp(LEAD) * given[:, 0] + given[:, FIRST : FIRST + CANDIDATES].sum(1)) / whole
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-5)  # sums of 23 numbers in float32


def test_the_blend_is_the_slow_loop() -> None:
    pictures, first = torch.rand(2, 3, 3, 2, 4, generator=rng(1)), torch.rand(2, 3, 2, 4, generator=rng(2))
    logits, lead = torch.randn(2, 3, 2, 4, generator=rng(3)), torch.tensor([0.7])
    got = blend_candidates(pictures, first, logits, lead)
    for n, c, y, x in np.ndindex(2, 3, 2, 4):
        weights = [math.exp(float(logits[n, k, y, x])) for k in range(3)] + [math.exp(0.7)]
        colors = [float(pictures[n, k, c, y, x]) for k in range(3)] + [float(first[n, c, y, x])]
        expected = sum(w * v for w, v in zip(weights, colors, strict=True)) / sum(weights)
        assert float(got[n, c, y, x]) == pytest.approx(expected, abs=1e-6)  # float32


def test_gradients_reach_everything() -> None:
    net = Chooser(4)
    stirred(net, size=0.02)
    net(cells(1)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())


def test_gradients_of_the_blend() -> None:
    pictures, first = (
        torch.rand(shape, generator=rng(4), dtype=torch.float64) for shape in ((1, 2, 3, 2, 2), (1, 3, 2, 2))
    )
    logits = torch.randn(1, 2, 2, 2, generator=rng(5), dtype=torch.float64).requires_grad_()
    lead = torch.tensor([0.3], dtype=torch.float64).requires_grad_()

    def blend(values: torch.Tensor, ahead: torch.Tensor) -> torch.Tensor:
        return blend_candidates(pictures, first, values, ahead)

    # shares are worked out in float32: steps must be as large as its rounding allows, errors as small as the steps
    assert torch.autograd.gradcheck(blend, (logits, lead), eps=1e-2, atol=1e-3, rtol=1e-2)


def test_costs_are_read_as_they_were_written() -> None:
    random = np.random.default_rng(0)
    found = []
    for _ in range(2):
        costs = random.uniform(0, 60, (PER_CLIP, 4, 6)).astype(np.float32)
        costs[-1] = costs[:-1].min(0)
        found.append(
            Candidates(
                np.zeros((PER_CLIP, 4, 6, 3), np.float32), costs, random.uniform(0, 15, (4, 6)).astype(np.float32)
            )
        )
    maps = torch.from_numpy(candidate_maps(found)).movedim(-1, 1)[None]
    costs, missed = read_costs(maps * 2 - 1)
    for k, each in enumerate(found):
        torch.testing.assert_close(
            costs[0, k * PER_CLIP : (k + 1) * PER_CLIP], torch.from_numpy(each.costs) / COST_GRAYS, rtol=0, atol=1e-6
        )
        torch.testing.assert_close(missed[0, k], torch.from_numpy(each.missed) / MISS_PX, rtol=0, atol=1e-6)


def test_candidates_of_one_clip_may_trade_places() -> None:
    net = stirred(Chooser(8))
    with torch.no_grad():
        net.kinds.zero_()  # else the network knows which is which
    given = cells(1)
    order = torch.arange(CANDIDATES)
    order[[0, 3]] = order[[3, 0]]
    traded = given.clone()
    traded[:, FIRST : FIRST + CANDIDATES] = given[:, FIRST : FIRST + CANDIDATES][:, order]
    maps = given[:, FIRST + CANDIDATES + 1 :].flatten(1, 2)
    maps = torch.cat([maps[:, :CANDIDATES][:, order], maps[:, CANDIDATES:]], 1)
    traded[:, FIRST + CANDIDATES + 1 :] = maps.unflatten(1, (-1, 3))
    with torch.no_grad():
        # the pool adds up in another order
        torch.testing.assert_close(net(traded), net(given), rtol=0, atol=1e-4)
        stirred(net, 3)
        assert (net(traded) - net(given)).abs().max() > 1e-3  # and with kinds it does


def test_many_cells_at_once_are_as_each_alone() -> None:
    net, given = stirred(Chooser(8), size=0.05), cells(CELLS_AT_ONCE + 3)
    with torch.no_grad():
        made = net(given)
        alone = torch.cat([net(cell) for cell in given.split(1)])
    torch.testing.assert_close(made, alone, rtol=0, atol=1e-4)  # convolutions of other batch sizes add up otherwise


def proposal_of(inputs, seed: int = 7) -> torch.Tensor:
    b, v, t, c, h, w = inputs.latents.shape
    return torch.rand(b, v, t, CHOOSING * c, h, w, generator=rng(seed)) * 2 - 1


@pytest.mark.parametrize("subpixel", [1, 2])
def test_the_model_sees_the_choice_and_no_candidates(subpixel: int) -> None:
    spec = replace(CHOOSY, subpixel=subpixel)
    dit = VideoDiT(spec).eval()
    inputs = grid_inputs(1, 2, 3, spec=spec)
    c = spec.latent_channels
    proposal = proposal_of(inputs)
    proposal[0, 1, 2, FIRST * c : (FIRST + CANDIDATES) * c] = 0  # this cell has no candidates
    inputs = inputs._replace(proposal=proposal)
    with torch.no_grad():
        pictures, present = dit._copies(inputs)
    assert spec.shown == SHOWN and spec.copies == 2 + SHOWN and pictures.shape[1] == spec.copies
    fine = [
        torch.nn.functional.pixel_shuffle(p, subpixel) if subpixel > 1 else p
        for p in proposal[0].flatten(0, 1).split(c, 1)
    ]
    for cell in range(6):
        settled = bool(inputs.known[0].flatten()[cell]) or cell == 5
        assert torch.equal(pictures[cell, 2], fine[0][cell]) == settled  # known cells stay, others are chosen for
        for k, source in ((3, 1), (4, 2), (5, FIRST + CANDIDATES)):
            assert torch.equal(pictures[cell, k], fine[source][cell])
    assert bool(present.all())


def test_without_candidates_it_does_with_what_it_gets() -> None:
    dit = VideoDiT(CHOOSY).eval()
    inputs = grid_inputs(1, 2, 3)
    given = proposal_of(inputs)[:, :, :, :3]
    with torch.no_grad():
        pictures, present = dit._copies(inputs._replace(proposal=given))
    assert torch.equal(pictures[:, 2], given[0].flatten(0, 1)) and not pictures[:, 3:].any()
    assert present[:, 2].all() and not present[:, 3:].any()


def test_the_choice_by_itself_is_what_the_model_sees_of_it() -> None:
    model = tiny_model("soft", CHOOSY)
    inputs = grid_inputs(1, 2, 3)
    inputs = inputs._replace(proposal=proposal_of(inputs))
    with torch.no_grad():
        drawn = model(inputs)
        model.choice_alone = True
        chosen = model(inputs)
        pictures, _ = model.dit._copies(inputs)
    assert torch.equal(chosen[0].flatten(0, 1), pictures[:, 2]) and not torch.equal(chosen, drawn)
    with pytest.raises(InputError, match="no proposals to choose among"):
        model(inputs._replace(proposal=None))


@pytest.mark.parametrize("wrong", [{"proposals": 4}, {"proposals": CHOOSING, "channels": 16}])
def test_a_chooser_needs_candidates_in_rgb(wrong: dict) -> None:
    with pytest.raises(InputError, match="chooser"):
        DiTSpec(chooser=8, **wrong)
