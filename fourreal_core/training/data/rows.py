"""Pseudo-4D without a folder of videos: the rows of true grids are fixed-view videos too."""

from __future__ import annotations

import torch
from torch import Tensor

from ...synthetic.scene import to_float
from .pseudo4d import WarpOptions, pseudo_grid
from .sources import Captioned, GridSource, Skipped, take


class PseudoFromGrids:
    """Pseudo-4D grids from random rows of true ones.

    Args:
        grids: Where the rows come from.
        views: V.
        warp: Strengths.
    """

    def __init__(self, grids: GridSource, views: int, warp: WarpOptions | None = None) -> None:
        self.grids, self.views, self.warp = grids, views, warp

    @property
    def skipped(self) -> Skipped:
        """What the grids left out."""
        return self.grids.skipped

    def draw(self, position: int, generator: torch.Generator) -> Tensor:
        """See GridSource."""
        return self._of(self.grids.draw(position, generator), generator)

    def take(self, position: int, generator: torch.Generator) -> Captioned:
        """See CaptionedSource."""
        grid, caption = take(self.grids, position, generator)
        return Captioned(self._of(grid, generator), caption)

    def _of(self, grid: Tensor, generator: torch.Generator) -> Tensor:
        row = to_float(grid[int(torch.randint(len(grid), (), generator=generator))])
        return (pseudo_grid(row, self.views, generator, self.warp) * 255).round().to(torch.uint8)
