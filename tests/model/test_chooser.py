"""The chooser: what it starts from, what it looks at, how it blends, and where a model takes its choice."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.model.chooser import CELLS_AT_ONCE, LEAD, SPREAD_GAIN, Chooser, blend_candidates
from fourreal_core.model.dit import VideoDiT
from fourreal_core.model.shown_planes import PLANES_BY_COUNT, ShownPlanes
from fourreal_core.model.spec import DiTSpec

from .small import TINY, grid_inputs, rng, stirred, tiny_model

NAMES = PLANES_BY_COUNT[31]
PLANES = ShownPlanes(NAMES)
CHOOSING, CANDIDATES, FIRST = len(NAMES), len(PLANES.candidates), PLANES.candidates[0]
SHOWN = len(PLANES.beside_candidates)
CHOOSY = replace(TINY, proposals=NAMES, chooser=8, lead=4.0)


def cells(count: int = 2, size: int = 8, seed: int = 0) -> torch.Tensor:
    return cells_of(CHOOSING, count, size, seed)


def cells_of(planes: int, count: int, size: int = 8, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, planes, 3, size, size, generator=rng(seed)) * 2 - 1


def test_it_starts_as_the_first_proposal_with_a_little_of_every_candidate() -> None:
    given = cells()
    made = Chooser(PLANES, 8)(given)
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
    net = Chooser(PLANES, 4)
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


def test_errors_are_read_where_the_names_say() -> None:
    names = ("blend", "a/x", "a/y", "b/x", "map(b.return_error,a/y.error)", "map(a/x.error,b/x.error,a.return_error)")
    given = cells_of(len(names), 2)
    errors, missed = Chooser(ShownPlanes(names), 8).read_errors(given)
    for k, (plane, channel) in enumerate([(5, 0), (4, 1), (5, 1)]):
        assert torch.equal(errors[:, k], (given[:, plane, channel] + 1) / 2)
    for k, (plane, channel) in enumerate([(5, 2), (4, 0)]):  # sources in the order in which candidates name them
        assert torch.equal(missed[:, k], (given[:, plane, channel] + 1) / 2)


def test_a_candidate_without_an_error_has_its_sources_least() -> None:
    given = cells()
    errors, missed = Chooser(PLANES, 8).read_errors(given)
    assert errors.shape == (2, CANDIDATES, 8, 8) and missed.shape == (2, 2, 8, 8)
    for last in (9, 19):
        assert NAMES[PLANES.candidates[last]].endswith("/revealed")
        assert torch.equal(errors[:, last], errors[:, last - 9 : last].amin(1))


def test_candidates_need_the_error_of_their_sources_flow() -> None:
    with pytest.raises(InputError, match="a.return_error"):
        Chooser(ShownPlanes(("blend", "a/x", "map(a/x.error)")), 8)


def test_how_sure_the_choice_is() -> None:
    net, given = stirred(Chooser(PLANES, 8), size=0.05), cells(CELLS_AT_ONCE + 1)
    with torch.no_grad():
        both, plain = net.with_doubt(given), net(given)
        errors, missed = net.read_errors(given)
        logits, _ = net._weighed(given[:, 0], given[:, PLANES.candidates], errors, missed)
    torch.testing.assert_close(both[:, 0], plain.clamp(-1, 1), rtol=0, atol=1e-5)
    n, y, x = 3, 5, 2
    pictures = [*given[n, PLANES.candidates, :, y, x], given[n, 0, :, y, x]]
    weights = [math.exp(float(z)) for z in logits[n, :, y, x]] + [math.exp(LEAD * net.lead.item())]
    weights = [w / sum(weights) for w in weights]
    mean = sum(w * p for w, p in zip(weights, pictures, strict=True))
    spread = sum(w * float(((p - mean) ** 2).mean()) for w, p in zip(weights, pictures, strict=True))
    view = sum(w for w, k in zip(weights, PLANES.candidates, strict=False) if NAMES[k].startswith("from_view/"))
    expected = [2 * min(1, v) - 1 for v in (SPREAD_GAIN * spread**0.5, view, weights[-1])]
    assert both[n, 1, :, y, x].tolist() == pytest.approx(expected, abs=1e-4)


def test_candidates_of_one_clip_may_trade_places() -> None:
    net = stirred(Chooser(PLANES, 8))
    with torch.no_grad():
        net.kinds.zero_()  # else the network knows which is which
    given = cells(1)
    traded, (first, other) = given.clone(), (0, 3)
    a, b = PLANES.candidates[first], PLANES.candidates[other]
    traded[:, a], traded[:, b] = given[:, b], given[:, a]
    (p, i), (q, j) = PLANES.error_channel(first), PLANES.error_channel(other)
    traded[:, p, i], traded[:, q, j] = given[:, q, j], given[:, p, i]
    with torch.no_grad():
        # the pool adds up in another order
        torch.testing.assert_close(net(traded), net(given), rtol=0, atol=1e-4)
        stirred(net, 3)
        assert (net(traded) - net(given)).abs().max() > 1e-3  # and with kinds it does


def test_many_cells_at_once_are_as_each_alone() -> None:
    net, given = stirred(Chooser(PLANES, 8), size=0.05), cells(CELLS_AT_ONCE + 3)
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
        kept = bool(inputs.known[0].flatten()[cell]) or cell == 5
        assert torch.equal(pictures[cell, 2], fine[0][cell]) == kept  # known cells stay, others are chosen for
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


@pytest.mark.parametrize("wrong", [{"proposals": PLANES_BY_COUNT[4]}, {"proposals": NAMES, "channels": 16}])
def test_a_chooser_needs_candidates_in_rgb(wrong: dict) -> None:
    with pytest.raises(InputError, match="chooser"):
        DiTSpec(chooser=8, **wrong)
