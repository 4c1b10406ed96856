"""HunyuanVideo 1.0 and 1.5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...fourreal_core.errors import InputError
from .batch_layout import GridShape
from .host_model import PER_VIDEO, HostModel, KnownCellLatents, checked


class HunyuanVideo(HostModel):
    """Blocks with text and image apart, then blocks with both in one sequence; each stream keeps its own text."""

    name = "HunyuanVideo 1.0 / 1.5"
    classes = ("comfy.ldm.hunyuan_video.model.HunyuanVideo",)
    per_video = PER_VIDEO | {"txt_byt5"}
    skips_layers = True

    def refusal(self) -> str | None:
        """See HostModel."""
        if len(self.model.patch_size) != 3 or self.model.patch_size[0] != 1:
            return "it makes single images, or puts several frames into one token"
        return None

    def layers(self) -> list[nn.Module]:
        """See HostModel."""
        return [*self.model.double_blocks, *self.model.single_blocks]

    def patch_size(self) -> tuple[int, int]:
        """See HostModel."""
        return self.model.patch_size[1], self.model.patch_size[2]

    def image_tokens(self, output: Any, count: int, options: Mapping[str, Any]) -> Tensor:
        """The image of (image, text), or the image's part of one sequence."""
        if isinstance(output, tuple):
            return checked(output[0], count, self.name)
        return checked(output[:, _image_part(output, count, options)], count, self.name)

    def with_image_tokens(self, output: Any, tokens: Tensor, options: Mapping[str, Any]) -> Any:
        """See HostModel."""
        if isinstance(output, tuple):
            return tokens, output[1]
        part = _image_part(output, tokens.shape[1], options)
        return torch.cat([output[:, : part.start], tokens, output[:, part.stop :]], 1)

    def known_cell_conditioning(self, known: KnownCellLatents, channels: int) -> dict[str, Any]:
        """Models with further input channels take latents and mask; without them the noise mask is all."""
        if self.model.in_channels == channels:
            return {}
        return {"concat_latent_image": known.with_unknown(0.0), "concat_mask": known.mask}

    def column_inputs(self, inputs: Mapping[str, Any], shape: GridShape) -> dict[str, Any]:
        """See HostModel."""
        if inputs.get("attention_mask") is not None and shape.rows > 1:
            raise InputError(
                "a prompt with an attention mask, with which the host runs one video at a time",
                "a prompt without one",
                "encode the prompt with 'CLIP Text Encode'",
            )
        return super().column_inputs(inputs, shape)


def _image_part(sequence: Tensor, count: int, options: Mapping[str, Any]) -> slice:
    """Newer hosts put the text first and say so; older ones put it last."""
    first = options["img_slice"][0] if "img_slice" in options else 0
    return slice(first, first + count)
