"""Completing a grid with the project's own model: known cells in, frames out, with proposals where it takes some."""

from __future__ import annotations

import torch
from torch import Tensor

from ..model.codec import SpaceToDepth
from ..model.model4d import Model4D
from ..progress import OnStep, no_progress
from ..proposals.model_inputs import model_inputs
from ..sampling.complete import Condition4D, sample_grid
from ..sampling.known_cells import KnownCells
from ..sampling.rectified_flow import SamplingOptions

FIRST_GUESS = SamplingOptions(steps=1)
"""One step from noise level 1: the mean of the model's distribution. It scores best in PSNR; more steps sample one
possibility, sharper and more often wrong."""


def first_row_and_column(views: int, times: int) -> Tensor:
    """The usual known cells ``(V, T)`` bool."""
    known = torch.zeros(views, times, dtype=torch.bool)
    known[0] = known[:, 0] = True
    return known


def complete_frames(
    model: Model4D,
    frames: Tensor,
    generator: torch.Generator,
    options: SamplingOptions = FIRST_GUESS,
    known: Tensor | None = None,
    proposal: Tensor | None = None,
    on_step: OnStep = no_progress,
    planes: Tensor | None = None,
) -> Tensor:
    """Completes a grid of frames.

    Args:
        model: On the CPU; it works in float32 and in pixels.
        frames: ``(V, T, H, W, 3)`` in ``[0, 1]``, sides that the model's patch divides; only known cells are looked at.
        generator: Source of the noise.
        options: How noise becomes a grid.
        known: ``(V, T)`` bool; row 0 and column 0 when None.
        proposal: ``(V, T, H, W, 3)``, the first of a refiner's input proposals; that of optical flow when None.
        on_step: Called after every step.
        planes: All that the model is shown, as model_inputs makes it, where that was done before; then ``proposal``
            isn't looked at.

    Returns:
        ``(V, T, H, W, 3)`` in ``[0, 1]``, the known cells exactly as given.

    Raises:
        InputError: Frames that don't fit the model or the proposal, or no cell to make.
    """
    known = first_row_and_column(*frames.shape[:2]) if known is None else known
    codec = SpaceToDepth(model.spec.dit.subpixel)
    shown = model_inputs(frames, known, model.spec.dit.proposals, proposal) if planes is None else planes
    condition = Condition4D()
    if shown is not None:
        condition = Condition4D(proposal=codec.encode(shown).movedim(0, 2).flatten(2, 3)[None])
    cells = KnownCells(known[None], codec.encode(frames)[None])
    made = codec.decode(sample_grid(model, cells, options, generator, condition, on_step=on_step)[0]).clamp(0, 1)
    return torch.where(known[..., None, None, None], frames, made)
