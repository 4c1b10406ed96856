"""The block against a slow loop over tokens; the identity at its start."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from fourreal_core.model.blocks import Block, Condition, LevelEmbedding, full_attention, keeps_scores
from fourreal_core.model.rope import rope_angles

from .small import TINY, rng, stirred

N, FRAMES, SIZE, D = 2, 3, (2, 2), TINY.width
TEXT = replace(TINY, text_width=5)


def tokens(dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
    return torch.randn(N, FRAMES, 4, D, generator=rng(seed), dtype=dtype)


def condition(dtype: torch.dtype = torch.float64, text: bool = False) -> Condition:
    angles = rope_angles(torch.arange(FRAMES), SIZE, D // 2)[:, None].to(dtype)
    modulation = torch.randn(N, FRAMES, 6, D, generator=rng(1), dtype=dtype)
    words = torch.randn(1, 5, D, generator=rng(2), dtype=dtype) if text else None
    mask = torch.tensor([[True, True, True, False, False]]) if text else None
    return Condition(modulation, angles.cos(), angles.sin(), words, mask)


def normal(x: torch.Tensor) -> torch.Tensor:
    return (x - x.mean()) / (x.var(unbiased=False) + 1e-5).sqrt()


def turned(x: torch.Tensor, gain: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    x = x / (x.square().mean() + torch.finfo(x.dtype).eps).sqrt() * gain
    half = len(x) // 2
    return torch.cat([x[:half] * cos - x[half:] * sin, x[half:] * cos + x[:half] * sin])


def slow_block(block: Block, x: torch.Tensor, c: Condition) -> torch.Tensor:
    """One video after another, one token after another, one head after another."""
    att, hd, total = block.attention, D // 2, FRAMES * 4
    out = x.clone()
    for n in range(N):
        mod = [c.modulation[n, i // 4] + block.table for i in range(total)]
        flat = [out[n, i // 4, i % 4] for i in range(total)]
        h = [normal(flat[i]) * (1 + mod[i][1]) + mod[i][0] for i in range(total)]
        qkv = [(att.qkv.weight @ v + att.qkv.bias).view(3, 2, hd) for v in h]
        mixed = []
        for i in range(total):
            parts = []
            for head in range(2):
                q = turned(qkv[i][0, head], att.q_gain, c.cos[i, 0], c.sin[i, 0])
                keys = torch.stack(
                    [turned(qkv[j][1, head], att.k_gain, c.cos[j, 0], c.sin[j, 0]) for j in range(total)]
                )
                values = torch.stack([qkv[j][2, head] for j in range(total)])
                parts.append((keys @ q / hd**0.5).softmax(0) @ values)
            mixed.append(att.out.weight @ torch.cat(parts) + att.out.bias)
        for i in range(total):
            y = flat[i] + mod[i][2] * mixed[i]
            if c.text is not None:
                y = y + slow_text(block, y, c.text[0][c.text_mask[0]])
            g = normal(y) * (1 + mod[i][4]) + mod[i][3]
            g = block.mlp[2].weight @ F.gelu(block.mlp[0].weight @ g + block.mlp[0].bias) + block.mlp[2].bias
            out[n, i // 4, i % 4] = y + mod[i][5] * g
    return out


def slow_text(block: Block, x: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
    text, hd = block.text, D // 2
    q = text.q.weight @ (normal(x) * text.norm.weight + text.norm.bias) + text.q.bias
    k, v = (words @ text.kv.weight.T + text.kv.bias).chunk(2, -1)
    parts = [(k[:, s] @ q[s] / hd**0.5).softmax(0) @ v[:, s] for s in (slice(0, hd), slice(hd, D))]
    return text.out.weight @ torch.cat(parts) + text.out.bias


@pytest.mark.parametrize("text", [False, True])
def test_a_block_is_the_slow_loop(text: bool) -> None:
    block = stirred(Block(TEXT if text else TINY)).double()
    c = condition(text=text)
    # rounding of float64 sums of some hundred terms
    torch.testing.assert_close(block(tokens(), c), slow_block(block, tokens(), c), rtol=0, atol=1e-11)


def test_a_new_block_with_closed_gates_is_the_identity() -> None:
    block, c = Block(TEXT), condition(torch.float32, text=True)
    closed = replace(c, modulation=c.modulation * torch.tensor([1, 1, 0, 1, 1, 0])[:, None])
    assert torch.equal(block(tokens(torch.float32), closed), tokens(torch.float32))


def test_another_attention_takes_the_blocks_place() -> None:
    block, other = stirred(Block(TINY)), stirred(Block(TINY), seed=9)
    x, c = tokens(torch.float32), condition(torch.float32)
    assert not torch.equal(block(x, c, other.attention), block(x, c))
    assert torch.equal(block(x, c, block.attention), block(x, c))


def test_gradients_of_a_block() -> None:
    spec = replace(TINY, width=12, mlp_ratio=1)
    block = stirred(Block(spec)).double()
    angles = rope_angles(torch.arange(2), (1, 1), 6)[:, None].double()
    c = Condition(torch.randn(1, 2, 6, 12, generator=rng(1), dtype=torch.float64), angles.cos(), angles.sin())
    x = torch.randn(1, 2, 1, 12, generator=rng(), dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, table: block(x, c), (x, block.table))


def test_levels_that_are_close_look_alike_and_others_do_not() -> None:
    embed = stirred(LevelEmbedding(16))
    at = embed(torch.tensor([0.0, 0.3, 0.301, 0.9]))
    assert (at[1] - at[2]).norm() < 0.2 * (at[1] - at[3]).norm()
    assert (at[0] - at[1]).norm() > 0.1 * at[1].norm()


def test_attention_that_keeps_its_scores_is_the_same_attention() -> None:
    q, k, v = torch.randn(3, 2, 3, 20, 16, generator=rng()).bfloat16()
    assert keeps_scores(q, 20) and not keeps_scores(q, 5000) and not keeps_scores(q.float(), 20)
    expected = F.scaled_dot_product_attention(q.float(), k.float(), v.float())
    # scores of a few units and shares, each rounded to 8 bits
    torch.testing.assert_close(full_attention(q, k, v).float(), expected, rtol=0, atol=3e-2)
