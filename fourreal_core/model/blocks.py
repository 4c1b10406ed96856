"""The DiT's block: self-attention over a video, text, and an MLP, each modulated by its frame's noise level."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .residual import zero_parameters
from .rope import rotate
from .spec import DiTSpec

AttentionCore = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Attention itself: queries, keys and values ``(N, heads, tokens, head_width)`` to outputs of the same shape."""


SCORES_AT_MOST = 1024
"""Tokens of a video up to which attention on a CPU in bfloat16 keeps its scores: matrix units then do all of the work,
which takes half the time of torch's own kernel in training, and the scores of longer videos would fill the memory."""


def keeps_scores(q: Tensor, keys: int) -> bool:
    """Whether attention of queries ``(..., head_width)`` to so many keys is fastest with its scores kept."""
    return q.device.type == "cpu" and q.dtype == torch.bfloat16 and keys <= SCORES_AT_MOST


def full_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Every token sees every token of its video."""
    if keeps_scores(q, q.shape[-2]):
        scores = torch.matmul(q * q.shape[-1] ** -0.5, k.transpose(-1, -2))
        return torch.matmul(scores.softmax(-1), v)
    return F.scaled_dot_product_attention(q, k, v)


@dataclass(frozen=True)
class Condition:
    """What the blocks need beside the tokens of N videos with F frames.

    Attributes:
        modulation: ``(N, F, 6, D)`` shift, scale and gate of the attention and of the MLP.
        cos: ``(F * S, 1, head_width / 2)`` cosines of the rotary angles.
        sin: Their sines.
        text: ``(B, L, D)`` text tokens, where N is a multiple of B and videos of one grid lie together; or None.
        text_mask: ``(B, L)`` bool, true where there is text; or None.
        core: Attention itself.
    """

    modulation: Tensor
    cos: Tensor
    sin: Tensor
    text: Tensor | None = None
    text_mask: Tensor | None = None
    core: AttentionCore = full_attention


class LevelEmbedding(nn.Module):
    """A noise level as a vector.

    Args:
        width: D.
        frequencies: Fourier features that encode the level.
    """

    def __init__(self, width: int, frequencies: int = 64) -> None:
        super().__init__()
        self.frequencies = frequencies
        self.mlp = nn.Sequential(nn.Linear(2 * frequencies, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, level: Tensor) -> Tensor:
        """``(..., D)`` of levels ``(...)`` in ``[0, 1]``."""
        turns = torch.linspace(-1, 6, self.frequencies, device=level.device)
        angles = level[..., None].float() * (math.pi * torch.exp2(turns))
        dtype = cast(nn.Linear, self.mlp[0]).weight.dtype
        embedded: Tensor = self.mlp(torch.cat([angles.sin(), angles.cos()], -1).to(dtype))
        return embedded


class Attention(nn.Module):
    """Self-attention with normalised queries and keys and rotary positions."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.q_gain = nn.Parameter(torch.ones(width // heads))
        self.k_gain = nn.Parameter(torch.ones(width // heads))
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        """Mixes the tokens ``(N, tokens, D)`` of each video."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(2)
        cos, sin = condition.cos.to(q.dtype), condition.sin.to(q.dtype)
        q = rotate(F.rms_norm(q, q.shape[-1:], self.q_gain.to(q.dtype)), cos, sin)
        k = rotate(F.rms_norm(k, k.shape[-1:], self.k_gain.to(k.dtype)), cos, sin)
        mixed = condition.core(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out


class TextAttention(nn.Module):
    """Cross-attention of all tokens of a grid to its text; nothing until it is trained."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        zero_parameters(self.out)

    def forward(self, x: Tensor, text: Tensor, mask: Tensor | None) -> Tensor:
        """What the text adds to tokens ``(N, tokens, D)``; text is ``(B, L, D)``, see Condition."""
        grids = self.norm(x).reshape(len(text), -1, x.shape[-1])
        q = self.q(grids).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = self.kv(text).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        keep = None if mask is None else mask[:, None, None, :]
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=keep)
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out.view(x.shape)


class Block(nn.Module):
    """A transformer block; the identity until it is trained, since its gates start at zero."""

    def __init__(self, spec: DiTSpec) -> None:
        super().__init__()
        width = spec.width
        self.attention = Attention(width, spec.heads)
        self.text = TextAttention(width, spec.heads) if spec.text_width else None
        self.mlp = nn.Sequential(
            nn.Linear(width, spec.mlp_ratio * width), nn.GELU(), nn.Linear(spec.mlp_ratio * width, width)
        )
        self.table = nn.Parameter(torch.zeros(6, width))

    def forward(self, x: Tensor, condition: Condition, attention: Attention | None = None) -> Tensor:
        """Runs the block.

        Args:
            x: ``(N, F, S, D)`` tokens of N videos.
            condition: Of the same videos.
            attention: Used in place of the block's own self-attention if given.

        Returns:
            ``(N, F, S, D)``.
        """
        n, f, s, d = x.shape
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = (
            (condition.modulation + self.table)[:, :, k, None, :] for k in range(6)
        )
        h = torch.addcmul(shift_a, F.layer_norm(x, (d,)), 1 + scale_a)
        mixed = (attention or self.attention)(h.reshape(n, f * s, d), condition).view(n, f, s, d)
        x = torch.addcmul(x, gate_a, mixed.to(x.dtype))
        if self.text is not None and condition.text is not None:
            added = self.text(x.reshape(n, f * s, d), condition.text, condition.text_mask)
            x = x + added.view(n, f, s, d).to(x.dtype)
        h = torch.addcmul(shift_m, F.layer_norm(x, (d,)), 1 + scale_m)
        return torch.addcmul(x, gate_m, self.mlp(h).to(x.dtype))
