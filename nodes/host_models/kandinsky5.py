"""Kandinsky 5."""

from __future__ import annotations

from typing import Any

from torch import nn

from .host_model import HostModel, KnownCellLatents


class Kandinsky5(HostModel):
    """Blocks over image tokens only, after text blocks that every stream runs for itself."""

    name = "Kandinsky 5"
    classes = ("comfy.ldm.kandinsky5.model.Kandinsky5",)
    skips_layers = True

    def layers(self) -> list[nn.Module]:
        """See HostModel."""
        return list(self.model.visual_transformer_blocks)

    def patch_size(self) -> tuple[int, int]:
        """See HostModel."""
        return self.model.patch_size[1], self.model.patch_size[2]

    def known_cell_conditioning(self, known: KnownCellLatents, channels: int) -> dict[str, Any]:
        """The mask of one channel, which the model takes beside its video; the noise mask alone has too many."""
        return {"concat_mask": known.mask}
