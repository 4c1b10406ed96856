"""Rotary positions over frame, y and x (Su et al. 2021, over three axes)."""

from __future__ import annotations

import torch
from torch import Tensor

BASE = 100.0
"""Highest rotary frequency over the lowest; small, since grids of tokens are short."""


def split_head(head_width: int) -> tuple[int, int, int]:
    """Even parts of a head for frame, y and x that add up to it: about a quarter, and the rest in halves."""
    frame = max(2, 2 * (head_width // 8))
    rest = (head_width - frame) // 2
    y = 2 * ((rest + 1) // 2)
    return frame, y, head_width - frame - y


def rope_angles(frames: Tensor, size: tuple[int, int], head_width: int) -> Tensor:
    """Angles of every token.

    Args:
        frames: ``(F,)`` positions of the frames; may be fractions or leave gaps.
        size: Tokens of a frame along y and x.
        head_width: Width of a head.

    Returns:
        ``(F * y * x, head_width / 2)`` radians, float32.
    """
    rows, columns = size
    device = frames.device
    axes = torch.meshgrid(
        frames.float(),
        torch.arange(rows, device=device).float(),
        torch.arange(columns, device=device).float(),
        indexing="ij",
    )
    parts = []
    for position, part in zip(axes, split_head(head_width), strict=True):
        frequencies = BASE ** -(torch.arange(part // 2, device=device) / max(part // 2, 1))
        parts.append(position.reshape(-1, 1) * frequencies)
    return torch.cat(parts, 1)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turns heads ``(..., tokens, heads, head_width)``: entry k and entry k + half by the k-th angle.

    Args:
        x: Queries or keys.
        cos: ``(tokens, 1, head_width / 2)`` cosines of the angles.
        sin: The sines.
    """
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)
