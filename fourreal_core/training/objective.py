"""The objective: velocity matching, or the clean frames from which the velocity follows, on cells not given.

Supplement 1.1 and the rectified flow of design: ``x_s = (1 - s) x + s e``, the velocity is ``e - x``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..model.codec import Codec
from ..model.dit import GridInputs
from .batches import Batch


def noisy_inputs(batch: Batch, codec: Codec) -> tuple[GridInputs, Tensor, Tensor]:
    """What the network gets, and what it should have known.

    Args:
        batch: Frames, known cells and levels.
        codec: Frames to latents.

    Returns:
        The inputs, the clean latents and the noise, both ``(B, V, T, C, h, w)``.
    """
    clean = codec.encode(batch.frames)
    noise = torch.stack(
        [torch.randn(clean.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in batch.noise_seeds]
    ).to(clean)
    level = batch.level[..., None, None, None].to(clean)
    mixed = (1 - level) * clean + level * noise
    proposal = None
    if batch.proposals is not None:
        proposal = codec.encode(batch.proposals)
        if batch.shown is not None:
            proposal = torch.where(batch.shown[:, None, None, :, None, None, None].to(proposal.device), proposal, 0)
        proposal = proposal.flatten(3, 4)
    return GridInputs(mixed, batch.level.to(clean), batch.known, proposal), clean, noise


def grid_loss(drawn: Tensor, clean: Tensor, noise: Tensor, known: Tensor, prediction: str) -> Tensor:
    """Mean squared error ``(B,)`` of each grid over its unknown cells.

    Args:
        drawn: What the network drew, ``(B, V, T, C, h, w)``.
        clean: Clean latents.
        noise: The noise in the inputs.
        known: ``(B, V, T)`` bool.
        prediction: ``velocity`` or ``clean``.
    """
    target = clean if prediction == "clean" else noise - clean
    error = ((drawn.float() - target.float()) ** 2).flatten(3).mean(-1)
    wanted = (~known).float()
    return (error * wanted).flatten(1).sum(1) / wanted.flatten(1).sum(1).clamp_min(1)


def flow_distance(offsets: Tensor, flows: Tensor, known: Tensor) -> Tensor:
    """Mean distance ``(B,)`` in pixels between offsets and true flows, over unknown cells.

    Points that lie outside of the other cell's picture don't count: nothing could be copied there.

    Args:
        offsets: ``(B, V, T, 2, 2, H, W)`` from a warp head, to the known cells of the row and of the column.
        flows: The same, true.
        known: ``(B, V, T)`` bool.
    """
    height, width = flows.shape[-2:]
    x = torch.arange(width, device=flows.device) + 0.5 + flows[:, :, :, :, 0]
    y = torch.arange(height, device=flows.device)[:, None] + 0.5 + flows[:, :, :, :, 1]
    counts = ((x > 0) & (x < width) & (y > 0) & (y < height) & ~known[..., None, None, None]).float()
    # the root has no slope at 0 without the small number
    away = (((offsets.float() - flows) ** 2).sum(4) + 1e-4).sqrt()
    return (away * counts).flatten(1).sum(1) / counts.flatten(1).sum(1).clamp_min(1)
