"""The 4Real models of this extension, which run a grid's streams themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from ...fourreal_core.model.spec import PARALLEL
from ...fourreal_core.model.sync import Sync
from .grid_net import PROPOSALS, GridNet
from .host_model import HostModel, KnownCellLatents


class FourReal(HostModel):
    """Views are no batch of videos to these: one call sees the whole grid, and the mask tells it what is known."""

    name = "4Real"
    classes = (f"{GridNet.__module__}.{GridNet.__qualname__}",)
    runs_grids = True

    @property
    def needs_text(self) -> bool:
        """See HostModel."""
        return self.model.grid_model.spec.dit.text_width > 0

    @property
    def proposals(self) -> tuple[str, ...]:
        """See HostModel."""
        return self.model.grid_model.spec.dit.proposals

    def layers(self) -> list[nn.Module]:
        """See HostModel."""
        return list(self.model.dit.blocks)

    def patch_size(self) -> tuple[int, int]:
        """See HostModel."""
        dit = self.model.grid_model.spec.dit
        return dit.patch // dit.subpixel, dit.patch // dit.subpixel

    def own_sync(self) -> Sync | None:
        """The layers of the checkpoint, if it runs two streams."""
        model = self.model.grid_model
        return model.sync if model.spec.variant in PARALLEL else None

    def base_weights(self) -> Iterable[nn.Parameter]:
        """Without the sync layers."""
        return self.model.dit.parameters()

    def known_cell_conditioning(self, known: KnownCellLatents, channels: int) -> dict[str, Any]:
        """Refiners get their input proposals; the noise mask holds the known cells."""
        return {} if known.proposals is None else {PROPOSALS: known.proposals}
