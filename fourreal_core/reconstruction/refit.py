"""Fits a scene once more, to its completed grid: what one flies through is then as good as the grid's cells.

Supplement 3 reconstructs from the full grid that the model generated. Here completed cells are not all equally sure, so
each pixel counts by the error that is expected of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..errors import InputError
from ..grid import FrameGrid
from ..progress import OnStep, no_progress
from ..rasterizer import RasterOptions
from ..scene.scene4d import Scene4D
from .newcomers import NewcomerOptions, with_newcomers
from .rendering_fit import RenderingFitOptions, fit_rendering

DOUBT_GRAY = 30.0
"""Expected error in grey levels of 255 at which a completed pixel counts half as much as a known one."""
MOTION_RATE = 1e-5
"""Of the deformation field: completed cells were made along a motion and show it less surely than the clips do."""


def _rendering() -> RenderingFitOptions:
    """One cell a step, and colours of views the faster: most cells are rendered only twice or three times."""
    return RenderingFitOptions(cells=1, color_rate=0.01, view_color_rate=0.02, motion_rate=MOTION_RATE, motion_every=8)


@dataclass(frozen=True)
class RefitOptions:
    """How a scene is fitted to its completed grid.

    Attributes:
        steps: Cells that are rendered for it; 0 leaves the scene as it was fitted to the known cells.
        rendering: What is fitted, and how fast.
        newcomers: New splats for what the canonical ones cannot show; None makes none.
        seed: Of the order of cells.
    """

    steps: int = 200
    rendering: RenderingFitOptions = field(default_factory=_rendering)
    newcomers: NewcomerOptions | None = field(default_factory=NewcomerOptions)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise InputError(f"{self.steps} steps of the refit", "no negative steps", "leave them at their default")


def refit_scene(
    scene: Scene4D,
    completed: FrameGrid,
    error_gray: Tensor,
    options: RefitOptions | None = None,
    raster: RasterOptions | None = None,
    on_step: OnStep = no_progress,
) -> Scene4D:
    """Refines a scene on all cells of the grid that was completed with it.

    Args:
        scene: Fitted to the known cells; it stays as it was.
        completed: Every cell filled, and which were known before.
        error_gray: ``(V, T, H, W)`` expected error of every pixel in grey levels of 255, not asked for in known cells.
        options: See RefitOptions.
        raster: Rasterizer options.
        on_step: Progress, one step a render, with the render as preview.

    Raises:
        InputError: A grid or errors of another shape than the scene's.
    """
    options = options or RefitOptions()
    cells = (scene.views, scene.times, *scene.cameras.size)
    if tuple(completed.frames.shape[:4]) != cells or tuple(error_gray.shape) != cells:
        raise InputError(
            f"a grid of {tuple(completed.frames.shape[:4])} pixels and errors of {tuple(error_gray.shape)}",
            f"{cells} as the scene",
            "fit the scene to the grid that was completed with it",
        )
    trust = CompletedTrust(completed.known, error_gray)
    everything = replace(completed, known=torch.ones_like(completed.known))
    generator = torch.Generator().manual_seed(options.seed)
    if options.newcomers is not None and options.steps:
        scene = with_newcomers(scene, completed, options.newcomers, raster)
    return fit_rendering(scene, everything, options.steps, options.rendering, raster, generator, on_step, trust=trust)


@dataclass(frozen=True)
class CompletedTrust:
    """By how much each pixel of a completed grid counts, worked out a cell at a time.

    Attributes:
        known: ``(V, T)`` bool, cells that were given.
        error_gray: ``(V, T, H, W)`` expected error in grey levels of 255.
    """

    known: Tensor
    error_gray: Tensor

    def __getitem__(self, cell: tuple[int, int]) -> Tensor:
        """Of the pixels ``(H, W)`` of a cell."""
        error = self.error_gray[cell]
        return torch.ones_like(error) if bool(self.known[cell]) else trust_in(error)


def trust_in(error_gray: Tensor) -> Tensor:
    """By how much a pixel counts: 1 without an error, one half at DOUBT_GRAY, as the inverse square far beyond."""
    return 1 / (1 + (error_gray / DOUBT_GRAY) ** 2)
