"""The definition of the rendering, in plain torch: any device, any floating type, gradients by autograd.

A splat with projected centre ``m``, variance ``s2`` and opacity ``o`` has at the pixel centre ``p`` the alpha
``a = min(o exp(-|p - m|^2 / (2 s2)), max_alpha)``, and none where that is less than ``min_alpha``. Front to back by
depth (equal depths: by index) with ``T`` starting at 1, a splat has the weight ``w = a T`` and leaves ``T (1 - a)``,
for as long as ``T >= min_transmittance``. Then ``image = sum(w c) + T background``, ``alpha = 1 - T`` and
``depth = sum(w z) / alpha``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.utils.checkpoint import checkpoint

from .inputs import Buffers, SplatView
from .options import RasterOptions, Rendered
from .projection import Footprints, project, touching

Sums = Callable[[Footprints, torch.Tensor, "tuple[int, int]", RasterOptions], torch.Tensor]
"""See render_by."""
_TILE = 32
_CHECKPOINT_ABOVE = 1 << 20  # (splat, pixel) pairs of a camera above which tiles are recomputed in the backward pass


def unavailable() -> str | None:
    """The reason why this back end can't be used, or None."""
    return None


def render(views: Sequence[SplatView], options: RasterOptions, buffers: Buffers | None = None) -> Rendered:
    """Renders all views; see the module's docstring. Returns tensors with the leading B."""
    return render_by(_sums, views, options)


def render_by(sums: Sums, views: Sequence[SplatView], options: RasterOptions) -> Rendered:
    """Renders all views, with what is summed over a picture's splats worked out by a function.

    Args:
        sums: Of M footprints, front to back, and their attributes ``(M, K)``: the weighted sums and the final
            transmittance ``(H, W, K + 1)`` of a picture of that size.
        views: B cameras and their splats.
        options: The image formation's constants.
    """
    frames = [_render_view(sums, view, options) for view in views]
    return Rendered(*(torch.stack(parts) for parts in zip(*frames, strict=True)))


def _render_view(
    sums: Sums, view: SplatView, options: RasterOptions
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    view.require_finite()
    footprints = project(view, options)
    footprints = footprints[torch.argsort(footprints.depths.detach(), stable=True)]
    # depth is composited like one more colour
    attributes = torch.cat([view.colors[footprints.index], footprints.depths[:, None]], dim=1)
    composited = sums(footprints, attributes, view.size, options)
    summed, transmittance = composited.split([attributes.shape[1], 1], dim=-1)

    # an empty sum ties the outputs to the inputs, so that a view of nothing has gradients, all zero
    nothing = sum(tensor[:0].sum() for tensor in (view.means, view.scales, view.opacities, view.colors))
    image = summed[..., :-1] + transmittance * view.background + nothing
    alpha = 1 - transmittance[..., 0] + nothing
    covered = alpha > 0
    depth = torch.where(covered, summed[..., -1] / torch.where(covered, alpha, 1.0), 0.0)
    return image, alpha, depth


def _sums(
    footprints: Footprints, attributes: torch.Tensor, size: tuple[int, int], options: RasterOptions
) -> torch.Tensor:
    """Tile by tile."""
    height, width = size
    pairs = len(footprints.index) * _TILE * _TILE
    composite = _checkpointed if pairs > _CHECKPOINT_ABOVE and torch.is_grad_enabled() else composite_tile
    rows = []
    for top in range(0, height, _TILE):
        bottom = min(top + _TILE, height)
        tiles = []
        for left in range(0, width, _TILE):
            box = (top, left, bottom, min(left + _TILE, width))
            near = touching(footprints, box)
            tiles.append(composite(footprints[near], attributes[near], box, options))
        rows.append(torch.cat(tiles, dim=1))
    return torch.cat(rows)


def composite_tile(
    footprints: Footprints, attributes: torch.Tensor, box: tuple[int, int, int, int], options: RasterOptions
) -> torch.Tensor:
    """Composites depth-sorted splats over the pixels of a box.

    Args:
        footprints: M splats, front to back.
        attributes: ``(M, K)`` what is summed with the weights.
        box: top, left, bottom, right in pixels.
        options: The image formation's constants.

    Returns:
        ``(height, width, K + 1)`` of the box: the K weighted sums, then the final transmittance.
    """
    top, left, bottom, right = box
    dtype, device = attributes.dtype, attributes.device
    py = torch.arange(top, bottom, dtype=dtype, device=device) + 0.5
    px = torch.arange(left, right, dtype=dtype, device=device) + 0.5
    u, v = footprints.centers.unbind(-1)
    distance2 = (py[:, None] - v[:, None, None]) ** 2 + (px - u[:, None, None]) ** 2  # (M, h, w)
    variances, opacities = footprints.variances[:, None, None], footprints.opacities[:, None, None]
    alpha = (opacities * torch.exp(-distance2 / (2 * variances))).clamp(max=options.max_alpha)
    alpha = torch.where(alpha >= options.min_alpha, alpha, 0.0)

    open_still = _before(torch.cumprod(1 - alpha.detach(), dim=0)) >= options.min_transmittance
    alpha = torch.where(open_still, alpha, 0.0)
    after = torch.cumprod(1 - alpha, dim=0)
    weights = alpha * _before(after)
    summed = torch.einsum("mhw,mk->hwk", weights, attributes)
    final = after[-1] if len(after) else torch.ones_like(distance2.sum(0))
    return torch.cat([summed, final[..., None]], dim=-1)


def _before(after: torch.Tensor) -> torch.Tensor:
    """Transmittance in front of each splat, from that behind each splat; ``(M, h, w)`` both."""
    return torch.cat([torch.ones_like(after[:1]), after[:-1]])


def _checkpointed(
    footprints: Footprints, attributes: torch.Tensor, box: tuple[int, int, int, int], options: RasterOptions
) -> torch.Tensor:
    """:func:`composite_tile`, computed again in the backward pass instead of kept in memory."""
    composited: torch.Tensor = checkpoint(composite_tile, footprints, attributes, box, options, use_reentrant=False)
    return composited
