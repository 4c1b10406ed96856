"""Fits the deformation: started from tracks in time, then by rendering the known cells (supplement 3, eq. 3)."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..errors import InputError
from ..flow.flow_cache import FlowCache
from ..grid import FrameGrid
from ..progress import OnStep, no_progress
from ..rasterizer import RasterOptions
from ..scene.deformation_field import DeformationSpec, random_field, ray_coordinates
from ..scene.scene4d import Scene4D
from ..tracking.tracks import Tracks
from .fit_to_tracks import fit_to_tracks
from .motion_segmentation import ClipMotion, clip_motion, motion_maps, splat_motion
from .rendering_fit import RenderingFitOptions, fit_rendering
from .track_residual import residual_maps

log = logging.getLogger(__name__)

MAX_KNOTS = 24
"""Most times at which the deformation has offsets of its own."""


@dataclass(frozen=True)
class FitOptions:
    """How the deformation is fitted.

    Attributes:
        steps: Known cells that are rendered for it, several for each step of the optimiser. Few are enough where the
            scene is fitted once more to the completed grid.
        rendering: What rendering fits, and how fast.
        features: Fourier features of the deformation field.
        frequencies: Their lowest and highest frequency in radians over the radius of what moves.
        seed: Of the field's frequencies, the draws and the order of cells.
    """

    steps: int = 60
    rendering: RenderingFitOptions = field(default_factory=RenderingFitOptions)
    features: int = 512
    frequencies: tuple[float, float] = (2.0, 32.0)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 0 or self.features < 1:
            raise InputError(
                f"{self.steps} steps and {self.features} features",
                "no negative steps, at least 1 feature",
                "leave them at their defaults",
            )


def fit_deformation(
    scene: Scene4D,
    grid: FrameGrid,
    time_tracks: Tracks | None,
    options: FitOptions | None = None,
    raster: RasterOptions | None = None,
    on_step: OnStep = no_progress,
    *,
    flows: FlowCache,
) -> Scene4D:
    """Animates canonical splats so that they follow the known cells.

    ``dp_view`` comes from the tracks of the freeze-time clip and stays fixed; ``dp_time`` is determined by the tracks
    of the fixed-view clip and then refined by rendering every known cell.

    Args:
        scene: Canonical splats with their view-dependent offsets.
        grid: The known cells.
        time_tracks: Of the fixed-view clip, or None to start from a scene that stands (the ablation).
        options: See FitOptions.
        raster: Rasterizer options.
        on_step: Progress, one step a render, with the render as preview.
        flows: Between the grid's known cells.
    """
    options = options or FitOptions()
    if grid.views != scene.views or tuple(grid.size) != tuple(scene.cameras.size):
        raise InputError(
            f"a grid of {grid.views} views of {grid.size}",
            f"{scene.views} views of {scene.cameras.size}",
            "fit the scene to the grid it was made from",
        )
    if len(scene.splats) == 0:
        raise InputError("a scene without splats", "at least one", "prune fewer floaters, or check the clip")
    scene = replace(scene, times=grid.times)
    generator = torch.Generator().manual_seed(options.seed)
    start = 2 * scene.views + 1
    total = start + options.steps
    if grid.times == 1:
        scene = replace(scene, deformation=None)
    elif time_tracks is None:
        scene = start_standing(scene, options, generator)
    else:
        scene = start_from_tracks(
            clip_motion(scene, time_tracks, grid.freeze_time, flows),  # which goes before rendering begins
            options,
            generator,
            lambda done, n, preview=None: on_step(done, total),
        )
    on_step(start, total)
    return fit_rendering(
        scene,
        grid,
        options.steps,
        options.rendering,
        raster,
        generator,
        lambda done, n, preview=None: on_step(start + done, total, preview),
    )


def motion_spec(points: Tensor, times: int, options: FitOptions) -> DeformationSpec:
    """A deformation spec whose encoding spans ``points (M, 3)`` (their 95th percentile radius)."""
    spec = DeformationSpec(options.features, options.frequencies, min(times - 1, MAX_KNOTS))
    rays = ray_coordinates(points, spec.depth_gain)
    centre = rays.mean(0)
    radius = (rays - centre).norm(dim=-1).sort().values[int(0.95 * (len(points) - 1))]
    x, y, z = centre.tolist()
    return replace(spec, centre=(x, y, z), extent=float(radius.clamp_min(1e-3)))


def start_from_tracks(
    motion: ClipMotion, options: FitOptions, generator: torch.Generator, on_step: OnStep = no_progress
) -> Scene4D:
    """Decides what moves and fits the deformation to the fixed-view clip's tracks.

    Args:
        motion: The tracks, with the scene of canonical splats that stand.
        options: See FitOptions.
        generator: Of the field's frequencies and the draws.
        on_step: Progress, two steps a view and one more.
    """
    scene, total = motion.scene, 2 * motion.scene.views + 1
    if not bool(motion.flow.moves.any()):
        log.info("motion: the fixed-view clip stands still")
        return replace(scene, deformation=None)
    maps = motion_maps(motion, lambda done, n, preview=None: on_step(done, total))
    moving = motion.flow.select(motion.flow.moves)
    spec = motion_spec(moving.points, scene.times, options)
    deformation, error = fit_to_tracks(random_field(spec, generator, moving.points.device), moving, generator)
    on_step(scene.views + 1, total)
    residual = residual_maps(
        motion, maps, deformation, lambda done, n, preview=None: on_step(scene.views + 1 + done, total)
    )
    scene = replace(
        scene,
        motion_weight=splat_motion(scene, maps),
        view_motion=maps,
        deformation=deformation,
        motion_residual=residual,
    )
    log.info(
        "motion: %.1f %% of the splats move; the field follows the tracks to %.2f px",
        100 * float(scene.motion_weight.mean()),
        error,
    )
    return scene


def start_standing(scene: Scene4D, options: FitOptions, generator: torch.Generator) -> Scene4D:
    """Everything may move and nothing does yet: the start without tracks."""
    means = scene.splats.means
    return replace(
        scene,
        motion_weight=torch.ones_like(scene.motion_weight),
        view_motion=torch.ones_like(scene.view_motion),
        deformation=random_field(motion_spec(means, scene.times, options), generator, means.device),
    )
