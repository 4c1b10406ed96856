"""The video DiT: what it starts as, what each input does, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.model.dit import GridInputs, VideoDiT
from fourreal_core.model.model4d import Model4D
from fourreal_core.model.shown_planes import PLANES_BY_COUNT
from fourreal_core.model.spec import DiTSpec, Model4DSpec

from .small import TINY, grid_inputs, rng, start_mask, tiny_model

REFINER = replace(TINY, proposals=PLANES_BY_COUNT[2], text_width=5)


def test_a_new_model_draws_the_blend_of_the_known_cells() -> None:
    inputs = grid_inputs()
    drawn = Model4D(Model4DSpec(TINY, "soft"), rng())(inputs)
    for v in range(1, 3):
        for t in range(1, 4):
            mean = (inputs.latents[:, v, 0] + inputs.latents[:, 0, t]) / (2 + torch.tensor(-4.0).exp())
            torch.testing.assert_close(drawn[:, v, t], mean, rtol=0, atol=1e-5)  # float32


def test_a_new_model_without_anything_known_draws_nothing() -> None:
    inputs = grid_inputs()
    inputs = inputs._replace(known=torch.zeros_like(inputs.known), noise_level=torch.full_like(inputs.noise_level, 0.5))
    assert not Model4D(Model4DSpec(TINY, "soft"), rng())(inputs).any()


@pytest.mark.parametrize("prediction", ["clean", "velocity"])
@pytest.mark.parametrize(
    "spec",
    [
        TINY,
        replace(TINY, stem="linear", head="linear", sources=False),
        replace(TINY, channels=1, subpixel=2, head="conv"),
        REFINER,
    ],
)
def test_shapes_and_types_of_every_kind(spec: DiTSpec, prediction: str) -> None:
    spec = replace(spec, prediction=prediction)
    inputs = grid_inputs(spec=spec)
    assert tiny_model(spec=spec)(inputs).shape == inputs.latents.shape
    double = grid_inputs(spec=spec, dtype=torch.float64)
    assert tiny_model(spec=spec).double()(double).dtype == torch.float64


def test_the_codec_factor_makes_no_difference() -> None:
    fine, coarse = replace(TINY, channels=3), replace(TINY, channels=3, subpixel=2)
    inputs = grid_inputs(spec=fine)
    packed = inputs._replace(latents=torch.nn.functional.pixel_unshuffle(inputs.latents, 2))
    out = tiny_model(spec=fine)(inputs)
    torch.testing.assert_close(
        torch.nn.functional.pixel_shuffle(tiny_model(spec=coarse)(packed), 2), out, rtol=0, atol=1e-5
    )  # float32, other strides


@pytest.mark.parametrize("change", ["noise_level", "known", "proposal", "text", "view_positions", "time_positions"])
def test_every_input_counts(change: str) -> None:
    model = tiny_model(spec=REFINER)
    inputs = grid_inputs(
        spec=REFINER,
        proposal=torch.randn(2, 3, 4, 6, 8, 8, generator=rng(1)),
        text=torch.randn(2, 6, 5, generator=rng(2)),
    )
    known = inputs.known.clone()
    known[0, 2, 2] = True
    other = {
        "noise_level": inputs.noise_level * 0.5,
        "known": known,
        "proposal": None,
        "text": None,
        "view_positions": torch.tensor([0, 1, 5]),
        "time_positions": torch.tensor([0.0, 1.0, 2.5, 3.0]),
    }[change]
    assert (model(inputs) - model(inputs._replace(**{change: other}))).abs().max() > 1e-4


def test_masked_text_does_not_count() -> None:
    model, words = tiny_model(spec=REFINER), torch.randn(2, 6, 5, generator=rng(2))
    mask = torch.arange(6)[None] < torch.tensor([[4], [6]])
    inputs = grid_inputs(spec=REFINER, text=words, text_mask=mask)
    other = words.clone()
    other[0, 4:] = 7
    torch.testing.assert_close(model(inputs._replace(text=other)), model(inputs), rtol=0, atol=1e-6)  # float32


def test_a_batch_is_its_grids_one_by_one() -> None:
    model, inputs = tiny_model("hard"), grid_inputs(batch=3)
    alone = [model(GridInputs(*(x[k : k + 1] for x in inputs[:3]))) for k in range(3)]
    torch.testing.assert_close(model(inputs), torch.cat(alone), rtol=0, atol=1e-5)  # float32, other batches


def test_autocast_keeps_the_streams_in_full_precision() -> None:
    model, inputs = tiny_model("soft_trained"), grid_inputs()
    seen = []
    hook = model.dit.blocks[1].register_forward_hook(lambda _m, _i, out: seen.append(out.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        out = model(inputs)
    hook.remove()
    assert set(seen) == {torch.float32} and out.dtype == torch.float32
    assert (out - model(inputs)).abs().mean() < 0.05 * out.abs().mean()  # 8 bits of mantissa through 3 blocks


def test_one_seed_makes_one_model_and_leaves_torchs_own_randomness_out() -> None:
    torch.manual_seed(1)
    one = VideoDiT(TINY, rng(4)).state_dict()
    torch.manual_seed(2)
    two, other = VideoDiT(TINY, rng(4)).state_dict(), VideoDiT(TINY, rng(5)).state_dict()
    assert all(torch.equal(one[k], two[k]) for k in one)
    assert any(not torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"width": 25}, "choose other sizes"),
        ({"heads": 12}, "choose fewer heads"),
        ({"stem": "deep"}, "choose one of them"),
        ({"head": "flow"}, "choose one of them"),
        ({"prediction": "noise"}, "choose one of them"),
        ({"patch": 3}, "choose another patch"),
        ({"subpixel": 8}, "choose another patch"),
        ({"sources": False}, "switch one of them on"),
        ({"layers": 0}, "choose other sizes"),
    ],
)
def test_impossible_specs_are_refused(fields: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(TINY, **fields)


def test_unknown_variants_are_refused() -> None:
    with pytest.raises(InputError, match="one of sequential, .*fused"):
        Model4DSpec(TINY, "diagonal")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latents": torch.zeros(2, 3, 4, 8, 8)}, "encode the grid"),
        ({"latents": torch.zeros(2, 3, 4, 5, 8, 8)}, "encode the grid"),
        ({"latents": torch.zeros(2, 3, 4, 3, 8, 6)}, "resize the frames"),
        ({"known": start_mask(2, 3, 4)[0]}, "build it from the same grid"),
        ({"known": start_mask(2, 3, 4).float()}, "build it from the same grid"),
        ({"known": start_mask(2, 4, 3)}, "build it from the same grid"),
        ({"noise_level": torch.zeros(2, 1, 1)}, "give every cell its level"),
        ({"proposal": torch.zeros(2, 3, 4, 3, 8, 8)}, "load a refiner"),
        ({"text": torch.zeros(2, 3, 5)}, "leave the prompt empty"),
        ({"time_positions": torch.arange(5)}, "give one a frame"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        tiny_model()(grid_inputs()._replace(**change))


@pytest.mark.parametrize("shape", [(2, 3, 4, 3, 4, 4), (2, 3, 4, 9, 8, 8), (2, 3, 4, 4, 8, 8)])
def test_a_proposal_of_another_size_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="encode it like the grid"):
        tiny_model(spec=REFINER)(grid_inputs(spec=REFINER, proposal=torch.zeros(shape)))


def test_a_proposal_that_is_not_given_counts_like_one_of_zeros() -> None:
    model, one = tiny_model(spec=REFINER), torch.randn(2, 3, 4, 3, 8, 8, generator=rng(1))
    both = torch.cat([one, torch.zeros_like(one)], 3)
    assert torch.equal(model(grid_inputs(spec=REFINER, proposal=one)), model(grid_inputs(spec=REFINER, proposal=both)))
    gates = _gates(model, grid_inputs(spec=REFINER, proposal=both))
    assert gates[..., -1].eq(False).all() and gates[..., -2].all()


def _gates(model, inputs) -> torch.Tensor:
    """Which pictures a cell may copy from."""
    return model.dit.embed(inputs)[1].present
