"""Between fine pixels and tokens: the stem going in, the head coming out."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .residual import Residual, channels_last, zero_parameters
from .spec import DiTSpec

NO_COPY = -4.0
"""Logit against which the copy gates compete: a small share, so that training starts from a copy."""


class Features(NamedTuple):
    """What a stem hands to the head, over the tokens' heads.

    Attributes:
        half: ``(N, conv_width, H / 2, W / 2)``.
        quarter: ``(N, 2 * conv_width, H / 4, W / 4)``, or None.
    """

    half: Tensor
    quarter: Tensor | None = None


def _residuals(width: int, depth: int) -> nn.Sequential:
    return nn.Sequential(*(Residual(width) for _ in range(depth)))


class Stem(nn.Module):
    """Pictures to tokens: patches, or a convolution at half the resolution and patches of its features.

    Half resolution means that 2 x 2 pixels go in as channels, and out again in the head: nothing is lost, and a layer
    costs a quarter. A deep stem (``conv_depth``) has residual blocks there and at a quarter of the resolution, too.
    """

    def __init__(self, spec: DiTSpec) -> None:
        super().__init__()
        self.convolves, self.deep = spec.stem == "conv", spec.conv_depth > 0
        if not self.convolves:
            self.patch = nn.Conv2d(spec.input_channels, spec.width, spec.patch, stride=spec.patch)
            return
        width, side = spec.conv_width, spec.patch // 2
        self.mix = nn.Conv2d(4 * spec.input_channels, width, 3, padding=1)
        if self.deep:
            self.at_half = _residuals(width, spec.conv_depth)
            self.down = nn.Conv2d(width, 2 * width, 2, stride=2)
            self.at_quarter = _residuals(2 * width, spec.conv_depth)
            width, side = 2 * width, side // 2
        self.patch = nn.Conv2d(width, spec.width, side, stride=side)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Features | None]:
        """Tokens ``(N, D, rows, columns)`` of pictures ``(N, channels, H, W)``, and features for the head or None."""
        if not self.convolves:
            return self.patch(pictures), None
        half = F.silu(self.mix(channels_last(F.pixel_unshuffle(pictures, 2))))
        if not self.deep:
            return self.patch(half), Features(half)
        half = self.at_half(half)
        quarter = self.at_quarter(self.down(half))
        return self.patch(F.silu(quarter)), Features(half, quarter)


class Head(nn.Module):
    """Tokens to the pixels that the network predicts itself, and to how it copies others.

    ``drawn`` has the latents' channels. Where the spec has pictures to copy from, gates say how much of each a pixel
    takes, and a warp head at which offset. Everything starts at zero: nothing drawn, equal gates (but for the spec's
    ``lead``), no offset.
    """

    def __init__(self, spec: DiTSpec) -> None:
        super().__init__()
        self.spec = spec
        self.warps = spec.head == "warp"
        self.convolves, self.deep = spec.head != "linear", spec.head != "linear" and spec.conv_depth > 0
        outputs = spec.channels + spec.copies * (3 if self.warps else 1)
        self.norm = nn.LayerNorm(spec.width, elementwise_affine=False)
        self.side = spec.patch // (4 if self.deep else 2 if self.convolves else 1)
        width = spec.conv_width
        inner = width if self.deep else -(-width // 2) if self.convolves else outputs
        self.patch = nn.Linear(spec.width, inner * self.side**2)
        last: nn.Module = self.patch
        if self.convolves:
            skip = width if spec.stem == "conv" else 0
            if self.deep:
                self.join = nn.Conv2d(inner + 2 * skip, 2 * width, 3, padding=1)
                self.at_quarter = _residuals(2 * width, spec.conv_depth)
                self.up = nn.Conv2d(2 * width, 4 * width, 1)
                inner = width
            self.mix = nn.Conv2d(inner + skip, width, 3, padding=1)
            self.at_half = _residuals(width, spec.conv_depth)
            self.out = last = nn.Conv2d(width, 4 * outputs, 3, padding=1)
        zero_parameters(last)

    def forward(
        self, tokens: Tensor, size: tuple[int, int], features: Features | None
    ) -> tuple[Tensor, Tensor, Tensor]:
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
        if self.deep:
            planes = self.at_quarter(self.join(_beside(planes, None if features is None else features.quarter)))
            planes = F.pixel_shuffle(self.up(F.silu(planes)), 2)
        if self.convolves:
            planes = self.mix(_beside(planes, None if features is None else features.half))
            planes = F.pixel_shuffle(self.out(F.silu(self.at_half(planes))), 2)
        planes = planes.float() if planes.dtype in (torch.bfloat16, torch.float16) else planes
        copies, sources = self.spec.copies, 2 * self.spec.sources
        drawn, gates, offsets = planes.split(
            [self.spec.channels, copies, planes.shape[1] - self.spec.channels - copies], 1
        )
        if self.spec.lead and copies > sources:
            ahead = gates.new_zeros(copies, 1, 1)
            ahead[sources] = self.spec.lead
            gates = gates + ahead
        return drawn, gates, self.spec.patch * offsets.unflatten(1, (-1, 2)) if self.warps else offsets


def _beside(planes: Tensor, features: Tensor | None) -> Tensor:
    """Planes with the stem's features behind them, channels last in memory, as convolutions are fastest."""
    return channels_last(planes if features is None else torch.cat([planes, features.to(planes.dtype)], 1))


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
