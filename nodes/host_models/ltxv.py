"""LTXV, and the video side of LTX-2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from .host_model import HostModel, KnownCellLatents, checked


class Ltxv(HostModel):
    """One token a latent pixel; the blocks write into their input."""

    name = "LTXV"
    classes = ("comfy.ldm.lightricks.model.LTXVModel",)
    skips_layers = True

    def layers(self) -> list[nn.Module]:
        """See HostModel."""
        return list(self.model.transformer_blocks)

    def patch_size(self) -> tuple[int, int]:
        """See HostModel."""
        return 1, 1

    def known_cell_conditioning(self, known: KnownCellLatents, channels: int) -> dict[str, Any]:
        """Nothing: the noise mask itself gives every token its own level."""
        return {}


class Ltx2(Ltxv):
    """Blocks over video and audio tokens; a grid has no sound."""

    name = "LTX-2"
    classes = ("comfy.ldm.lightricks.av_model.LTXAVModel",)

    def image_tokens(self, output: Any, count: int, options: Mapping[str, Any]) -> Tensor:
        """The first of video and audio."""
        return checked(output[0], count, self.name)

    def with_image_tokens(self, output: Any, tokens: Tensor, options: Mapping[str, Any]) -> Any:
        """See HostModel."""
        return tokens, output[1]
