"""Cosmos Predict2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from .host_model import HostModel, checked


class CosmosPredict2(HostModel):
    """Tokens keep their places, ``(N, T, h, w, D)``; the noise mask gives every frame its own level."""

    name = "Cosmos Predict2"
    classes = ("comfy.ldm.cosmos.predict2.MiniTrainDIT",)

    def refusal(self) -> str | None:
        """See HostModel."""
        return None if self.model.patch_temporal == 1 else "it puts several frames into one token"

    def layers(self) -> list[nn.Module]:
        """See HostModel."""
        return list(self.model.blocks)

    def patch_size(self) -> tuple[int, int]:
        """See HostModel."""
        return self.model.patch_spatial, self.model.patch_spatial

    def image_tokens(self, output: Any, count: int, options: Mapping[str, Any]) -> Tensor:
        """See HostModel."""
        return checked(output.flatten(1, 3), count, self.name)

    def with_image_tokens(self, output: Any, tokens: Tensor, options: Mapping[str, Any]) -> Any:
        """See HostModel."""
        return tokens.reshape(output.shape)
