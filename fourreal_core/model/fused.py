"""Fused attention: in one stream, a token sees its own frame, its row and its column (4Real-Video-V2, 2025).

Rotary positions of frames are ``v + t`` here: along a row they differ by the difference in time, along a column by that
in view, so that the weights of a model trained on videos keep their meaning; other pairs don't see each other.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def cross_mask(views: int, times: int, tokens: int, device: torch.device | None = None) -> Tensor:
    """``(V T S, V T S)`` bool: true where two tokens share a view or a time."""
    view = torch.arange(views, device=device).repeat_interleave(times * tokens)
    time = torch.arange(times, device=device).repeat_interleave(tokens).repeat(views)
    return (view[:, None] == view) | (time[:, None] == time)


def fused_attention(q: Tensor, k: Tensor, v: Tensor, views: int, times: int, route: str = "auto") -> Tensor:
    """Attention of every token over its frame, its row and its column.

    Args:
        q: Queries ``(B, heads, V * T * S, head_width)``, views before times before tokens.
        k: Keys.
        v: Values.
        views: V.
        times: T.
        route: ``dense``: one masked attention over the grid, the definition; ``gathered``: each frame beside the keys
            that it sees; ``merged``: rows and columns apart, joined by their log-sum-exp; ``auto``: the fastest.

    Returns:
        ``(B, heads, V * T * S, head_width)``.
    """
    if views == 1 or times == 1:  # a single video: everything is seen
        return F.scaled_dot_product_attention(q, k, v)
    tokens = q.shape[2] // (views * times)
    if route == "dense":
        return F.scaled_dot_product_attention(q, k, v, attn_mask=cross_mask(views, times, tokens, q.device))
    grids = [x.unflatten(2, (views, times, tokens)).permute(0, 2, 3, 1, 4, 5) for x in (q, k, v)]
    run = _Merged.apply if route == "merged" or (route == "auto" and can_merge(q)) else _gathered
    mixed: Tensor = run(*grids)
    return mixed.permute(0, 3, 1, 2, 4, 5).flatten(2, 4)


def can_merge(q: Tensor) -> bool:
    """Whether this torch gives the log-sum-exp of attention on the tensor's device."""
    return q.device.type == "cpu" and hasattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu_backward")


def _gathered(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """``(B, V, T, heads, S, head_width)``; row after row, so that the copies of keys stay as small as a row's."""
    views, times = q.shape[1:3]
    rows = []
    for row in range(views):
        others = [u for u in range(views) if u != row]
        keys, values = (_seen_from(x, row, others) for x in (k, v))
        mixed = F.scaled_dot_product_attention(q[:, row].flatten(0, 1), keys, values)
        rows.append(mixed.unflatten(0, (-1, times)))
    return torch.stack(rows, 1)


def _seen_from(x: Tensor, row: int, others: list[int]) -> Tensor:
    """Keys or values that the frames of a row see: of the whole row, and of each one's column."""
    along = x[:, row].permute(0, 2, 1, 3, 4).flatten(2, 3)[:, None].expand(-1, x.shape[2], -1, -1, -1)
    across = x[:, others].permute(0, 2, 3, 1, 4, 5).flatten(3, 4)
    return torch.cat([along, across], 3).flatten(0, 1)


class _Merged(torch.autograd.Function):
    """Attention along rows and along columns without the own frame, joined by their log-sum-exp.

    Backwards, each part's kernel is given the joint output and log-sum-exp: its probabilities are then those of the
    joint softmax, and the gradients of the parts add up.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        attend = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        outs, sums = [], []
        for axis, mask in (("time", None), ("view", _without_own(q))):
            out, lse = attend(*(_videos(x, axis) for x in (q, k, v)), attn_mask=mask)
            outs.append(_grid(out, axis, q.shape))
            sums.append(_grid(lse[..., None], axis, q.shape))
        share = torch.sigmoid(sums[1] - sums[0])
        # laid out as the rows are, so that what follows needs no copy
        merged = torch.lerp(outs[0].to(share.dtype), outs[1].to(share.dtype), share).to(q.dtype)
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(q, k, v, merged, torch.logaddexp(sums[0], sums[1]))
        return merged

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        back = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
        q, k, v, out, lse = ctx.saved_tensors
        total: list[list[Tensor]] = []
        for axis, mask in (("time", None), ("view", _without_own(q))):
            parts = back(
                *(_videos(x, axis) for x in (grad, q, k, v, out)),
                _videos(lse, axis)[..., 0],
                0.0,
                False,
                attn_mask=mask,
            )
            total.append([_grid(part, axis, q.shape) for part in parts])
        of_q, of_k, of_v = (a + b for a, b in zip(*total, strict=True))
        return of_q, of_k, of_v


def _videos(grid: Tensor, axis: str) -> Tensor:
    """``(B, V, T, heads, S, d)`` as ``(N, heads, F S, d)``, the frames of a row or of a column together."""
    grid = grid if axis == "time" else grid.transpose(1, 2)
    return grid.transpose(2, 3).flatten(3, 4).flatten(0, 1)


def _grid(videos: Tensor, axis: str, shape: torch.Size) -> Tensor:
    """Undoes _videos for a grid of a shape."""
    frames = shape[2] if axis == "time" else shape[1]
    grid: Tensor = videos.unflatten(0, (shape[0], -1)).unflatten(3, (frames, -1)).transpose(2, 3)
    return grid if axis == "time" else grid.transpose(1, 2)


def _without_own(q: Tensor) -> Tensor:
    """``(V S, V S)`` added to the scores along a column: its own frame is seen in the row already."""
    frame = torch.arange(q.shape[1], device=q.device).repeat_interleave(q.shape[4])
    mask = torch.zeros(len(frame), len(frame), dtype=q.dtype, device=q.device)
    return mask.masked_fill_(frame[:, None] == frame[None, :], float("-inf"))
