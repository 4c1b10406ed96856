"""The back end for CPUs without a compiler: the definition's sums over (splat, pixel) pairs instead of whole tiles.

Every splat is paired with the pixels that it reaches, the pairs are sorted by pixel and, within one, by depth; the
transmittance in front of a pair is the exponential of a running sum of ``log(1 - a)`` less the sum where its pixel
starts. All of it is torch, so gradients are autograd's. Where splats are small it is many times as fast as
:mod:`.torch_backend`; a picture of large ones is divided into bands of rows, so that the pairs of one fit into memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.utils.checkpoint import checkpoint

from .inputs import Buffers, SplatView
from .options import RasterOptions, Rendered
from .projection import Footprints, touching
from .torch_backend import render_by

_MOST_PAIRS = 1 << 22
"""Of a band; they take about half a gigabyte while there are gradients."""


def unavailable() -> str | None:
    """The reason why this back end can't be used, or None."""
    return None


def render(views: Sequence[SplatView], options: RasterOptions, buffers: Buffers | None = None) -> Rendered:
    """Renders all views; see :mod:`.torch_backend` for what that means. Returns tensors with the leading B."""
    return render_by(_sums, views, options)


def _sums(
    footprints: Footprints, attributes: torch.Tensor, size: tuple[int, int], options: RasterOptions
) -> torch.Tensor:
    """Band by band of rows."""
    height, width = size
    bands = _bands(footprints, 0, height, width)
    parts = []
    for top, bottom in bands:
        near = touching(footprints, (top, 0, bottom, width))
        arguments = (footprints[near], attributes[near], (top, bottom, width), options)
        if len(bands) > 1 and torch.is_grad_enabled():  # computed again in the backward pass instead of kept in memory
            parts.append(checkpoint(composite_rows, *arguments, use_reentrant=False))
        else:
            parts.append(composite_rows(*arguments))
    return torch.cat(parts).view(height, width, -1)


def composite_rows(
    footprints: Footprints, attributes: torch.Tensor, rows: tuple[int, int, int], options: RasterOptions
) -> torch.Tensor:
    """Composites depth-sorted splats over whole rows of pixels.

    Args:
        footprints: M splats, front to back.
        attributes: ``(M, K)`` what is summed with the weights.
        rows: The first, the one behind the last, and their width in pixels.
        options: The image formation's constants.

    Returns:
        ``(height * width, K + 1)`` of the rows: the K weighted sums, then the final transmittance.
    """
    top, bottom, width = rows
    splat, pixel = _pairs(footprints, rows, options)
    alpha = _alpha(footprints, splat, pixel, rows, options)
    logs = torch.log1p(-alpha.double())
    before = torch.cumsum(logs, 0) - logs
    is_first = torch.ones_like(pixel, dtype=torch.bool)
    is_first[1:] = pixel[1:] != pixel[:-1]
    start = is_first.nonzero()[:, 0][torch.cumsum(is_first, 0) - 1]
    transmittance = torch.exp(before - before[start])
    open_still = transmittance.detach() >= options.min_transmittance
    weights = torch.where(open_still, alpha * transmittance.to(alpha), 0.0)
    pixels = (bottom - top) * width
    summed = alpha.new_zeros(pixels, attributes.shape[1]).index_add(0, pixel, weights[:, None] * attributes[splat])
    final = logs.new_zeros(pixels).index_add(0, pixel, torch.where(open_still, logs, 0.0)).exp().to(alpha)
    return torch.cat([summed, final[:, None]], dim=1)


def _alpha(
    footprints: Footprints,
    splat: torch.Tensor,
    pixel: torch.Tensor,
    rows: tuple[int, int, int],
    options: RasterOptions,
) -> torch.Tensor:
    top, _, width = rows
    u, v = footprints.centers[splat].unbind(-1)
    distance2 = (pixel // width + (top + 0.5) - v) ** 2 + (pixel % width + 0.5 - u) ** 2
    alpha = footprints.opacities[splat] * torch.exp(-distance2 / (2 * footprints.variances[splat]))
    return alpha.clamp(max=options.max_alpha)


@torch.no_grad()
def _pairs(
    footprints: Footprints, rows: tuple[int, int, int], options: RasterOptions
) -> tuple[torch.Tensor, torch.Tensor]:
    """Splat and pixel of every pair with an alpha that counts, by pixel and within one front to back."""
    top, bottom, width = rows
    left, right, above, below = _boxes(footprints, top, bottom, width)
    wide = right - left
    counts = wide * (below - above)
    splat = torch.repeat_interleave(torch.arange(len(counts)), counts)
    within = torch.arange(len(splat)) - (torch.cumsum(counts, 0) - counts)[splat]
    pixel = (above[splat] + within // wide[splat] - top) * width + left[splat] + within % wide[splat]
    counts_there = _alpha(footprints, splat, pixel, rows, options) >= options.min_alpha
    splat, pixel = splat[counts_there], pixel[counts_there]
    order = torch.argsort(pixel, stable=True)
    return splat[order], pixel[order]


def _boxes(footprints: Footprints, top: int, bottom: int, width: int) -> tuple[torch.Tensor, ...]:
    """Pixels that footprints may reach: first and behind the last column, first and behind the last row."""
    u, v = footprints.centers.detach().unbind(-1)
    reach = footprints.reach + 0.01  # more than rounding; alpha itself decides
    bounds = []
    for center, low, high in ((u, 0, width), (v, top, bottom)):
        # clamped before they become whole numbers, which can't hold what lies far outside
        first = (center - reach - 0.5).ceil().clamp(low, high).long()
        bounds += [first, torch.maximum((center + reach + 0.5).floor().clamp(low, high).long(), first)]
    return tuple(bounds)


@torch.no_grad()
def _bands(footprints: Footprints, top: int, bottom: int, width: int) -> list[tuple[int, int]]:
    """Rows from ``top`` to before ``bottom`` in bands of few enough pairs."""
    left, right, above, below = _boxes(footprints, top, bottom, width)
    if bottom - top == 1 or int(((right - left) * (below - above)).sum()) <= _MOST_PAIRS:
        return [(top, bottom)]
    middle = (top + bottom) // 2
    return _bands(footprints, top, middle, width) + _bands(footprints, middle, bottom, width)
