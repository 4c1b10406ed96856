"""Parts that are taken out: what is then computed is what the definition says, and all is back afterwards."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fourreal_core.errors import InputError
from fourreal_core.model.dit import GridInputs
from fourreal_core.model.model4d import Model4D
from fourreal_core.model.shown_planes import PLANES_BY_COUNT
from fourreal_core.model.spec import DiTSpec
from fourreal_core.model.sync import Streams
from fourreal_core.training.experiments.removals import REMOVALS, can_go_without, choosing_once, without

from ..model.small import TINY, grid_inputs, rng, tiny_model

NAMES = PLANES_BY_COUNT[31]
CHOOSY = replace(TINY, proposals=NAMES, chooser=8, prediction="clean")
PULLED = replace(CHOOSY, stem="differences", head="pull", sources=False)


@pytest.fixture
def model() -> Model4D:
    return tiny_model("soft_trained", CHOOSY)


@pytest.fixture
def inputs() -> GridInputs:
    given = grid_inputs(1, 2, 3)
    b, v, t, c, h, w = given.latents.shape
    return given._replace(proposal=torch.rand(b, v, t, len(NAMES) * c, h, w, generator=rng(7)) * 2 - 1)


def made(model: Model4D, inputs: GridInputs) -> Tensor:
    with torch.no_grad():
        return model.predict(inputs).clean


@pytest.mark.parametrize("spec", [CHOOSY, PULLED])
@pytest.mark.parametrize("part", REMOVALS)
def test_every_part_counts_and_comes_back(inputs: GridInputs, part: str, spec: DiTSpec) -> None:
    model = tiny_model("soft_trained", spec)
    whole = made(model, inputs)
    with without(model, part) as changed:
        assert changed is model and (made(model, inputs) - whole).abs().max() > 1e-3
    assert torch.equal(made(model, inputs), whole)
    with pytest.raises(ZeroDivisionError), without(model, part):
        raise ZeroDivisionError
    assert torch.equal(made(model, inputs), whole)


def test_without_sync_no_stream_sees_the_other(model: Model4D, inputs: GridInputs) -> None:
    seen: list[tuple[int, float]] = []

    def identity(layer: int, view: Tensor, time: Tensor, level: Tensor | None) -> Streams:
        seen.append((layer, float((view - time).abs().max())))
        return view, time

    model.sync_rule = identity
    expected = made(model, inputs)
    model.sync_rule = None
    with without(model, "sync"):
        assert torch.equal(made(model, inputs), expected)
    assert len(seen) == TINY.layers and seen[-1][1] > 0


def test_without_tokens_no_block_matters(model: Model4D, inputs: GridInputs) -> None:
    with without(model, "tokens"):
        before = made(model, inputs)
        with torch.no_grad():
            for parameter in model.dit.blocks.parameters():
                parameter.mul_(1.5)
        assert torch.equal(made(model, inputs), before)


def test_without_the_chooser_its_place_takes_the_first_plane(model: Model4D, inputs: GridInputs) -> None:
    assert inputs.proposal is not None
    c, beside = CHOOSY.latent_channels, CHOOSY.planes.beside_candidates
    planes = inputs.proposal.split(c, 3)
    expected = made(model, inputs._replace(proposal=torch.cat([planes[k] for k in beside], 3)))  # candidates left away
    with without(model, "chooser"):
        assert torch.equal(made(model, inputs), expected)


def test_behind_a_choice_the_first_plane_takes_its_place_without_doubt(inputs: GridInputs) -> None:
    model = tiny_model("soft_trained", PULLED)
    proposal = inputs.proposal
    assert proposal is not None
    with without(model, "chooser"):
        seen = model.dit.with_choice(proposal, inputs.known)
    assert torch.equal(seen, torch.cat([proposal[:, :, :, :3], proposal, -torch.ones_like(proposal[:, :, :, :3])], 3))


def test_without_the_rest_the_choice_is_the_answer(model: Model4D, inputs: GridInputs) -> None:
    with torch.no_grad():
        chosen = model.dit.choice(inputs)
    with without(model, "rest"):
        found = made(model, inputs)
    open_cells = ~inputs.known
    torch.testing.assert_close(found[open_cells], chosen[open_cells])
    assert torch.equal(found[inputs.known], inputs.latents[inputs.known])


@pytest.mark.parametrize(
    ("variant", "spec", "lacks"),
    [
        ("fused", TINY, {"sync", "chooser", "rest"}),
        ("sequential", TINY, {"sync", "chooser", "rest"}),
        ("soft", TINY, {"chooser", "rest"}),
        ("soft", replace(CHOOSY, prediction="velocity"), {"rest"}),
    ],
)
def test_parts_that_a_model_lacks_are_refused(variant: str, spec: object, lacks: set[str]) -> None:
    model = tiny_model(variant, spec)  # type: ignore[arg-type]
    assert {part for part in REMOVALS if not can_go_without(model, part)} == lacks
    for part in lacks:
        with pytest.raises(InputError, match="cannot go without"), without(model, part):
            pass
    with pytest.raises(InputError, match="a part 'head'"), without(model, "head"):
        pass


@pytest.mark.parametrize("spec", [CHOOSY, PULLED])
def test_choosing_once_changes_nothing_but_the_work(inputs: GridInputs, spec: DiTSpec) -> None:
    model = tiny_model("soft_trained", spec)

    def all_of_them(given: GridInputs) -> list[Tensor]:
        found = [made(model, given)]
        for part in ("chooser", "tokens", "rest"):
            with without(model, part):
                found.append(made(model, given))
        return found

    other = inputs._replace(proposal=inputs.proposal.flip(-1))  # type: ignore[union-attr]
    expected = [all_of_them(given) for given in (inputs, other)]
    ran: list[int] = []
    hook = model.dit.chooser.logits.register_forward_hook(lambda *_: ran.append(1))  # type: ignore[union-attr]
    with choosing_once(model):
        found = [all_of_them(given) for given in (inputs, other)]
    assert len(ran) == 2
    hook.remove()
    for a, b in zip(expected, found, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    assert "_choose" not in model.dit.__dict__
