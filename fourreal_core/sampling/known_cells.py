"""Known cells are held: they enter clean, at noise level 0, and after every step they are exactly what was given."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError


@dataclass(frozen=True)
class KnownCells:
    """The cells of some grids that were given.

    Attributes:
        mask: ``(B, V, T)`` bool.
        latents: ``(B, V, T, C, h, w)`` clean where the mask is true; the rest doesn't count.
    """

    mask: Tensor
    latents: Tensor

    def __post_init__(self) -> None:
        cells = tuple(self.latents.shape[:3])
        if self.latents.ndim != 6 or self.mask.shape != cells or self.mask.dtype != torch.bool:
            raise InputError(
                f"a known-cells mask of shape {tuple(self.mask.shape)} and type {self.mask.dtype} for "
                f"latents of shape {tuple(self.latents.shape)}",
                "(B, V, T) bool for (B, V, T, C, h, w)",
                "build both from the same grid",
            )
        if not bool(torch.isfinite(self.latents[self.mask]).all()):
            raise InputError(
                "known cells with NaN or infinite values",
                "finite latents",
                "find the step before this one that divides by zero",
            )

    def hold(self, latents: Tensor) -> Tensor:
        """Latents with the known cells exactly as given."""
        return torch.where(self.mask[..., None, None, None], self.latents.to(latents), latents)

    def levels(self, level: float | Tensor) -> Tensor:
        """``(B, V, T)`` noise levels of the cells: 0 where known, ``level`` elsewhere."""
        return torch.where(self.mask, 0.0, torch.as_tensor(level, dtype=torch.float32, device=self.mask.device))


def check_completable(mask: Tensor) -> None:
    """Refuses grids in which there is nothing to complete, or nothing to complete them from.

    Args:
        mask: ``(B, V, T)`` bool, the known cells.

    Raises:
        InputError: Another rank, one view or one time, all cells known, or none in some grid.
    """
    if mask.ndim != 3 or mask.dtype != torch.bool:
        raise InputError(
            f"a known-cells mask of shape {tuple(mask.shape)} and type {mask.dtype}",
            "(B, V, T) bool",
            "give one entry a cell",
        )
    views, times = mask.shape[1:]
    for count, name, clip in ((views, "view", "freeze-time"), (times, "time", "fixed-view")):
        if count < 2:
            raise InputError(
                f"a grid of {count} {name}{'s' * (count != 1)}",
                "at least 2",
                f"give a {clip} clip of two or more frames",
            )
    known = mask.flatten(1)
    if bool(known.all(1).any()):
        raise InputError(
            "a grid in which every cell is known",
            "at least one cell to complete",
            "ask for a larger grid, or leave this step out",
        )
    if not bool(known.any(1).all()):
        raise InputError(
            "a grid in which no cell is known",
            "a freeze-time clip and a fixed-view clip",
            "connect the clips that the grid starts from",
        )
