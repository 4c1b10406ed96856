"""Latents of a video VAE of ``diffusers``, each frame encoded alone, so that a latent frame is a grid cell."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InputError


class FrameVAE:
    """A codec around ``AutoencoderKLWan`` or ``AutoencoderKLLTXVideo``.

    Args:
        path: A folder with ``config.json`` and safetensors weights, or a name on the Hub.
        device: Where it runs; latents and frames come and go on the CPU.
        at_once: Frames a call.

    Raises:
        InputError: No such VAE.

    Attributes:
        channels: Channels of a latent frame.
        factor: Pixels along a side of a latent pixel.
    """

    def __init__(self, path: str, device: torch.device | None = None, at_once: int = 1) -> None:
        self.device, self.at_once = device or torch.device("cpu"), at_once
        try:
            import diffusers

            vae = diffusers.AutoModel.from_pretrained(path, use_safetensors=True)
            self.vae = vae.requires_grad_(False).eval().to(self.device)
            config = self.vae.config
        except (ImportError, OSError, RuntimeError, ValueError) as err:
            raise InputError(
                f"the VAE {path} can't be read ({err})",
                "a video VAE that diffusers saved",
                "check the path, and that diffusers is installed",
            ) from err
        names = ("latents_mean", "latents_std")  # settings of Wan's, buffers of LTX-Video's
        mean, std = (config[name] if name in config else getattr(self.vae, name, None) for name in names)
        self.channels = int(getattr(config, "z_dim", None) or config.latent_channels)
        self.factor = int(getattr(config, "scale_factor_spatial", None) or self.vae.spatial_compression_ratio)
        like = torch.zeros(self.channels)
        self.mean = (like if mean is None else torch.as_tensor(mean).float().cpu())[:, None, None]
        self.std = (like + 1 if std is None else torch.as_tensor(std).float().cpu())[:, None, None]

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """Latents ``(..., C, h, w)`` of frames ``(..., H, W, 3)`` in ``[0, 1]``."""
        flat = (frames * 2 - 1).movedim(-1, -3).flatten(0, -4)
        parts = [
            self.vae.encode(frames_now[:, :, None].to(self.device)).latent_dist.mode()[:, :, 0].cpu()
            for frames_now in flat.split(self.at_once)
        ]
        latents: Tensor = ((torch.cat(parts) - self.mean) / self.std).unflatten(0, frames.shape[:-3])
        return latents

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Frames ``(..., H, W, 3)`` in ``[0, 1]`` of latents ``(..., C, h, w)``."""
        flat = (latents * self.std + self.mean).flatten(0, -4)
        parts = [
            self.vae.decode(latents_now[:, :, None].to(self.device)).sample[:, :, 0].cpu()
            for latents_now in flat.split(self.at_once)
        ]
        frames: Tensor = torch.cat(parts).movedim(-3, -1).unflatten(0, latents.shape[:-3])
        return ((frames + 1) / 2).clamp(0, 1)
