"""The nearest known cell of every cell's row and column: ``I[v, 0]`` and ``I[0, t]`` in the usual start."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class NearestKnown(NamedTuple):
    """Where the nearest known cells lie.

    Attributes:
        time: ``(B, V, T)`` time of the nearest known cell in the same row; 0 where there is none.
        in_row: ``(B, V, T)`` bool, whether the row has a known cell.
        view: ``(B, V, T)`` view of the nearest known cell in the same column; 0 where there is none.
        in_column: ``(B, V, T)`` bool, whether the column has a known cell.
    """

    time: Tensor
    in_row: Tensor
    view: Tensor
    in_column: Tensor


def nearest_known(
    known: Tensor, view_positions: Tensor | None = None, time_positions: Tensor | None = None
) -> NearestKnown:
    """Finds the nearest known cells; of two at one distance the earlier.

    Args:
        known: ``(B, V, T)`` bool.
        view_positions: ``(V,)`` positions along the view axis; 0 to V - 1 if None.
        time_positions: ``(T,)`` positions along the time axis; 0 to T - 1 if None.
    """
    time, in_row = _nearest_along_last(known, time_positions)
    view, in_column = _nearest_along_last(known.transpose(1, 2), view_positions)
    return NearestKnown(time, in_row, view.transpose(1, 2), in_column.transpose(1, 2))


def gather_sources(latents: Tensor, nearest: NearestKnown) -> tuple[Tensor, Tensor]:
    """The nearest known cells' latents.

    Args:
        latents: ``(B, V, T, C, h, w)``, clean where cells are known.
        nearest: From nearest_known.

    Returns:
        Sources ``(B, V, T, 2, C, h, w)``, of the row and of the column, zero where there is none; and flags
        ``(B, V, T, 2)`` bool that say where there is one.
    """
    b, v, t = latents.shape[:3]
    device = latents.device
    batch = torch.arange(b, device=device)[:, None, None]
    row = latents[batch, torch.arange(v, device=device)[None, :, None], nearest.time]
    column = latents[batch, nearest.view, torch.arange(t, device=device)[None, None, :]]
    flags = torch.stack([nearest.in_row, nearest.in_column], 3)
    sources = torch.stack([row, column], 3)
    return torch.where(flags[..., None, None, None], sources, 0), flags


def _nearest_along_last(known: Tensor, positions: Tensor | None) -> tuple[Tensor, Tensor]:
    count = known.shape[-1]
    at = torch.arange(count, device=known.device) if positions is None else positions.to(known.device)
    distance = (at[:, None] - at[None, :]).abs().float() + 1e-4 * torch.arange(count, device=known.device)
    distance = torch.where(known[..., None, :], distance, float("inf"))
    return distance.argmin(-1), known.any(-1, keepdim=True).expand(known.shape)
