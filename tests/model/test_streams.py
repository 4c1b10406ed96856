"""Two streams, one after the other, and fused: against separate videos and slow loops, for any network with blocks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fourreal_core.model.streams import run_fused, run_sequential, run_two_streams, run_video
from fourreal_core.model.sync import SyncSpec, build_sync, identity
from fourreal_core.model.token_layout import to_videos

from .small import rng

B, V, T, S, D, LAYERS = 2, 3, 4, 2, 5, 4


class Mixer(nn.Module):
    """Blocks that mix all tokens of a video with weights that depend on where they are."""

    layers = LAYERS

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(LAYERS, D, D, generator=rng(), dtype=torch.float64) / D**0.5)
        self.calls: list[tuple[int, tuple[int, ...]]] = []

    def block(self, layer: int, tokens: torch.Tensor, condition: torch.Tensor, attention: nn.Module | None = None):
        self.calls.append((layer, tuple(tokens.shape)))
        flat = tokens.flatten(1, 2) * condition[: tokens.shape[1] * S, None]
        mixed = torch.tanh(flat.mean(1, keepdim=True) @ self.weight[layer]).expand_as(flat)
        mixed = mixed if attention is None else attention(mixed)
        return tokens + mixed.reshape(tokens.shape) + 0.1 * tokens @ self.weight[layer]


def tokens() -> torch.Tensor:
    return torch.randn(B, V, T, S, D, generator=rng(1), dtype=torch.float64)


POSITION = torch.linspace(1, 2, V * T * S, dtype=torch.float64)


def test_the_base_model_runs_every_row_and_column_alone() -> None:
    model = Mixer()
    rows, columns = (run_video(model, tokens(), POSITION, axis) for axis in ("time", "view"))
    for b in range(B):
        for v in range(V):
            x = tokens()[b : b + 1, v]
            for layer in range(LAYERS):
                x = model.block(layer, x, POSITION)
            torch.testing.assert_close(rows[b, v], x[0], rtol=0, atol=1e-13)  # rounding of float64 means
        for t in range(T):
            x = tokens()[b : b + 1, :, t]
            for layer in range(LAYERS):
                x = model.block(layer, x, POSITION)
            torch.testing.assert_close(columns[b, :, t], x[0], rtol=0, atol=1e-13)


def test_streams_that_never_meet_are_separate_videos() -> None:
    model = Mixer()
    out = run_two_streams(model, lambda layer, *y: identity(*y[:2]), tokens(), None, POSITION, POSITION)
    apart = (run_video(model, tokens(), POSITION, "view") + run_video(model, tokens(), POSITION, "time")) / 2
    assert torch.equal(out, apart)


@pytest.mark.parametrize("variant", ["hard", "soft"])
def test_two_streams_are_the_slow_loop(variant: str) -> None:
    model, sync = Mixer(), build_sync(SyncSpec(variant, LAYERS))
    out = run_two_streams(model, sync, tokens(), None, POSITION, POSITION)
    x_view, x_time = tokens(), tokens()
    for layer in range(LAYERS):
        y_view, y_time = torch.empty_like(x_view), torch.empty_like(x_time)
        for b in range(B):
            for t in range(T):
                y_view[b, :, t] = model.block(layer, x_view[b : b + 1, :, t], POSITION)[0]
            for v in range(V):
                y_time[b, v] = model.block(layer, x_time[b : b + 1, v], POSITION)[0]
        w = 0.5 if variant == "hard" else 0.1 + 0.4 * layer / LAYERS
        x_view, x_time = (1 - w) * y_view + w * y_time, (1 - w) * y_time + w * y_view
    # rounding of float64 sums through four blocks
    torch.testing.assert_close(out, (x_view + x_time) / 2, rtol=0, atol=1e-12)


def test_the_blocks_run_along_rows_and_columns_in_turn() -> None:
    model = Mixer()
    run_two_streams(model, build_sync(SyncSpec("soft", LAYERS)), tokens(), None, POSITION, POSITION)
    columns, rows = (B * T, V, S, D), (B * V, T, S, D)
    assert model.calls == [(layer, shape) for layer in range(LAYERS) for shape in (columns, rows)]


def test_sequential_is_the_view_block_of_the_time_block() -> None:
    model = Mixer()
    out, x = run_sequential(model, tokens(), POSITION, POSITION), tokens()
    for layer in range(LAYERS):
        for b in range(B):
            for v in range(V):
                x[b, v] = model.block(layer, x[b : b + 1, v].clone(), POSITION)[0]
            for t in range(T):
                x[b, :, t] = model.block(layer, x[b : b + 1, :, t].clone(), POSITION)[0]
    torch.testing.assert_close(out, x, rtol=0, atol=1e-12)


def test_the_rows_own_attention_is_used_in_the_rows_alone() -> None:
    model, own = Mixer(), [nn.Tanh() for _ in range(LAYERS)]
    seen: list[int] = []
    for tanh in own:
        tanh.register_forward_hook(lambda _m, inputs, _o: seen.append(inputs[0].shape[1]))
    out = run_sequential(model, tokens(), POSITION, POSITION, own)
    assert seen == [T * S] * LAYERS
    assert not torch.equal(out, run_sequential(model, tokens(), POSITION, POSITION))


def test_fused_runs_all_frames_as_one_video() -> None:
    model = Mixer()
    out = run_fused(model, tokens(), POSITION)
    x = tokens().reshape(B, V * T, S, D)
    for layer in range(LAYERS):
        x = model.block(layer, x, POSITION)
    assert torch.equal(out, x.view(B, V, T, S, D))


def test_recomputing_gives_the_same_gradients() -> None:
    grads = []
    for recompute in (False, True):
        model = Mixer()
        sync = build_sync(SyncSpec("hard", LAYERS))
        run_two_streams(model, sync, tokens(), None, POSITION, POSITION, recompute).square().sum().backward()
        grads.append(model.weight.grad)
        assert len(model.calls) == 2 * LAYERS * (1 + recompute)
    assert torch.equal(*grads)


def test_tokens_are_not_written() -> None:
    x = tokens()
    for variant in ("identity", "hard", "soft"):
        run_two_streams(Mixer(), build_sync(SyncSpec(variant, LAYERS)), x, None, POSITION, POSITION)
    run_sequential(Mixer(), x, POSITION, POSITION)
    assert torch.equal(x, tokens())


def test_hard_streams_share_one_tensor_between_blocks() -> None:
    model, sync, seen = Mixer(), build_sync(SyncSpec("hard", LAYERS)), []

    def watched(layer: int, *y: torch.Tensor):
        x_view, x_time = sync(layer, *y)
        seen.append(x_view.data_ptr() == x_time.data_ptr())
        return x_view, x_time

    run_two_streams(model, watched, tokens(), None, POSITION, POSITION)
    assert seen == [True] * LAYERS


def test_the_view_stream_keeps_its_columns_together() -> None:
    sync = build_sync(SyncSpec("soft", LAYERS))
    columns = torch.randn(B, T, V, S, D, generator=rng()).transpose(1, 2)
    x_view, x_time = sync(0, columns, tokens().float())
    assert to_videos(x_view, "view").data_ptr() == x_view.data_ptr()  # the next block needs no copy of either
    assert to_videos(x_time, "time").data_ptr() == x_time.data_ptr()
