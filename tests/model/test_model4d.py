"""The 4D model: every variant, its start, single videos, both readings, and what is trained."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.model.dit import GridInputs
from fourreal_core.model.fused import fused_attention
from fourreal_core.model.model4d import LEAST_LEVEL, Model4D
from fourreal_core.model.spec import MODEL_VARIANTS, Model4DSpec
from fourreal_core.model.streams import run_two_streams
from fourreal_core.model.sync import SyncSpec, build_sync

from .small import TINY, grid_inputs, rng, stirred, tiny_model


@pytest.mark.parametrize("variant", MODEL_VARIANTS)
@pytest.mark.parametrize(("views", "times"), [(3, 4), (4, 2)])
def test_every_variant_draws_every_grid(variant: str, views: int, times: int) -> None:
    inputs = grid_inputs(views=views, times=times)
    model = tiny_model(variant)
    out = model.predict(inputs)
    assert out.clean.shape == out.velocity.shape == inputs.latents.shape
    assert bool(torch.isfinite(out.clean).all() and torch.isfinite(out.velocity).all())
    assert torch.equal(model.predict(inputs).clean, out.clean)  # the same twice


def test_variants_differ() -> None:
    inputs, base = grid_inputs(), tiny_model("identity")
    outs = {v: base.with_variant(v)(inputs) for v in ("sequential", "identity", "hard", "soft", "fused")}
    names = list(outs)
    for k, one in enumerate(names):
        for other in names[k + 1 :]:
            assert (outs[one] - outs[other]).abs().max() > 1e-4, (one, other)


@pytest.mark.parametrize(
    ("trained", "plain"),
    [
        ("hard_trained", "hard"),
        ("soft_trained", "soft"),
        ("sequential_cross_time", "sequential"),
        ("sequential_temporal", "sequential"),
    ],
)
def test_trained_variants_start_as_their_untrained_one_bit_for_bit(trained: str, plain: str) -> None:
    base = tiny_model(plain)
    assert torch.equal(base.with_variant(trained)(grid_inputs()), base(grid_inputs()))


def test_without_sync_the_streams_are_separate_videos() -> None:
    inputs, model = grid_inputs(dtype=torch.float64), tiny_model("identity").double()
    tokens, drawing = model.dit.embed(inputs)
    mixed = run_two_streams(
        model.dit,
        model.sync,
        tokens,
        inputs.noise_level,
        *(model.dit.condition(inputs, axis, drawing.size) for axis in ("view", "time")),
    )
    apart = torch.zeros_like(mixed)
    for b in range(2):
        for axis, count in (("time", 3), ("view", 4)):
            for k in range(count):
                cells = (
                    (slice(b, b + 1), slice(k, k + 1))
                    if axis == "time"
                    else (slice(b, b + 1), slice(None), slice(k, k + 1))
                )
                one = GridInputs(*(x[cells] for x in inputs[:3]))
                x = tokens[cells].flatten(0, 2)[None]
                for layer in range(model.dit.layers):
                    x = model.dit.block(layer, x, model.dit.condition(one, axis, drawing.size))
                apart[cells] += x[0].view_as(apart[cells]) / 2
    torch.testing.assert_close(mixed, apart, rtol=0, atol=1e-12)  # rounding of float64


def test_fused_equals_the_dense_masked_reference() -> None:
    inputs, model = grid_inputs(dtype=torch.float64), tiny_model("fused").double()
    tokens, drawing = model.dit.embed(inputs)
    condition = model.dit.condition(
        inputs, "both", drawing.size, lambda q, k, v: fused_attention(q, k, v, 3, 4, "dense")
    )
    x = tokens.flatten(1, 2)
    for layer in range(model.dit.layers):
        x = model.dit.block(layer, x, condition)
    torch.testing.assert_close(model(inputs), model.dit.head(x.view(tokens.shape), inputs, drawing), rtol=0, atol=1e-11)


@pytest.mark.parametrize("axis", ["view", "time"])
def test_a_single_video_is_the_base_model_whatever_the_variant(axis: str) -> None:
    views, times = (4, 1) if axis == "view" else (1, 4)
    inputs = grid_inputs(views=views, times=times)
    base = tiny_model("identity")
    outs = [base.with_variant(v)(inputs) for v in MODEL_VARIANTS]
    assert all(torch.equal(out, outs[0]) for out in outs)


def test_a_single_picture_is_drawn() -> None:
    assert tiny_model()(grid_inputs(views=1, times=1)).shape == (2, 1, 1, 3, 8, 8)


@pytest.mark.parametrize("prediction", ["clean", "velocity"])
def test_both_readings_agree(prediction: str) -> None:
    inputs = grid_inputs()
    out = tiny_model(spec=replace(TINY, prediction=prediction)).predict(inputs)
    level = inputs.noise_level[..., None, None, None]
    # x_s = (1 - s) x + s e and v = e - x give x = x_s - s v; float32, divided by a level of at least 0.1
    torch.testing.assert_close(out.clean, inputs.latents - level * out.velocity, rtol=0, atol=1e-5)
    assert torch.equal(out.clean[inputs.known], inputs.latents[inputs.known])
    assert not out.velocity[inputs.known].any()


def test_a_level_near_zero_does_not_blow_the_velocity_up() -> None:
    inputs = grid_inputs()
    inputs = inputs._replace(noise_level=torch.where(inputs.known, 0, 1e-9))
    out = tiny_model().predict(inputs)
    assert out.velocity.abs().max() <= (inputs.latents - out.clean).abs().max() / LEAST_LEVEL * 1.001  # float32


def test_dropped_layers_are_dropped() -> None:
    model = tiny_model("soft_trained", dropped="first")
    assert sorted(model.sync.layer) == ["1", "2"]
    assert sorted(tiny_model("soft_trained", dropped="last").sync.layer) == ["0", "1"]
    assert (model.spec.sync.first, model.spec.sync.stop) == (1, 3)


def test_variants_share_the_base() -> None:
    base = tiny_model("soft")
    other = base.with_variant("hard_trained")
    assert other.dit is base.dit
    sync = stirred(build_sync(other.spec.sync, rng()))
    assert base.with_variant("hard_trained", sync=sync).sync is sync
    with pytest.raises(InputError, match="variant they were made for"):
        base.with_variant("soft_trained", sync=sync)
    with pytest.raises(InputError, match="variant they were made for"):
        base.with_variant("hard_trained", sync=build_sync(SyncSpec("hard_trained", 3, 48)))


def test_what_is_trained() -> None:
    model = tiny_model("soft_trained")
    names = {part: set(model.trained_parts(part)) for part in ("base", "sync", "attention", "all")}
    assert all(name.startswith("sync.layer.") for name in names["sync"]) and len(names["sync"]) == 18
    assert names["base"] | names["sync"] == names["all"] == {n for n, _ in model.named_parameters()}
    assert names["attention"] == {n for n in names["base"] if ".attention." in n}
    own = set(tiny_model("sequential_cross_time").trained_parts("attention"))
    assert own and all(name.startswith("time_attention.") for name in own)
    with pytest.raises(InputError, match="one of base, sync"):
        model.trained_parts("head")
    with pytest.raises(InputError, match="choose hard_trained or soft_trained"):
        tiny_model("soft").trained_parts("sync")


@pytest.mark.parametrize("variant", MODEL_VARIANTS)
def test_every_weight_that_a_variant_trains_gets_a_gradient(variant: str) -> None:
    model, inputs = tiny_model(variant).train(), grid_inputs()
    model(inputs).square().sum().backward()
    silent = [n for n, p in model.trained_parts("all").items() if p.grad is None]
    assert silent == []


def test_recomputing_changes_nothing() -> None:
    grads = []
    for recompute in (False, True):
        model = tiny_model("soft_trained")
        model.recompute = recompute
        model(grid_inputs()).square().sum().backward()
        grads.append([p.grad for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


def test_a_few_steps_of_training_lower_the_loss() -> None:
    model = Model4D(Model4DSpec(TINY, "soft_trained"), rng())
    inputs, target = grid_inputs(), torch.rand(2, 3, 4, 3, 8, 8, generator=rng(3))
    adam = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(15):
        adam.zero_grad()
        loss = (model(inputs) - target).square().mean()
        loss.backward()
        adam.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]
