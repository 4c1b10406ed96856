"""Chunks of an extension sampled by the host's KSampler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import comfy.sample
import torch
from torch import Tensor

from ..fourreal_core.grid import FrameGrid
from ..fourreal_core.progress import OnStep, no_progress
from ..fourreal_core.sampling.chunks import Chunk, Window
from ..fourreal_core.sampling.known_cells import KnownCells
from .freeze_time_conditioning import conditioned_start
from .grid_latents import GridLatents
from .grid_sampling import SamplerSettings, sample
from .host_models.grid_preview import WallPictures
from .per_frame_vae import decode_alone


@dataclass(frozen=True)
class ChunkSampler:
    """Draws a chunk; what extend wants of a model.

    Attributes:
        model: The host's MODEL, one that runs grids.
        vae: Its VAE.
        latents: Lays cells out for that model.
        grid: The whole grid.
        prompts: Positive and negative CONDITIONING, or None each.
        settings: KSampler's settings; every chunk gets a seed of its own.
        given: A proposal ``(V, T, H, W, 3)``, or None.
        progress: Gives the progress callback of a chunk.
    """

    model: Any
    vae: Any
    latents: GridLatents
    grid: FrameGrid
    prompts: tuple[Any, Any]
    settings: SamplerSettings
    given: Tensor | None
    progress: Callable[[Chunk], OnStep]

    def __call__(self, known: KnownCells, chunk: Chunk, generator: torch.Generator) -> Tensor:
        """The window's cells ``(1, v, t, C, h, w)``; the noise is that of KSampler with the generator's seed."""
        window, mask = chunk.window, known.mask[0].cpu()
        given = None if self.given is None else window.cut(self.given[None])[0]
        cells = self.latents.cells(self._frames(known, mask, window), mask, given, known.latents[0])
        made = conditioned_start(self.latents.family, cells, mask, *self.prompts)
        seed = generator.initial_seed()
        noise = comfy.sample.prepare_noise(made.latent["samples"], seed)
        callback = WallPictures(self.model, self.progress(chunk))
        samples = sample(self.model, made, noise, replace(self.settings, seed=seed), callback)
        return samples.transpose(1, 2)[None].to(known.latents)

    def _frames(self, known: KnownCells, mask: Tensor, window: Window) -> Tensor:
        """Frames of the window's known cells; of those that earlier chunks made, the ones that flow is measured in."""
        frames, given = window.cut(self.grid.frames[None])[0], window.cut(self.grid.known[None])[0]
        if not self.latents.family.proposals:
            return frames
        for view, time in (mask & ~given).nonzero().tolist():
            if view == 0 or time == 0:
                latent = known.latents[0, view, time][None, :, None]
                frames[view, time] = decode_alone(self.vae, latent, no_progress)[0, 0]
        return frames
