"""The rasterizer's one function."""

from __future__ import annotations

import torch

from .backends import render
from .inputs import split_views
from .options import RasterOptions, Rendered

_DEFAULTS = RasterOptions()


def rasterize(
    means: torch.Tensor,
    scales: torch.Tensor,
    opacities: torch.Tensor,
    colors: torch.Tensor | None,
    intrinsics: torch.Tensor,
    size: tuple[int, int],
    background: torch.Tensor | None = None,
    options: RasterOptions = _DEFAULTS,
) -> Rendered:
    """Renders isotropic splats with a pinhole camera; differentiable in means, scales, opacities and colors.

    The footprint is isotropic by definition, ``s2 = fx fy scale^2 / z^2 + low_pass``; the whole image formation is
    written down in :mod:`fourreal_core.rasterizer.torch_backend`. All four inputs get gradients from all three outputs;
    intrinsics and background are constants.

    Args:
        means: ``(N, 3)`` or, for B cameras, ``(B, N, 3)`` centres in camera space (OpenCV: x right, y down, z forward).
        scales: ``(N,)`` or ``(B, N)`` standard deviations, linear, same units as the means.
        opacities: ``(N,)`` or ``(B, N)`` in [0, 1]; less than ``options.min_alpha`` isn't drawn.
        colors: ``(N, C)`` or ``(B, N, C)``, any C up to 32 and any units, or None for depth and alpha only.
        intrinsics: ``(3, 3)`` or ``(B, 3, 3)`` pixels, no skew; the centre of the top-left pixel is (0.5, 0.5).
        size: ``(height, width)`` in pixels.
        background: ``(C,)`` behind everything; zeros if None.
        options: The constants of the image formation and the back end.

    Returns:
        Image, alpha and depth, with a leading B where any input has one. float64 inputs are rendered in float64 (by the
        torch back end), all others in float32.

    Raises:
        ValueError: If shapes, types or devices don't fit, a value is NaN or infinite, or the back end can't be used.
    """
    views, batched = split_views(means, scales, opacities, colors, intrinsics, size, background)
    rendered = render(views, options)
    if batched:
        return rendered
    # not [0], whose backward pass fills and copies whole images
    return Rendered(rendered.image.squeeze(0), rendered.alpha.squeeze(0), rendered.depth.squeeze(0))
