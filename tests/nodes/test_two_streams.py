"""A patched model against the two streams written out by hand."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch

Part = Callable[[str], ModuleType]
CHUNKS, VIEWS, TIMES = 2, 3, 4


@pytest.fixture
def model() -> Any:
    from .stand_in_model import Model

    return Model()


@pytest.fixture
def synchronized(part: Part) -> Callable[..., Any]:
    """Apply Parallel Sync as a function."""
    made = part("nodes.parallel_sync")
    return lambda model, **settings: made.synchronized(model, made.SyncSettings(**settings))


def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(CHUNKS * VIEWS, 4, TIMES, 2, 3, generator=generator, dtype=torch.float64)
    prompts = torch.randn(CHUNKS, 1, 6, generator=generator, dtype=torch.float64).repeat_interleave(VIEWS, 0)
    return x, torch.full((CHUNKS * VIEWS,), 0.6), prompts


def by_hand(model: Any, x: torch.Tensor, prompt: torch.Tensor, mix: Callable[..., Any]) -> torch.Tensor:
    """One condition, layer by layer: rows are views' videos, columns times'; ``mix`` takes ``(V, T, S, D)``."""
    net = model.model.diffusion_model

    def embedded(video: torch.Tensor) -> torch.Tensor:
        return net.patch_embedding(video).flatten(2).transpose(1, 2)

    rows, columns = embedded(x), embedded(x.transpose(0, 2))
    for layer, block in enumerate(net.blocks):
        rows, columns = block(rows, prompt, {}), block(columns, prompt, {})
        y_time = rows.reshape(VIEWS, TIMES, 6, 6)
        y_view = columns.reshape(TIMES, VIEWS, 6, 6).transpose(0, 1)
        x_view, x_time = mix(layer, y_view, y_time)
        rows, columns = x_time.reshape(VIEWS, -1, 6), x_view.transpose(0, 1).reshape(TIMES, -1, 6).clone()
    time = net.head(rows).transpose(1, 2).unflatten(2, (TIMES, 2, 3))
    view = net.head(columns).transpose(1, 2).unflatten(2, (VIEWS, 2, 3))
    return (time + view.transpose(0, 2)) / 2


def soft(layer: int, y_view: torch.Tensor, y_time: torch.Tensor) -> Any:
    weight = 0.1 + 0.4 * layer / 3  # supplement eq. 2
    return (1 - weight) * y_view + weight * y_time, (1 - weight) * y_time + weight * y_view


def hard(layer: int, y_view: torch.Tensor, y_time: torch.Tensor) -> Any:
    return ((y_view + y_time) / 2,) * 2  # supplement eq. 1


def none(layer: int, y_view: torch.Tensor, y_time: torch.Tensor) -> Any:
    return y_view, y_time


def only(kept: int, rule: Callable[..., Any]) -> Callable[..., Any]:
    return lambda layer, y_view, y_time: (rule if layer == kept else none)(layer, y_view, y_time)


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"variant": "soft"}, soft),
        ({"variant": "hard"}, hard),
        ({"variant": "soft", "first_layer": 1, "last_layer": 1}, only(1, soft)),
        ({"variant": "hard", "highest_noise": 0.5}, none),
        ({"variant": "hard", "lowest_noise": 0.7}, none),
    ],
)
@torch.no_grad()
def test_a_call_is_the_two_streams_of_the_supplement(
    model: Any, synchronized: Any, settings: dict[str, Any], rule: Callable[..., Any]
) -> None:
    x, sigma, prompts = inputs()
    before = x.clone()
    out = synchronized(model, **settings).apply_model(x, sigma, prompts, chunks=CHUNKS)
    expected = torch.cat([by_hand(model, x[n : n + VIEWS], prompts[n : n + 1], rule) for n in (0, VIEWS)])
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)  # the same sums in float64, in another batch
    assert torch.equal(x, before)


@torch.no_grad()
def test_a_weaker_rule_makes_a_share_of_its_change(model: Any, synchronized: Any) -> None:
    x, sigma, prompts = inputs()

    def made(**settings: Any) -> torch.Tensor:
        return synchronized(model, **settings).apply_model(x, sigma, prompts, chunks=CHUNKS)

    def quarter(layer: int, y_view: torch.Tensor, y_time: torch.Tensor) -> Any:
        x_view, x_time = soft(layer, y_view, y_time)
        return 0.75 * y_view + 0.25 * x_view, 0.75 * y_time + 0.25 * x_time

    expected = torch.cat([by_hand(model, x[n : n + VIEWS], prompts[n : n + 1], quarter) for n in (0, VIEWS)])
    torch.testing.assert_close(made(variant="soft", strength=0.25), expected, rtol=0, atol=1e-12)
    unmixed = made(variant="identity")
    assert torch.equal(made(variant="soft", strength=0.0), unmixed)
    assert torch.equal(made(variant="identity", strength=0.5), unmixed)
    expected = torch.cat([by_hand(model, x[n : n + VIEWS], prompts[n : n + 1], none) for n in (0, VIEWS)])
    torch.testing.assert_close(unmixed, expected, rtol=0, atol=1e-12)


@torch.no_grad()
def test_rows_and_columns_in_turn(model: Any, synchronized: Any) -> None:
    x, _, prompts = inputs()
    schedule, calls = torch.tensor([1.0, 0.6, 0.3, 0.0]), []
    handle = model.model.diffusion_model.register_forward_pre_hook(lambda module, args: calls.append(len(args[0])))
    turned = synchronized(model, variant="alternate")
    for step, level in enumerate(schedule[:3]):
        calls.clear()
        sigma = torch.full((CHUNKS * VIEWS,), float(level))
        out = turned.apply_model(x, sigma, prompts, chunks=CHUNKS, options={"sample_sigmas": schedule})
        assert calls == [CHUNKS * (VIEWS if step % 2 == 0 else TIMES)]  # one stream, half of what two cost
        net = model.model.diffusion_model
        if step % 2 == 0:
            expected = net(x, prompts, transformer_options={})
        else:
            columns = x.unflatten(0, (CHUNKS, VIEWS)).transpose(1, 3).flatten(0, 1)
            made = net(columns, prompts[::VIEWS].repeat_interleave(TIMES, 0), transformer_options={})
            expected = made.unflatten(0, (CHUNKS, TIMES)).transpose(1, 3).flatten(0, 1)
        torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)
    handle.remove()
    assert turned.object_patches == {} and synchronized(model).object_patches  # memory of one stream, and of two


@torch.no_grad()
def test_the_given_model_stays_as_it_was(model: Any, synchronized: Any) -> None:
    x, sigma, prompts = inputs()
    alone = model.apply_model(x, sigma, prompts, chunks=CHUNKS)
    synchronized(synchronized(model)).apply_model(x, sigma, prompts, chunks=CHUNKS)
    assert torch.equal(model.apply_model(x, sigma, prompts, chunks=CHUNKS), alone)
    assert not any(block._forward_hooks for block in model.model.diffusion_model.blocks)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"x": torch.zeros(2, 4, 4, 2, 3)}, "at least 2 views and 2 times"),
        ({"x": torch.zeros(6, 4, 1, 2, 3)}, "at least 2 views and 2 times"),
        ({"x": torch.zeros(6, 4, 2, 3)}, "at least 2 views and 2 times"),
        ({"reference_latent": torch.zeros(6, 4)}, "remove 'ReferenceLatent'"),
        ({"keyframe_idxs": torch.zeros(6, 3, 8)}, "remove 'LTXVAddGuide'"),
        ({"something": torch.zeros(6, 4, 4, 2, 3)}, "the input 'something'"),
        ({"something": torch.arange(6.0)}, "the input 'something'"),
        ({"options": {"patches_replace": {"dit": {("double_block", 0): print}}}}, "remove 'SkipLayerGuidanceDiT'"),
        ({"options": {"fourreal_grid": (VIEWS, 4, 8, 2, 3)}}, "'Extend 4D Grid'"),
    ],
)
@torch.no_grad()
def test_what_does_not_fit_a_grid_is_refused(
    model: Any, synchronized: Any, change: dict[str, Any], sentence: str
) -> None:
    x, sigma, prompts = inputs()
    change = dict(change)
    with pytest.raises(ValueError, match=".*") as caught:
        synchronized(model).apply_model(change.pop("x", x), sigma, prompts, chunks=CHUNKS, **change)
    assert sentence in str(caught.value)


@torch.no_grad()
def test_inputs_of_the_grid_reach_both_streams_in_their_shape(model: Any, synchronized: Any) -> None:
    x, sigma, prompts = inputs()
    seen: list[dict[str, Any]] = []
    direct = model.model.direct
    model.model.direct = lambda *args, **kwargs: seen.append(kwargs | {"options": args[5]}) or direct(*args, **kwargs)
    mask = torch.rand(CHUNKS * VIEWS, 1, TIMES, 2, 3)
    synchronized(model).apply_model(
        x,
        sigma,
        prompts,
        chunks=CHUNKS,
        denoise_mask=mask,
        guidance=torch.ones(6),
        frame_rate=25,
        latent_shapes=[[VIEWS, 4, TIMES, 2, 3]],
    )
    rows, columns = sorted(seen, key=lambda kwargs: kwargs["denoise_mask"].shape[0])
    assert torch.equal(rows["denoise_mask"], mask) and rows["latent_shapes"] == [[VIEWS, 4, TIMES, 2, 3]]
    assert torch.equal(columns["denoise_mask"][TIMES + 1, :, 2], mask[VIEWS + 2, :, 1])
    assert columns["guidance"].shape == (CHUNKS * TIMES,) and columns["frame_rate"] == 25
    assert columns["latent_shapes"] == [[TIMES, 4, VIEWS, 2, 3]]
    assert rows["options"] is not columns["options"]
    assert (len(rows["options"]["sigmas"]), len(columns["options"]["sigmas"])) == (VIEWS, TIMES)


def test_a_cells_level_is_what_the_model_is_told(part: Part) -> None:
    import comfy.model_sampling

    streams, layout = part("nodes.host_models.two_streams"), part("nodes.host_models.batch_layout")
    shape, sigma = layout.GridShape(1, 2, 3), torch.full((2,), 0.8)
    mask = torch.ones(2, 1, 3, 4, 4)
    mask[0] = 0
    flow = comfy.model_sampling.CONST()
    assert torch.equal(streams.noise_levels(flow, sigma, None, shape), torch.full((1, 2, 3), 0.8))
    assert streams.noise_levels(flow, sigma, mask, shape)[0].tolist() == [[0.0] * 3, [pytest.approx(0.8)] * 3]
    other = streams.noise_levels(object(), torch.full((2,), 3.0), None, shape)
    assert torch.equal(other, torch.full((1, 2, 3), 0.75))  # 3 / (1 + 3)


def test_only_models_of_known_classes_are_patched(model: Any, synchronized: Any) -> None:
    model.object_patches["diffusion_model"] = torch.nn.Linear(1, 1)
    with pytest.raises(
        ValueError,
        match=r"a model of class Linear.*one of Wan 2.1 / 2.2, Wan VACE, LTXV, LTX-2, "
        r"HunyuanVideo 1.0 / 1.5, Cosmos Predict2, CogVideoX, Mochi, Kandinsky 5",
    ):
        synchronized(model)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"first_layer": 3}, "layers of 0 to 2"),
        ({"first_layer": 2, "last_layer": 1}, "layers of 0 to 2"),
        ({"last_layer": 7}, "layers of 0 to 2"),
        ({"last_layer": -4}, "layers of 0 to 2"),
        ({"lowest_noise": 0.8, "highest_noise": 0.2}, "0 <= lowest <= highest <= 1"),
        ({"strength": 1.5}, "a strength of 1.5"),
        ({"weights": "gone.safetensors"}, "no file 'gone.safetensors' in models/fourreal"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    model: Any, synchronized: Any, settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=".*") as caught:
        synchronized(model, **settings)
    assert sentence in str(caught.value)
