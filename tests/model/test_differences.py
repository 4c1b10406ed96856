"""Tokens of differences and the head that pulls: what goes in, what comes out, and that nothing passes the tokens."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fourreal_core.errors import InputError
from fourreal_core.model.differences import DIFFERENCE_GAIN, DifferenceStem, PullHead, differences
from fourreal_core.model.dit import GridInputs
from fourreal_core.model.joining import put_chooser_before
from fourreal_core.model.model4d import Model4D
from fourreal_core.model.shown_planes import CHOICE_MAP, PLANES_BY_COUNT, with_choice
from fourreal_core.model.spec import DiTSpec, Model4DSpec
from fourreal_core.training.experiments.removals import can_go_without, without

from .small import TINY, grid_inputs, rng, stirred, tiny_model

NAMES = PLANES_BY_COUNT[31]
CHOSEN = with_choice(NAMES)
FEW = replace(TINY, stem="differences", head="pull", proposals=("choice", "a", "map(a.error)", "b"))
WHOLE = replace(FEW, sources=False, proposals=CHOSEN)


def shown(inputs: GridInputs, count: int, seed: int = 7) -> GridInputs:
    b, v, t, c, h, w = inputs.latents.shape
    return inputs._replace(proposal=torch.rand(b, v, t, count * c, h, w, generator=rng(seed)) * 2 - 1)


def made(model: Model4D, inputs: GridInputs) -> Tensor:
    with torch.no_grad():
        return model.predict(inputs).clean


def test_it_starts_as_the_first_proposal() -> None:
    model = Model4D(Model4DSpec(FEW, "soft_trained"), rng())
    inputs = shown(grid_inputs(), 4)
    found = made(model, inputs)
    assert torch.equal(found[~inputs.known], inputs.proposal[:, :, :, :3][~inputs.known])  # type: ignore[index]
    assert torch.equal(found[inputs.known], inputs.latents[inputs.known])


@pytest.mark.parametrize("sources", [False, True])
def test_a_token_by_hand(sources: bool) -> None:
    spec = replace(FEW, sources=sources)
    stem, first = stirred(DifferenceStem(spec)), 2 * sources
    latents, known = torch.randn(1, 3, 8, 8, generator=rng(1)), torch.ones(1, 1, 8, 8)
    pictures = torch.randn(1, first + 4, 3, 8, 8, generator=rng(2))
    present = torch.ones(1, first + 4, dtype=torch.bool)
    with torch.no_grad():
        token = stem(latents, known, pictures, present)[0, :, 1, 0]
    planes = [latents[0], known[0]]
    for k, picture in enumerate(pictures[0]):
        plain = k - first in (0, 2)  # the first proposal and the map
        planes.append(picture if plain else DIFFERENCE_GAIN * (picture - pictures[0, first]))
    patch = torch.cat(planes)[:, 4:8, :4]
    expected = (stem.patch.weight * patch).sum((1, 2, 3)) + stem.patch.bias
    torch.testing.assert_close(token, expected, rtol=0, atol=1e-4)  # float32 sums of hundreds of terms


def test_the_pull_is_the_slow_loop() -> None:
    spec = replace(FEW, sources=False)
    head = stirred(PullHead(spec), size=0.3)
    tokens, pictures = torch.randn(2, 4, 24, generator=rng(1)), torch.randn(2, 4, 3, 8, 8, generator=rng(2))
    present = torch.tensor([[True] * 4, [True, False, True, True]])
    with torch.no_grad():
        got, raw = head(tokens, (2, 2), pictures, present), head.patch(tokens)
    assert spec.pulled == (1, 3)
    for n in range(2):
        for y in range(8):
            for x in range(8):
                token, at = 2 * (y // 4) + x // 4, 4 * (y % 4) + x % 4
                told = raw[n, token].view(5, 16)[:, at]
                color = pictures[n, 0, :, y, x] + told[:3]
                for share, k in zip(told[3:], spec.pulled, strict=True):
                    if present[n, k]:
                        color = color + share * (pictures[n, k, :, y, x] - pictures[n, 0, :, y, x])
                torch.testing.assert_close(got[n, :, y, x], color, rtol=0, atol=1e-5)


def test_what_is_not_there_does_not_differ() -> None:
    pictures = torch.randn(2, 3, 3, 2, 2, generator=rng(3))
    present = torch.tensor([[True, True, False], [False, True, True]])
    found = differences(pictures, present, 0)
    assert torch.equal(found[0, 1], pictures[0, 1] - pictures[0, 0])
    assert not found[0, 2].any() and not found[0, 0].any() and not found[1].any()


def test_pure_noise_tells_nothing_and_less_noise_does() -> None:
    model = tiny_model("soft_trained", FEW)
    inputs = shown(grid_inputs(1, 2, 3), 4)
    other = torch.where(inputs.known[..., None, None, None], inputs.latents, inputs.latents + 1)
    for level, same in ((1.0, True), (0.7, False)):
        at = inputs._replace(noise_level=torch.where(inputs.known, 0.0, level))
        apart = (made(model, at) - made(model, at._replace(latents=other)))[~inputs.known].abs().max()
        assert (float(apart) == 0) == same


def test_tokens_look_for_their_like_at_first() -> None:
    begun = Model4D(Model4DSpec(FEW, "soft"), rng())
    for block in begun.dit.blocks:
        query, key, value = block.attention.qkv.weight.chunk(3)
        assert torch.equal(query, key) and not torch.equal(query, value)
    first = begun.dit.blocks[0]
    x = torch.randn(1, 2, 4, 24, generator=rng(5))
    x[0, 1] = x[0, 0]  # the second frame shows what the first does
    kept: list[Tensor] = []

    def core(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        kept.append((q @ k.transpose(-1, -2))[0].mean(0))
        return v

    inputs = shown(grid_inputs(1, 1, 2), 4)
    condition = begun.dit.condition(inputs, "time", (2, 2), core)
    with torch.no_grad():
        first.attention(x.flatten(1, 2), condition)
    (logits,) = kept  # of 8 tokens; token k of the first frame is like token 4 + k of the second
    assert torch.equal(logits[:4, 4:].argmax(1), torch.arange(4))


def test_nothing_goes_past_the_tokens() -> None:
    model = tiny_model("soft_trained", FEW)
    inputs = shown(grid_inputs(1, 2, 3), 4)
    with torch.no_grad():
        model.dit.final.weight.zero_()
        model.dit.final.bias.zero_()
        model.dit.head_out.patch.bias.zero_()
        with without(model, "tokens"):
            found = model(inputs)
    assert torch.equal(found, inputs.proposal[:, :, :, :3])  # type: ignore[index]


def test_a_chooser_before_it_shows_what_was_kept() -> None:
    model = tiny_model("soft_trained", WHOLE)
    other = tiny_model("soft", replace(TINY, proposals=NAMES, chooser=8), seed=4)
    joined = put_chooser_before(model, other)
    assert joined.spec.dit.shown_planes.names == CHOSEN and joined.spec.dit.proposals == NAMES
    inputs = shown(grid_inputs(1, 2, 3), len(NAMES))
    cells = inputs.proposal.unflatten(3, (len(NAMES), 3))  # type: ignore[union-attr]
    with torch.no_grad():
        both = other.dit.chooser.with_doubt(cells.flatten(0, 2)).unflatten(0, cells.shape[:3])  # type: ignore[union-attr]
    first = torch.where(inputs.known[..., None, None, None], cells[:, :, :, 0], both[:, :, :, 0])
    doubt = torch.where(inputs.known[..., None, None, None], -1.0, both[:, :, :, 1])
    kept = torch.cat([first, inputs.proposal, doubt], 3)  # type: ignore[list-item]
    torch.testing.assert_close(made(joined, inputs), made(model, inputs._replace(proposal=kept)), rtol=0, atol=1e-4)
    seen = joined.dit.with_choice(inputs.proposal, inputs.known)  # type: ignore[arg-type]
    assert joined.dit.with_choice(seen, inputs.known) is seen  # chosen once
    assert torch.equal(made(joined, inputs._replace(proposal=seen)), made(joined, inputs))
    assert can_go_without(joined, "rest")
    with without(joined, "rest"):
        torch.testing.assert_close(made(joined, inputs)[~inputs.known], first[~inputs.known], rtol=0, atol=1e-5)


def test_a_given_proposal_stands_in_the_choices_place() -> None:
    joined = put_chooser_before(
        tiny_model("soft_trained", WHOLE),
        tiny_model("soft", replace(TINY, proposals=NAMES, chooser=8)),
    )
    inputs = shown(grid_inputs(1, 2, 3), 1)
    seen = joined.dit.with_choice(inputs.proposal, inputs.known)  # type: ignore[arg-type]
    assert torch.equal(seen, torch.cat([inputs.proposal, inputs.proposal], 3))  # type: ignore[list-item]
    assert made(joined, inputs).isfinite().all()


def test_a_chooser_of_other_planes_is_refused() -> None:
    model = tiny_model("soft_trained", replace(WHOLE, proposals=(*CHOSEN[:2], CHOICE_MAP)))
    choosy = replace(TINY, proposals=NAMES, chooser=8)
    for other in (tiny_model("soft", choosy), tiny_model("soft")):
        with pytest.raises(InputError, match="before a model that sees 3"):
            put_chooser_before(model, other)


@pytest.mark.parametrize("fields", [{"stem": "conv"}, {"head": "warp"}, {"proposals": ()}, {"prediction": "velocity"}])
def test_the_pair_needs_all_it_builds_on(fields: dict[str, object]) -> None:
    with pytest.raises(InputError, match="together"):
        replace(FEW, **fields)
    assert isinstance(FEW, DiTSpec)
