"""Completing the unknown cells of a grid with a 4D model."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..model.dit import GridInputs
from ..model.model4d import Model4D
from ..progress import OnStep, no_progress
from .known_cells import KnownCells, check_completable
from .rectified_flow import SamplingOptions, Velocity, draw_noise, integrate, schedule, start_latents


@dataclass(frozen=True)
class Condition4D:
    """What a grid is drawn after, beside its known cells.

    Attributes:
        proposal: ``(B, V, T, P * C, h, w)``, one or several behind each other; refiners see as many as they take, and a
            sampling that starts below level 1 starts from the first.
        text: ``(B, L, text_width)`` text tokens.
        text_mask: ``(B, L)`` bool, true where there is text.
        view_positions: ``(V,)`` positions along the view axis, where they leave gaps.
        time_positions: ``(T,)`` positions along the time axis.
    """

    proposal: Tensor | None = None
    text: Tensor | None = None
    text_mask: Tensor | None = None
    view_positions: Tensor | None = None
    time_positions: Tensor | None = None


NO_CONDITION = Condition4D()


def model_velocity(model: Model4D, mask: Tensor, condition: Condition4D = NO_CONDITION) -> Velocity:
    """A model as a velocity of latents and levels.

    Args:
        model: The 4D model.
        mask: ``(B, V, T)`` bool, the known cells.
        condition: A proposal is handed to models that take one.
    """
    dit, proposal = model.spec.dit, condition.proposal
    if proposal is not None:
        proposal = proposal[:, :, :, : dit.most_planes * dit.latent_channels] if dit.proposals else None

    def velocity(latents: Tensor, level: Tensor) -> Tensor:
        inputs = GridInputs(
            latents,
            level,
            mask,
            proposal,
            condition.text,
            condition.text_mask,
            condition.view_positions,
            condition.time_positions,
        )
        return model.predict(inputs).velocity

    return velocity


@torch.no_grad()
def sample_grid(
    model: Model4D,
    known: KnownCells,
    options: SamplingOptions,
    generator: torch.Generator,
    condition: Condition4D = NO_CONDITION,
    on_step: OnStep = no_progress,
) -> Tensor:
    """Draws the unknown cells of some grids.

    Args:
        model: The 4D model.
        known: What is held.
        options: How noise becomes a grid.
        generator: Source of the noise; the same seed draws the same grid.
        condition: What the grid is drawn after.
        on_step: Called after every step.

    Returns:
        ``(B, V, T, C, h, w)`` clean latents, the known ones exactly as given.

    Raises:
        InputError: Grids that can't be completed, or a condition that doesn't fit.
    """
    check_completable(known.mask)
    noise = draw_noise(tuple(known.latents.shape), generator, known.latents)
    first = None if condition.proposal is None else condition.proposal[:, :, :, : noise.shape[3]]
    start = start_latents(noise, options.start, first)
    if condition.proposal is not None and model.spec.dit.chooser:
        condition = replace(condition, proposal=model.dit.with_choice(condition.proposal, known.mask))
    velocity = model_velocity(model, known.mask, condition)
    return integrate(velocity, start, schedule(options), known, on_step)
