"""A grid of tokens through the blocks of a video model: two streams in step, one after the other, or fused.

The ways are those that supplement 1.2 compares; the fused one is of 4Real-Video-V2.
Any network that shows its blocks can run this way; what the functions need of it is VideoBlocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .sync import Streams
from .token_layout import from_videos, to_videos


class VideoBlocks(Protocol):
    """What a video model shows of itself."""

    @property
    def layers(self) -> int:
        """Number of blocks."""

    def block(self, layer: int, tokens: Tensor, condition: Any, attention: Any = None) -> Tensor:
        """Runs a block on the tokens ``(N, F, S, D)`` of N videos, with another self-attention if one is given."""


SyncRule = Callable[[int, Tensor, Tensor, "Tensor | None"], Streams]
"""``(layer, y_view, y_time, noise_level) -> (x_view, x_time)``; sync.Sync is one."""
RunBlock = Callable[..., Tensor]
"""A model's block, as it is or with its activations recomputed in the backward pass."""


def run_video(model: VideoBlocks, tokens: Tensor, condition: Any, axis: str, recompute: bool = False) -> Tensor:
    """The base model of supplement 1.1 as it is: each row (``time``) or each column (``view``) a video of its own.

    Args:
        model: Its blocks.
        tokens: ``(B, V, T, S, D)``.
        condition: The model's own, for the rows or the columns.
        axis: ``time`` or ``view``.
        recompute: Trades time for memory in training.

    Returns:
        ``(B, V, T, S, D)``.
    """
    block = _block_of(model, recompute)
    videos = to_videos(tokens, axis)
    for layer in range(model.layers):
        videos = block(layer, videos, condition)
    return from_videos(videos, axis, len(tokens))


def run_two_streams(
    model: VideoBlocks,
    sync: SyncRule,
    tokens: Tensor,
    noise_level: Tensor | None,
    columns: Any,
    rows: Any,
    recompute: bool = False,
) -> Tensor:
    """Two streams: after each block on the columns and on the rows, the sync layer mixes them; their mean at the end.

    Supplement 1.2, "Parallel"; its eq. 1 and 2 are in sync. It leaves open how two streams become one prediction: here
    by their mean.

    Args:
        model: Its blocks, with the same weights in both streams.
        sync: What mixes.
        tokens: ``(B, V, T, S, D)``; both streams start from them.
        noise_level: ``(B, V, T)`` in ``[0, 1]`` for trained sync layers.
        columns: The model's condition for videos along the view axis.
        rows: The same along the time axis.
        recompute: Trades time for memory in training.

    Returns:
        ``(B, V, T, S, D)``.
    """
    block, batch = _block_of(model, recompute), len(tokens)
    x_view = x_time = tokens
    for layer in range(model.layers):
        y_view = from_videos(block(layer, to_videos(x_view, "view"), columns), "view", batch)
        del x_view  # at most what comes in and what goes out of one block is held beside the other stream
        y_time = from_videos(block(layer, to_videos(x_time, "time"), rows), "time", batch)
        del x_time
        x_view, x_time = sync(layer, y_view, y_time, noise_level)
        del y_view, y_time
    return x_view if x_view is x_time else (x_view + x_time) * 0.5


def run_sequential(
    model: VideoBlocks,
    tokens: Tensor,
    columns: Any,
    rows: Any,
    time_attention: Sequence[nn.Module] | nn.ModuleList | None = None,
    recompute: bool = False,
) -> Tensor:
    """One stream: ``x' = ViewBlock(TimeBlock(x))`` for each block.

    Supplement 1.2, "Sequential" (the paper's equation 5): with the base's own parameters, or with self-attention of the
    rows that was trained.

    Args:
        model: Its blocks.
        tokens: ``(B, V, T, S, D)``.
        columns: The model's condition for videos along the view axis.
        rows: The same along the time axis.
        time_attention: Self-attention for the rows in place of the blocks' own.
        recompute: Trades time for memory in training.

    Returns:
        ``(B, V, T, S, D)``.
    """
    block, batch = _block_of(model, recompute), len(tokens)
    for layer in range(model.layers):
        own = None if time_attention is None else time_attention[layer]
        tokens = from_videos(block(layer, to_videos(tokens, "time"), rows, own), "time", batch)
        tokens = from_videos(block(layer, to_videos(tokens, "view"), columns), "view", batch)
    return tokens


def run_fused(model: VideoBlocks, tokens: Tensor, condition: Any, recompute: bool = False) -> Tensor:
    """One stream over all frames of a grid; the condition's attention says which of them a token sees.

    4Real-Video-V2 (2025); see fused for the attention.

    Args:
        model: Its blocks.
        tokens: ``(B, V, T, S, D)``.
        condition: The model's condition for ``V * T`` frames.
        recompute: Trades time for memory in training.

    Returns:
        ``(B, V, T, S, D)``.
    """
    block, shape = _block_of(model, recompute), tokens.shape
    frames = tokens.flatten(1, 2)
    for layer in range(model.layers):
        frames = block(layer, frames, condition)
    return frames.view(shape)


def _block_of(model: VideoBlocks, recompute: bool) -> RunBlock:
    if recompute and torch.is_grad_enabled():
        return lambda *arguments: checkpoint(model.block, *arguments, use_reentrant=False)
    return model.block
