"""Cells through a VAE, each a picture of its own: a latent frame is a grid cell, so none may know of its neighbours.

Several cells go into one call of the host's VAEs, as videos of one frame: they load the network once a call, and divide
the batch by the memory that is free.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..fourreal_core.errors import InputError
from ..fourreal_core.progress import OnStep

MOST_FRAMES = 16
"""Frames in a call at most: progress and cancel wait for a call."""
MOST_BYTES = 256 * 1024**2
"""Bytes of float32 pixels in a call at most, beside which the host reckons the network's own memory."""


def encode_alone(vae: Any, frames: Sequence[Tensor], channels: int, on_step: OnStep) -> list[Tensor]:
    """Latents ``(1, C, 1, h, w)`` of frames, each encoded as a picture of its own.

    Args:
        vae: The host's VAE.
        frames: ``(H, W, 3)`` each, in ``[0, 1]``.
        channels: Latent channels C that the model takes.
        on_step: Progress; its preview is the last frame at hand.

    Raises:
        InputError: The VAE's latents are not the model's.
    """
    latents: list[Tensor] = []
    count = at_once(vae, frames[0].shape[0], frames[0].shape[1]) if frames else 1
    while len(latents) < len(frames):
        some = frames[len(latents) : len(latents) + count]
        made = _encoded(vae, some)
        if made.shape[:3] != (len(some), channels, 1):
            raise InputError(
                f"a VAE that makes latents of shape {tuple(made.shape)} of {len(some)} pictures",
                f"{channels} channels and one frame for one picture, as the model takes",
                "load the VAE that belongs to the model with 'Load VAE'",
            )
        latents += made.split(1)
        on_step(len(latents), len(frames), some[-1])
    return latents


def decode_alone(vae: Any, latents: Tensor, on_step: OnStep) -> Tensor:
    """Frames ``(V, T, H, W, 3)`` in ``[0, 1]`` of latents ``(V, C, T, h, w)``, each decoded as a picture of its own."""
    views, _, times = latents.shape[:3]
    cells = latents.transpose(1, 2).flatten(0, 1)[:, :, None]
    scale = vae.spacial_compression_decode() if _takes_batches(vae) else 1
    count = at_once(vae, scale * cells.shape[-2], scale * cells.shape[-1])
    rows = []
    for start in range(0, len(cells), count):
        rows.append(_decoded(vae, cells[start : start + count].contiguous()))
        on_step(start + len(rows[-1]), len(cells), rows[-1][-1])
    return torch.cat(rows).unflatten(0, (views, times))


def at_once(vae: Any, height: int, width: int) -> int:
    """How many frames of a size go into a call; other VAEs than the host's own get one."""
    if not _takes_batches(vae):
        return 1
    return max(1, min(MOST_FRAMES, MOST_BYTES // (12 * height * width)))


def _takes_batches(vae: Any) -> bool:
    return hasattr(vae, "memory_used_encode") and getattr(vae, "latent_dim", 0) == 3 and hasattr(vae, "crop_input")


def _encoded(vae: Any, frames: Sequence[Tensor]) -> Tensor:
    """``(N, C, 1, h, w)``."""
    if len(frames) > 1:
        vae = copy.copy(vae)
        vae.crop_input = False  # it would crop the axis of frames to nothing; sizes that don't fit are refused before
        latents: Tensor = vae.encode(torch.stack(list(frames))[:, None])
        return latents
    latents = vae.encode(frames[0][None])
    return latents[:, :, None] if latents.ndim == 4 else latents


def _decoded(vae: Any, cells: Tensor) -> Tensor:
    """``(N, H, W, 3)`` of ``(N, C, 1, h, w)``, the first picture of each."""
    pictures = vae.decode(cells)
    first = pictures.reshape(len(cells), -1, *pictures.shape[-3:])[:, 0, ..., :3]
    return first.to("cpu", torch.float32).clamp(0, 1)
