"""Every sync rule by hand, as a slow loop, at its start and through its gradients."""

from __future__ import annotations

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.model.sync import (
    VARIANTS,
    HardSync,
    NoiseGain,
    SoftSync,
    SyncSpec,
    build_sync,
    hard_sync,
    identity,
    kept_layers,
    soft_sync,
    soft_weight,
)

SHAPE = (2, 3, 4, 5, 8)  # B, V, T, S, D: two grids, more times than views


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def streams(seed: int = 0, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    pair = torch.randn(2, *SHAPE, generator=rng(seed), dtype=dtype)
    return pair[0], pair[1]


def levels(seed: int = 1, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(SHAPE[:3], generator=rng(seed), dtype=dtype)


def stirred(module: torch.nn.Module, seed: int = 2) -> torch.nn.Module:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=rng(seed)) * 0.3)
    return module


def test_hard_sync_by_hand() -> None:
    x_view, x_time = hard_sync(torch.tensor([1.0, -2.0]), torch.tensor([3.0, 2.0]))
    assert x_view.tolist() == [2.0, 0.0]
    assert x_view is x_time  # stored once


@pytest.mark.parametrize(("layer", "layers", "weight"), [(0, 10, 0.1), (5, 10, 0.3), (9, 10, 0.46), (1, 2, 0.3)])
def test_soft_weights_by_hand(layer: int, layers: int, weight: float) -> None:
    assert soft_weight(layer, layers) == pytest.approx(weight, abs=1e-12)


@pytest.mark.parametrize("layer", [-1, 6])
def test_a_layer_outside_the_network_is_refused(layer: int) -> None:
    with pytest.raises(InputError, match="count layers from 0"):
        soft_weight(layer, 6)


def test_soft_sync_by_hand() -> None:
    x_view, x_time = soft_sync(torch.tensor([1.0]), torch.tensor([3.0]), 0.25)
    assert (x_view.item(), x_time.item()) == (1.5, 2.5)


def test_soft_sync_is_equation_2() -> None:
    y_view, y_time = streams(dtype=torch.float64)
    x_view, x_time = soft_sync(y_view, y_time, 0.3)
    # rounding of a float64 sum of two terms
    torch.testing.assert_close(x_view, 0.7 * y_view + 0.3 * y_time, rtol=0, atol=1e-14)
    torch.testing.assert_close(x_time, 0.7 * y_time + 0.3 * y_view, rtol=0, atol=1e-14)


def test_identity_changes_nothing() -> None:
    y_view, y_time = streams()
    x_view, x_time = identity(y_view, y_time)
    assert x_view is y_view and x_time is y_time


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("variant", ["hard", "soft"])
def test_trained_rules_start_as_their_untrained_rule_bit_for_bit(variant: str, dtype: torch.dtype) -> None:
    y_view, y_time = streams(dtype=dtype)
    trained = build_sync(SyncSpec(f"{variant}_trained", layers=3, width=8), rng()).to(dtype)
    plain = build_sync(SyncSpec(variant, layers=3))
    for layer in range(3):
        got = trained(layer, y_view, y_time, levels(dtype=dtype))
        for mine, theirs in zip(got, plain(layer, y_view, y_time), strict=True):
            assert mine.dtype == dtype
            assert torch.equal(mine, theirs)


def gain_loop(gain: NoiseGain, level: float) -> torch.Tensor:
    waves = [torch.pi * 2 ** (6 * k / (gain.frequencies - 1)) * level for k in range(gain.frequencies)]
    encoded = torch.tensor(
        [
            *map(torch.sin, torch.tensor(waves, dtype=torch.float64)),
            *map(torch.cos, torch.tensor(waves, dtype=torch.float64)),
        ],
        dtype=torch.float64,
    )
    return 1 + gain.linear.weight.double() @ encoded + gain.linear.bias.double()


def test_trained_hard_sync_is_a_slow_loop() -> None:
    rule = stirred(HardSync(8, 3, rng())).double()
    y_view, y_time, s = *streams(dtype=torch.float64), levels(dtype=torch.float64)
    expected = torch.empty(SHAPE, dtype=torch.float64)
    for b, v, t, k in torch.cartesian_prod(*map(torch.arange, SHAPE[:4])).tolist():
        a, c = y_view[b, v, t, k], y_time[b, v, t, k]
        hidden = (rule.down @ (a - c)) * gain_loop(rule.gain, float(s[b, v, t]))
        expected[b, v, t, k] = (a + c) / 2 + rule.up @ hidden
    x_view, x_time = rule(y_view, y_time, s)
    assert x_view is x_time
    torch.testing.assert_close(x_view, expected, rtol=0, atol=2e-5)  # the level is encoded in float32


def test_trained_soft_sync_is_a_slow_loop() -> None:
    rule = stirred(SoftSync(8, 3, 0.2, rng())).double()
    y_view, y_time, s = *streams(dtype=torch.float64), levels(dtype=torch.float64)
    expected = torch.empty(2, *SHAPE, dtype=torch.float64)
    for b, v, t, k in torch.cartesian_prod(*map(torch.arange, SHAPE[:4])).tolist():
        a, c = y_view[b, v, t, k], y_time[b, v, t, k]
        hidden = rule.down_view @ a + rule.down_time @ c
        gain = gain_loop(rule.gain, float(s[b, v, t]))
        expected[0, b, v, t, k] = 0.8 * a + 0.2 * c + rule.up_view @ (hidden * gain[:3])
        expected[1, b, v, t, k] = 0.8 * c + 0.2 * a + rule.up_time @ (hidden * gain[3:])
    for mine, theirs in zip(rule(y_view, y_time, s), expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=2e-5)  # the level is encoded in float32


@pytest.mark.parametrize("kind", ["hard_trained", "soft_trained"])
def test_gradients_of_trained_rules(kind: str) -> None:
    sync = stirred(build_sync(SyncSpec(kind, layers=1, width=2, rank=2), rng())).double()
    y = [torch.randn(1, 2, 1, 2, 2, generator=rng(k), dtype=torch.float64).requires_grad_() for k in (3, 4)]
    weights = [p for p in sync.parameters()]

    def run(a: torch.Tensor, b: torch.Tensor, *_: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return sync(0, a, b, torch.tensor([[[0.2], [0.9]]]))

    assert torch.autograd.gradcheck(run, (*y, *weights))


@pytest.mark.parametrize("kind", ["hard_trained", "soft_trained"])
def test_a_trained_rule_learns_from_its_start(kind: str) -> None:
    sync = build_sync(SyncSpec(kind, layers=1, width=8), rng())
    target = streams(7)[0]
    adam = torch.optim.Adam(sync.parameters(), lr=0.02)
    losses = []
    for _ in range(12):
        adam.zero_grad()
        x_view, x_time = sync(0, *streams(), levels())
        loss = (x_view - target).square().mean() + (x_time - target).square().mean()
        loss.backward()
        adam.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.98 * losses[0]
    assert all(bool(p.grad.abs().sum() > 0) for p in sync.parameters())


def test_the_noise_level_of_each_cell_counts() -> None:
    sync = stirred(build_sync(SyncSpec("soft_trained", layers=1, width=8), rng()))
    s = levels()
    moved = s.clone()
    moved[1, 2, 3] = 1 - moved[1, 2, 3]
    changed = (sync(0, *streams(), s)[0] != sync(0, *streams(), moved)[0]).any(-1).any(-1)
    assert changed.nonzero().tolist() == [[1, 2, 3]]


def test_one_level_for_the_whole_grid_expands() -> None:
    sync = stirred(build_sync(SyncSpec("hard_trained", layers=1, width=8), rng()))
    every = sync(0, *streams(), torch.full(SHAPE[:3], 0.25))[0]
    assert torch.equal(sync(0, *streams(), torch.full((2, 1, 1), 0.25))[0], every)


@pytest.mark.parametrize(("dropped", "expected"), [("none", (0, 24)), ("first", (8, 24)), ("last", (0, 16))])
def test_a_third_of_24_layers_is_eight(dropped: str, expected: tuple[int, int]) -> None:
    assert kept_layers(24, dropped) == expected


def test_dropped_layers_leave_the_streams_alone_and_have_no_weights() -> None:
    first, end = kept_layers(6, "first")
    sync = build_sync(SyncSpec("soft_trained", layers=6, width=8, first=first, end=end), rng())
    assert sorted({name.split(".")[1] for name in sync.state_dict()}) == ["2", "3", "4", "5"]
    y_view, y_time = streams()
    x_view, x_time = sync(1, y_view, y_time, levels())
    assert x_view is y_view and x_time is y_time
    assert not torch.equal(sync(2, y_view, y_time, levels())[0], y_view)


def test_the_same_seed_makes_the_same_layers() -> None:
    spec = SyncSpec("soft_trained", layers=2, width=8)
    one, two, other = (build_sync(spec, rng(k)).state_dict() for k in (5, 5, 6))
    assert all(torch.equal(one[k], two[k]) for k in one)
    assert any(not torch.equal(one[k], other[k]) for k in one)


def test_inputs_are_not_written() -> None:
    for variant in VARIANTS:
        y_view, y_time = streams()
        build_sync(SyncSpec(variant, layers=2, width=8))(1, y_view, y_time, levels())
        assert torch.equal(y_view, streams()[0]) and torch.equal(y_time, streams()[1])


@pytest.mark.parametrize(
    ("fields", "remedy"),
    [
        ({"variant": "average"}, "choose one of them"),
        ({"variant": "hard_trained"}, "take both from the base model"),
        ({"variant": "soft", "layers": 0}, "take both from the base model"),
        ({"variant": "soft", "first": 3, "end": 2}, "leave the range out"),
        ({"variant": "soft", "end": 7}, "leave the range out"),
    ],
)
def test_impossible_specs_are_refused(fields: dict, remedy: str) -> None:
    with pytest.raises(InputError, match=remedy):
        SyncSpec(**{"layers": 6, **fields})


def test_streams_of_another_model_are_refused() -> None:
    sync = build_sync(SyncSpec("soft_trained", layers=1, width=6))
    with pytest.raises(InputError, match="made for this model"):
        sync(0, *streams(), levels())
    with pytest.raises(InputError, match="made for this model"):
        sync(0, streams()[0], streams()[1][:, :2], levels())


def test_trained_rules_need_a_level_for_every_cell() -> None:
    sync = build_sync(SyncSpec("hard_trained", layers=1, width=8))
    with pytest.raises(InputError, match="pass the level"):
        sync(0, *streams())
    with pytest.raises(InputError, match="give every cell"):
        sync(0, *streams(), torch.zeros(2, 4, 3))


def test_unknown_drops_are_refused() -> None:
    with pytest.raises(InputError, match="choose one of them"):
        kept_layers(24, "middle")
