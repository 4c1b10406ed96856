"""Mochi."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from .host_model import HostModel, checked


class Mochi(HostModel):
    """Blocks return (image, text); each stream keeps its own text."""

    name = "Mochi"
    classes = ("comfy.ldm.genmo.joint_model.asymm_models_joint.AsymmDiTJoint",)
    skips_layers = True

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
