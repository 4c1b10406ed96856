"""Differentiable rasterizer of isotropic 3D Gaussian splats.

One function, :func:`rasterize`, with interchangeable back ends: ``torch`` is the definition and runs on any device,
``numba`` is the fast one for CPUs, ``sparse`` takes its place where there is no numba, ``gsplat`` is the fast one for
CUDA. Importing this package imports torch only.
"""

from .backends import available_backends
from .interface import rasterize
from .options import BACKENDS, RasterOptions, Rendered
from .path import render_path

__all__ = ["BACKENDS", "RasterOptions", "Rendered", "available_backends", "rasterize", "render_path"]
