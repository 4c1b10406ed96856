"""Wan 2.1 and 2.2: text and image to video, inpainting, VACE, camera."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from .host_model import PER_CELL, HostModel, KnownCellLatents

MASK_CHANNELS = 4
"""What image-to-video models take beside the known latents."""
VACE_MASK_CHANNELS = 64
"""An 8 x 8 patch of mask pixels as channels."""


class Wan(HostModel):
    """Blocks over image tokens only; text, and a clip's embedding, come in by cross-attention."""

    name = "Wan 2.1 / 2.2"
    classes = ("comfy.ldm.wan.model.WanModel", "comfy.ldm.wan.model.CameraWanModel")
    per_cell = PER_CELL | {"camera_conditions": 2}
    skips_layers = True

    def layers(self) -> list[nn.Module]:
        """See HostModel."""
        return list(self.model.blocks)

    def patch_size(self) -> tuple[int, int]:
        """See HostModel."""
        return self.model.patch_size[1], self.model.patch_size[2]

    def known_cell_conditioning(self, known: KnownCellLatents, channels: int) -> dict[str, Any]:
        """Image-to-video and inpainting models take latents and mask as channels; unknown cells are grey, as in the
        videos that they were trained on."""
        with_mask, without = 2 * channels + MASK_CHANNELS, 2 * channels
        taken = {with_mask, without} if hasattr(self.model, "control_adapter") else {with_mask}
        if self.model.patch_embedding.weight.shape[1] not in taken:
            return {}
        return {"concat_latent_image": known.with_unknown(known.grey), "concat_mask": known.mask}


class WanVace(Wan):
    """VACE: what is kept and what is to be made, side by side, as hints that the model adds after its blocks."""

    name = "Wan VACE"
    classes = ("comfy.ldm.wan.model.VaceWanModel",)
    per_cell = PER_CELL | {"vace_context": 3}

    def known_cell_conditioning(self, known: KnownCellLatents, channels: int) -> dict[str, Any]:
        """Per cell, where the host's own node packs four pixel frames into a latent frame."""
        kept, changed = known.with_unknown(known.grey), known.grey.expand_as(known.latents)
        mask = known.mask.expand(-1, VACE_MASK_CHANNELS, -1, -1, -1)
        return {"vace_frames": [torch.cat([kept, changed], 1)], "vace_mask": [mask.clone()], "vace_strength": [1.0]}
