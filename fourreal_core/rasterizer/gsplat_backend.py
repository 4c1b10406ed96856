"""The fast back end for CUDA: gsplat's tile kernels on the footprints of :mod:`.projection`.

gsplat's own projection stretches a sphere off the optical axis (the affine approximation of the perspective); the
footprint here is isotropic by definition, so the projection stays in torch and gsplat gets 2D centres and conics. Two
constants are compiled into gsplat's kernels: alpha is clipped at 0.999 (here 0.99), and the splat that would take a
pixel's transmittance to 1e-4 or less is dropped (here it is the last one drawn). Either changes a pixel by at most 1 %.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Sequence

import torch

from .inputs import Buffers, SplatView
from .options import RasterOptions, Rendered
from .projection import Footprints, project

_TILE = 16
_FIXED = {"max_alpha": 0.99, "min_alpha": 1.0 / 255.0, "min_transmittance": 1e-4}


@functools.cache  # a failing build is not tried again
def unavailable() -> str | None:
    """The reason why this back end can't be used, or None."""
    if not torch.cuda.is_available():
        return "torch sees no CUDA device"
    try:
        compiled = importlib.import_module("gsplat.cuda._backend")
    except Exception as error:  # a failed build raises whatever the compiler's driver chose to
        return f"gsplat can't be loaded ({type(error).__name__}: {error})"
    if getattr(compiled, "_C", None) is None:
        return "gsplat's CUDA extension isn't there and there is no CUDA toolkit to build it"
    return None


def render(views: Sequence[SplatView], options: RasterOptions, buffers: Buffers | None = None) -> Rendered:
    """Renders all views on CUDA. Returns tensors with the leading B.

    Raises:
        ValueError: If an option differs from the constant compiled into gsplat.
    """
    for name, value in _FIXED.items():
        if getattr(options, name) != value:
            raise ValueError(f"{name} is {getattr(options, name)}, expected {value} with gsplat; use backend='torch'")
    frames = [_render_view(view, options) for view in views]
    return Rendered(*(torch.stack(parts) for parts in zip(*frames, strict=True)))


def _render_view(view: SplatView, options: RasterOptions) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    view.require_finite()
    footprints = project(view, options)
    attributes = torch.cat([view.colors[footprints.index], footprints.depths[:, None]], dim=1)
    nothing = sum(tensor[:0].sum() for tensor in (view.means, view.scales, view.opacities, view.colors))
    height, width = view.size
    if len(footprints.index) == 0:
        image = view.background.expand(height, width, -1) + nothing
        flat = view.means.new_zeros((height, width)) + nothing
        return image, flat, flat
    summed, alpha = _composite(footprints, attributes, view.size)
    image = summed[..., :-1] + (1 - alpha)[..., None] * view.background + nothing
    covered = alpha > 0
    depth = torch.where(covered, summed[..., -1] / torch.where(covered, alpha, 1.0), 0.0)
    return image, alpha + nothing, depth


def _composite(
    footprints: Footprints, attributes: torch.Tensor, size: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted sums ``(H, W, K)`` and coverage ``(H, W)`` by gsplat's kernels."""
    kernels = importlib.import_module("gsplat.cuda._wrapper")
    height, width = size
    columns, rows = -(-width // _TILE), -(-height // _TILE)
    centers = footprints.centers[None]
    inverse = footprints.variances.reciprocal()
    conics = torch.stack([inverse, torch.zeros_like(inverse), inverse], dim=-1)[None]
    with torch.no_grad():
        radii = footprints.reach.ceil().to(torch.int32)[None, :, None].expand(-1, -1, 2).contiguous()
        depths = footprints.depths.detach()[None]
        _, keys, order = kernels.isect_tiles(centers.detach(), radii, depths, _TILE, columns, rows)
        offsets = kernels.isect_offset_encode(keys, 1, columns, rows).reshape(1, rows, columns)
    summed, alpha = kernels.rasterize_to_pixels(
        centers, conics, attributes[None], footprints.opacities[None], width, height, _TILE, offsets, order
    )
    return summed[0], alpha[0, ..., 0]
