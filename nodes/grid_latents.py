"""A grid's cells in a model's latents, each encoded as a picture of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..fourreal_core.errors import InputError
from ..fourreal_core.grid import FrameGrid
from ..fourreal_core.progress import OnStep, no_progress
from .error_context import naming
from .host_models.host_model import HostModel, KnownCellLatents
from .host_models.registry import host_model
from .per_frame_vae import encode_alone

GREY = 0.5


class GridLatents:
    """A model's inputs for a grid or a part of one.

    Args:
        model: The host's MODEL.
        vae: Its VAE.
    """

    def __init__(self, model: Any, vae: Any) -> None:
        self.family: HostModel = host_model(model)
        self._format, self._vae = model.get_model_object("latent_format"), vae

    def check(self, grid: FrameGrid) -> None:
        """Raises InputError where there is nothing to complete, or the model doesn't take the frames' size."""
        from ..fourreal_core.sampling.known_cells import check_completable

        with naming("'Frame Grid from Videos'"):
            check_completable(grid.known[None])
        steps = [self._vae.spacial_compression_encode() * patch for patch in self.family.patch_size()]
        if any(side % step for side, step in zip(grid.size, steps, strict=True)):
            fitting = [max(step, round(side / step) * step) for side, step in zip(grid.size, steps, strict=True)]
            raise InputError(
                f"frames of {grid.size[1]} x {grid.size[0]} pixels for {self.family.name}",
                f"multiples of {steps[1]} x {steps[0]}, such as {fitting[1]} x {fitting[0]}",
                "scale or crop the clips before 'Frame Grid from Videos'",
            )

    def encode(self, frames: Sequence[Tensor], on_step: OnStep = no_progress) -> list[Tensor]:
        """Latents ``(C, h, w)`` of frames ``(H, W, 3)``.

        Raises:
            InputError: The VAE belongs to another model.
        """
        return [latent[0, :, 0] for latent in encode_alone(self._vae, frames, self._format.latent_channels, on_step)]

    def cells(
        self,
        frames: Tensor,
        known: Tensor,
        given: Tensor | None = None,
        known_latents: Tensor | None = None,
        on_step: OnStep = no_progress,
    ) -> KnownCellLatents:
        """The cells of a grid, or of a part of one, as a family's conditioning is made of them.

        Unknown cells hold the first of what they may start from: the given proposal, a refiner's first input proposal,
        or the zero of the model's own scale.

        Args:
            frames: ``(V, T, H, W, 3)``; only known cells are looked at.
            known: ``(V, T)`` bool.
            given: A proposal ``(V, T, H, W, 3)``, or None.
            known_latents: ``(V, T, C, h, w)`` of the known cells, where they are encoded already.
            on_step: Progress.

        Raises:
            InputError: The VAE belongs to another model.
        """
        from ..fourreal_core.proposals.model_inputs import model_inputs

        shown = model_inputs(frames, known, self.family.proposals, given)
        guesses = shown if shown is not None else given[None] if given is not None else frames[None][:0]
        inside, outside = known.nonzero().tolist(), (~known).nonzero().tolist()
        pictures = [guess[v, t] for guess in guesses for v, t in outside]
        pictures += [frames[v, t] for v, t in inside] if known_latents is None else []
        *others, grey = self.encode([*pictures, torch.full_like(frames[0, 0], GREY)], on_step)
        made, encoded = others[: len(guesses) * len(outside)], others[len(guesses) * len(outside) :]
        zero = self._format.process_out(torch.zeros_like(grey[None, :, None]))[0, :, 0]
        latents = zero.repeat(max(len(guesses), 1), *known.shape, 1, 1, 1)
        for guess, latent in enumerate(made):
            view, time = outside[guess % len(outside)]
            latents[guess // len(outside), view, time] = latent
        for place, (view, time) in enumerate(inside):
            latents[:, view, time] = encoded[place] if known_latents is None else known_latents[view, time].to(latents)
        mask = (~known).to(latents)[:, None, :, None, None].repeat(1, 1, 1, *latents.shape[-2:])
        videos = latents.transpose(2, 3)  # (P, V, C, T, h, w)
        proposals = None if shown is None else videos.transpose(0, 1).flatten(1, 2).contiguous()
        return KnownCellLatents(videos[0].contiguous(), mask, grey[None, :, None], proposals)
