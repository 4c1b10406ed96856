"""CogVideoX 1.0; 1.5 puts two frames into a token, so its tokens are not the grid's cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from .host_model import HostModel, KnownCellLatents, checked


class CogVideoX(HostModel):
    """Blocks return (image, text); each stream keeps its own text."""

    name = "CogVideoX"
    classes = ("comfy.ldm.cogvideo.model.CogVideoXTransformer3DModel",)

    def refusal(self) -> str | None:
        """See HostModel."""
        return None if self.model.patch_size_t is None else "version 1.5 puts two frames into one token"

    def layers(self) -> list[nn.Module]:
        """See HostModel."""
        return list(self.model.blocks)

    def patch_size(self) -> tuple[int, int]:
        """See HostModel."""
        return self.model.patch_size, self.model.patch_size

    def image_tokens(self, output: Any, count: int, options: Mapping[str, Any]) -> Tensor:
        """See HostModel."""
        return checked(output[0], count, self.name)

    def with_image_tokens(self, output: Any, tokens: Tensor, options: Mapping[str, Any]) -> Any:
        """See HostModel."""
        return tokens, output[1]

    def known_cell_conditioning(self, known: KnownCellLatents, channels: int) -> dict[str, Any]:
        """Image-to-video models take the known latents as channels, zero elsewhere."""
        return {"concat_latent_image": known.with_unknown(0.0)} if self.model.in_channels != channels else {}
