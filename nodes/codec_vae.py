"""The 4Real models' exact codec behind the interface of a VAE: pixels moved into channels, no network, no loss."""

from __future__ import annotations

import torch
from torch import Tensor

from ..fourreal_core.model.codec import SpaceToDepth


class CodecVae:
    """The part of a VAE's interface that the host's and this extension's nodes use.

    A batch of pictures is the frames of one video, as for the host's video VAEs.

    Args:
        codec: The model's codec.
    """

    def __init__(self, codec: SpaceToDepth) -> None:
        self.codec = codec
        self.latent_channels = codec.channels
        self.downscale_ratio = self.upscale_ratio = codec.factor

    def encode(self, pixels: Tensor) -> Tensor:
        """Latents ``(1, C, F, h, w)`` of pictures ``(F, H, W, 3)``, or ``(N, C, F, h, w)`` of ``(N, F, H, W, 3)``.

        What is over at the sides is cropped away evenly, as the host's VAEs do it.
        """
        pixels = pixels[..., :3]
        for axis in (-3, -2):
            size = pixels.shape[axis] // self.codec.factor * self.codec.factor
            pixels = pixels.narrow(axis, (pixels.shape[axis] - size) // 2, size)
        videos = pixels if pixels.ndim == 5 else pixels[None]
        return self.codec.encode(videos.to("cpu", torch.float32)).transpose(1, 2).contiguous()

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures ``(N, F, H, W, 3)`` of ``(N, C, F, h, w)``, or ``(N, H, W, 3)`` of ``(N, C, h, w)``."""
        latents = latents.to("cpu", torch.float32)
        return self.codec.decode(latents.transpose(1, 2) if latents.ndim == 5 else latents)

    def encode_tiled(self, pixels: Tensor, **tiles: object) -> Tensor:
        """The same as encode: there is nothing to save."""
        return self.encode(pixels)

    def decode_tiled(self, latents: Tensor, **tiles: object) -> Tensor:
        """The same as decode."""
        return self.decode(latents)

    def spacial_compression_encode(self) -> int:
        """Pixels along a side of a latent pixel; the name is the host's."""
        return self.codec.factor

    def spacial_compression_decode(self) -> int:
        """The same."""
        return self.codec.factor

    def temporal_compression_decode(self) -> None:
        """Frames stay apart."""
        return None

    def throw_exception_if_invalid(self) -> None:
        """Does nothing: it is never invalid."""
