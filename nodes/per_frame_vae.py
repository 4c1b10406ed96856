"""Cells through a VAE one at a time: a latent frame is a grid cell, so none may know of its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..fourreal_core.errors import InputError
from ..fourreal_core.progress import OnStep


def encode_alone(vae: Any, frames: Sequence[Tensor], channels: int, on_step: OnStep) -> list[Tensor]:
    """Latents ``(1, C, 1, h, w)`` of frames, each encoded as a picture of its own.

    Args:
        vae: The host's VAE.
        frames: ``(H, W, 3)`` each, in ``[0, 1]``.
        channels: Latent channels C that the model takes.
        on_step: Progress; its preview is the frame at hand.

    Raises:
        InputError: The VAE's latents are not the model's.
    """
    latents = []
    for index, frame in enumerate(frames):
        latent = vae.encode(frame[None])
        latent = latent[:, :, None] if latent.ndim == 4 else latent
        if latent.shape[:3] != (1, channels, 1):
            raise InputError(
                f"a VAE that makes latents of shape {tuple(latent.shape)}",
                f"{channels} channels and one frame for one picture, as the model takes",
                "load the VAE that belongs to the model with 'Load VAE'",
            )
        latents.append(latent)
        on_step(index + 1, len(frames), frame)
    return latents


def decode_alone(vae: Any, latents: Tensor, on_step: OnStep) -> Tensor:
    """Frames ``(V, T, H, W, 3)`` in ``[0, 1]`` of latents ``(V, C, T, h, w)``, each decoded as a picture of its own."""
    rows = []
    views, _, times = latents.shape[:3]
    for view in range(views):
        row = []
        for time in range(times):
            pictures = vae.decode(latents[view : view + 1, :, time : time + 1].contiguous())
            frame = pictures.reshape(-1, *pictures.shape[-3:])[0, ..., :3]
            row.append(frame.to("cpu", torch.float32).clamp(0, 1))
            on_step(view * times + time + 1, views * times, row[-1])
        rows.append(torch.stack(row))
    return torch.stack(rows)
