"""Frames to latents and back, each frame alone, so that a latent frame is a grid cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError


class Codec(Protocol):
    """What turns frames into latents; a VAE is one, SpaceToDepth another."""

    @property
    def channels(self) -> int:
        """Channels C of a latent frame."""

    @property
    def factor(self) -> int:
        """Pixels along a side of a latent pixel."""

    def encode(self, frames: Tensor) -> Tensor:
        """Latents ``(..., C, h, w)`` of frames ``(..., H, W, 3)`` in ``[0, 1]``."""

    def decode(self, latents: Tensor) -> Tensor:
        """Frames ``(..., H, W, 3)`` in ``[0, 1]`` of latents ``(..., C, h, w)``."""


@dataclass(frozen=True)
class SpaceToDepth:
    """Pixels moved into channels, and their values to ``[-1, 1]``: no network, and 8-bit frames come back exactly.

    Attributes:
        factor: Pixels along a side of a latent pixel; channels are ordered colour, y, x.
    """

    factor: int = 1

    def __post_init__(self) -> None:
        if self.factor < 1:
            raise InputError(f"a space-to-depth factor of {self.factor}", "at least 1", "leave it at its default")

    @property
    def channels(self) -> int:
        """Three for each pixel of the block."""
        return 3 * self.factor**2

    def encode(self, frames: Tensor) -> Tensor:
        """Latents ``(..., C, h, w)`` of frames ``(..., H, W, 3)`` in ``[0, 1]``.

        Raises:
            InputError: Frames that are not RGB or whose sides the factor doesn't divide.
        """
        if frames.ndim < 3 or frames.shape[-1] != 3:
            raise InputError(
                f"frames of shape {tuple(frames.shape)}", "(..., height, width, 3)", "convert them to RGB first"
            )
        height, width = frames.shape[-3:-1]
        if height % self.factor or width % self.factor:
            raise InputError(
                f"frames of {width} x {height} pixels", f"sides that {self.factor} divides", "crop or resize them"
            )
        planes = frames.movedim(-1, -3).mul(2).sub_(1)
        if self.factor == 1:
            return planes.contiguous()
        planes = planes.reshape(-1, 3, height, width)
        return F.pixel_unshuffle(planes, self.factor).reshape(
            *frames.shape[:-3], self.channels, height // self.factor, width // self.factor
        )

    def decode(self, latents: Tensor) -> Tensor:
        """Frames ``(..., H, W, 3)``, clamped to ``[0, 1]``, of latents ``(..., C, h, w)``.

        Raises:
            InputError: Latents with another number of channels.
        """
        if latents.ndim < 3 or latents.shape[-3] != self.channels:
            raise InputError(
                f"latents of shape {tuple(latents.shape)}",
                f"(..., {self.channels}, height, width)",
                "decode them with the codec that they were made for",
            )
        lead, (height, width) = latents.shape[:-3], latents.shape[-2:]
        planes = F.pixel_shuffle(latents.reshape(-1, self.channels, height, width), self.factor)
        frames = planes.reshape(*lead, 3, height * self.factor, width * self.factor).movedim(-3, -1)
        return ((frames + 1) / 2).clamp(0, 1)
