"""The objective: velocity matching, or the clean frames from which the velocity follows, on cells not given.

Supplement 1.1 and the rectified flow of design: ``x_s = (1 - s) x + s e``, the velocity is ``e - x``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..model.codec import Codec
from ..model.dit import GridInputs
from .batches import Batch
from .options import TrainOptions


def noisy_inputs(batch: Batch, codec: Codec, one_level: bool = False) -> tuple[GridInputs, Tensor, Tensor]:
    """The network's inputs, and its targets.

    Args:
        batch: Frames or clean latents, known cells and levels.
        codec: Frames to latents.
        one_level: Known cells enter with as much noise as the others, for a base that knows one level a video.

    Returns:
        The inputs, the clean latents and the noise, both ``(B, V, T, C, h, w)``.
    """
    clean = batch.latents
    if clean is None:
        assert batch.frames is not None  # a batch has one or the other
        clean = codec.encode(batch.frames)
    noise = torch.stack(
        [torch.randn(clean.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in batch.noise_seeds]
    ).to(clean)
    levels = batch.level.amax((1, 2), keepdim=True).expand_as(batch.level) if one_level else batch.level
    level = levels[..., None, None, None].to(clean)
    mixed = (1 - level) * clean + level * noise
    proposal = None
    if batch.proposals is not None:
        proposal = codec.encode(batch.proposals)
        if batch.shown is not None and not bool(batch.shown.all()):
            proposal = torch.where(batch.shown[:, None, None, :, None, None, None].to(proposal.device), proposal, 0)
        proposal = proposal.flatten(3, 4)
    inputs = GridInputs(mixed, levels.to(clean), batch.known, proposal, batch.text, batch.text_mask)
    return inputs, clean, noise


LEAST_ERROR = 1e-5
"""Squared error below which decibels no longer count: 50 dB."""


def grid_loss(
    predicted: Tensor, clean: Tensor, noise: Tensor, known: Tensor, prediction: str, subject: Tensor | None = None
) -> Tensor:
    """Mean squared error ``(B,)`` of each grid over its unknown cells, or over the subject in them.

    Args:
        predicted: What the network predicts, ``(B, V, T, C, h, w)``.
        clean: Clean latents.
        noise: The noise in the inputs.
        known: ``(B, V, T)`` bool.
        prediction: ``velocity`` or ``clean``.
        subject: ``(B, V, T, H, W)`` bool in pixels; a grid that shows nothing of it is measured as a whole.
    """
    target = clean if prediction == "clean" else noise - clean
    error = ((predicted.float() - target.float()) ** 2).mean(3)
    wanted = (~known)[..., None, None].float().expand(error.shape)
    if subject is not None:
        share = F.adaptive_avg_pool2d(subject.flatten(0, 2)[:, None].float(), (error.shape[-2], error.shape[-1])).view(
            error.shape
        )
        there = (share * wanted).flatten(1).any(1)
        wanted = torch.where(there[:, None, None, None, None], share * wanted, wanted)
    return (error * wanted).flatten(1).sum(1) / wanted.flatten(1).sum(1).clamp_min(1e-6)


def training_loss(
    predicted: Tensor, clean: Tensor, noise: Tensor, batch: Batch, prediction: str, train: TrainOptions
) -> Tensor:
    """The loss ``(B,)`` of each grid: its error, or that in decibels, on all of the picture and on the subject.

    Args:
        predicted: What the network predicts, ``(B, V, T, C, h, w)``.
        clean: Clean latents.
        noise: The noise in the inputs.
        batch: With the subject's masks where they have a weight.
        prediction: ``velocity`` or ``clean``.
        train: ``decibels``, ``cell_decibels`` and ``subject_weight`` of it.
    """
    masks = [None] if batch.subject is None else [None, batch.subject.to(predicted.device)]
    known = batch.known.to(predicted.device)
    if train.cell_decibels:
        losses = [_cell_decibels(predicted, clean, noise, known, prediction, mask) for mask in masks]
    else:
        errors = [grid_loss(predicted, clean, noise, known, prediction, mask) for mask in masks]
        losses = [(error + LEAST_ERROR).log() for error in errors] if train.decibels else errors
    if batch.subject is None:
        return losses[0]
    return (1 - train.subject_weight) * losses[0] + train.subject_weight * losses[1]


def _cell_decibels(
    predicted: Tensor, clean: Tensor, noise: Tensor, known: Tensor, prediction: str, subject: Tensor | None
) -> Tensor:
    """The mean logarithm ``(B,)`` of the errors of a grid's unknown cells, as ``grid_loss`` measures each by itself."""
    drawn, true, mixed, given = (x.flatten(0, 2)[:, None, None] for x in (predicted, clean, noise, known))
    mask = None if subject is None else subject.flatten(0, 2)[:, None, None]
    errors = grid_loss(drawn, true, mixed, given, prediction, mask)
    wanted = (~known).float()
    logs = (errors + LEAST_ERROR).log().view(known.shape) * wanted
    return logs.flatten(1).sum(1) / wanted.flatten(1).sum(1)


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
