"""Between fine pixels and tokens: the stem going in, the head coming out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .spec import DiTSpec

NO_COPY = -4.0
"""Logit against which the copy gates compete: a small share, so that training starts from a copy."""


class Stem(nn.Module):
    """Pictures to tokens: patches, or a convolution at half the resolution and patches of its features.

    Half resolution means that 2 x 2 pixels go in as channels, and out again in the head: nothing is lost, and a layer
    costs a quarter.
    """

    def __init__(self, spec: DiTSpec) -> None:
        super().__init__()
        self.convolves = spec.stem == "conv"
        if self.convolves:
            self.mix = nn.Conv2d(4 * spec.input_channels, spec.conv_width, 3, padding=1)
            self.patch = nn.Conv2d(spec.conv_width, spec.width, spec.patch // 2, stride=spec.patch // 2)
        else:
            self.patch = nn.Conv2d(spec.input_channels, spec.width, spec.patch, stride=spec.patch)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor | None]:
        """Tokens ``(N, D, rows, columns)`` of pictures ``(N, channels, H, W)``, and features at half size or None."""
        if not self.convolves:
            return self.patch(pictures), None
        halves = F.pixel_unshuffle(pictures, 2).contiguous(memory_format=torch.channels_last)
        features = F.silu(self.mix(halves))
        return self.patch(features), features


class Head(nn.Module):
    """Tokens to what the network draws itself and to how it copies.

    ``drawn`` has the latents' channels. Where the spec has pictures to copy from, gates say how much of each a pixel
    takes, and a warp head at which offset. Everything starts at zero: nothing drawn, equal gates, no offset.
    """

    def __init__(self, spec: DiTSpec) -> None:
        super().__init__()
        self.spec = spec
        self.warps = spec.head == "warp"
        outputs = spec.channels + spec.copies * (3 if self.warps else 1)
        self.convolves = spec.head != "linear"
        self.norm = nn.LayerNorm(spec.width, elementwise_affine=False)
        self.side = spec.patch // 2 if self.convolves else spec.patch
        inner = -(-spec.conv_width // 2) if self.convolves else outputs
        self.patch = nn.Linear(spec.width, inner * self.side**2)
        last: nn.Module = self.patch
        if self.convolves:
            skip = spec.conv_width if spec.stem == "conv" else 0
            self.mix = nn.Conv2d(inner + skip, spec.conv_width, 3, padding=1)
            self.out = last = nn.Conv2d(spec.conv_width, 4 * outputs, 3, padding=1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, tokens: Tensor, size: tuple[int, int], features: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Draws.

        Args:
            tokens: ``(N, S, D)``, normalised and modulated already.
            size: Rows and columns of tokens.
            features: Of the stem, if it has any.

        Returns:
            Drawn ``(N, C, H, W)``, gate logits ``(N, copies, H, W)``, and offsets ``(N, copies, 2, H, W)`` in fine
            pixels, x before y, or of length 0 where the head doesn't warp.
        """
        planes = self.patch(tokens).view(len(tokens), *size, -1).permute(0, 3, 1, 2)
        planes = F.pixel_shuffle(planes, self.side)
        if self.convolves:
            planes = planes if features is None else torch.cat([planes, features.to(planes.dtype)], 1)
            planes = self.out(F.silu(self.mix(planes.contiguous(memory_format=torch.channels_last))))
            planes = F.pixel_shuffle(planes, 2)
        planes = planes.float() if planes.dtype in (torch.bfloat16, torch.float16) else planes
        copies = self.spec.copies
        drawn, gates, offsets = planes.split(
            [self.spec.channels, copies, planes.shape[1] - self.spec.channels - copies], 1)
        return drawn, gates, self.spec.patch * offsets.unflatten(1, (-1, 2)) if self.warps else offsets


def sample_at(pictures: Tensor, offsets: Tensor) -> Tensor:
    """Samples each pixel at an offset, bilinearly, the border repeated.

    Args:
        pictures: ``(N, C, H, W)``.
        offsets: ``(N, 2, H, W)`` in pixels, x before y.
    """
    height, width = pictures.shape[-2:]
    y = torch.arange(height, device=offsets.device, dtype=offsets.dtype)[:, None] + 0.5
    x = torch.arange(width, device=offsets.device, dtype=offsets.dtype)[None, :] + 0.5
    at = torch.stack([2 * (x + offsets[:, 0]) / width - 1, 2 * (y + offsets[:, 1]) / height - 1], -1)
    return F.grid_sample(pictures.to(at.dtype), at, mode="bilinear", padding_mode="border", align_corners=False)


def blend_copies(pictures: Tensor, present: Tensor, gates: Tensor, offsets: Tensor) -> Tensor:
    """The part of a picture that is copied: a softmax over the pictures that are there and over none of them.

    Args:
        pictures: ``(N, copies, C, H, W)``.
        present: ``(N, copies)`` bool.
        gates: ``(N, copies, H, W)`` logits.
        offsets: ``(N, copies, 2, H, W)`` in pixels, or of length 0.

    Returns:
        ``(N, C, H, W)``.
    """
    logits = torch.where(present[:, :, None, None], gates, float("-inf"))
    logits = torch.cat([logits, torch.full_like(logits[:, :1], NO_COPY)], 1)
    share = logits.softmax(1)
    total = torch.zeros_like(pictures[:, 0])
    for k in range(pictures.shape[1]):
        picture = sample_at(pictures[:, k], offsets[:, k]) if offsets.shape[1] else pictures[:, k]
        total = torch.addcmul(total, share[:, k, None].to(total.dtype), picture.to(total.dtype))
    return total
