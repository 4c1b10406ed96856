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
from ..scene.deformation_field import Deformation, DeformationSpec, TrackFitOptions, ray_coordinates, solve_from_tracks
from ..scene.scene4d import Scene4D
from ..tracking.tracks import Tracks
from .motion_segmentation import MotionMapOptions, motion_maps, splat_motion
from .rendering_fit import RenderingFitOptions, fit_rendering
from .scene_flow import world_motion
from .track_residual import residual_maps
from .view_correspondence import MatchOptions, ViewMatch, match_by_flow, match_by_geometry

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitOptions:
    """How the deformation is fitted.

    Attributes:
        steps: Known cells that are rendered for it, several for each step of the optimiser.
        rendering: What rendering fits, and how fast.
        features: Hidden units of the deformation.
        frequencies: Their lowest and highest frequency in radians over the radius of what moves.
        max_knots: Most times at which the deformation has offsets of its own.
        maps: How moving regions are outlined.
        matches: How far matches between views are trusted.
        track_fit: How tracks start the deformation.
        keep_residual: Keep what tracks found beyond the deformation as a fixed correction.
        seed: Of the waves, the draws and the order of cells.
    """

    steps: int = 400
    rendering: RenderingFitOptions = field(default_factory=RenderingFitOptions)
    features: int = 512
    frequencies: tuple[float, float] = (2.0, 32.0)
    max_knots: int = 24
    maps: MotionMapOptions = field(default_factory=MotionMapOptions)
    matches: MatchOptions = field(default_factory=MatchOptions)
    track_fit: TrackFitOptions = field(default_factory=TrackFitOptions)
    keep_residual: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 0 or min(self.features, self.max_knots) < 1:
            raise InputError(
                f"{self.steps} steps, {self.features} features and {self.max_knots} knots",
                "no negative steps, at least 1 of the others",
                "leave them at their defaults",
            )


def fit_deformation(
    scene: Scene4D,
    grid: FrameGrid,
    time_tracks: Tracks | None,
    options: FitOptions | None = None,
    raster: RasterOptions | None = None,
    on_step: OnStep = no_progress,
    flows: FlowCache | None = None,
) -> Scene4D:
    """Animates canonical splats so that they follow the known cells.

    ``dp_view`` comes from the tracks of the freeze-time clip and stays fixed; ``dp_time`` is an MLP of canonical
    position and time, started from the tracks of the fixed-view clip and then fitted by rendering every known cell.

    Args:
        scene: Canonical splats with their view-dependent offsets.
        grid: The known cells.
        time_tracks: Of the fixed-view clip, or None to start from a scene that stands (the ablation).
        options: See FitOptions.
        raster: Rasterizer options.
        on_step: Progress, one step a render, with the render as preview.
        flows: Between the grid's known cells; measured here if None.
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
        flows = flows or FlowCache(grid.frames, grid.known)
        scene = start_from_tracks(
            scene,
            time_tracks,
            grid.freeze_time,
            options,
            generator,
            flows,
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
    spec = DeformationSpec(options.features, options.frequencies, min(times - 1, options.max_knots))
    rays = ray_coordinates(points, spec.depth_gain)
    centre = rays.mean(0)
    radius = (rays - centre).norm(dim=-1).sort().values[int(0.95 * (len(points) - 1))]
    return replace(spec, centre=tuple(centre.tolist()), extent=float(radius.clamp_min(1e-3)))


def start_from_tracks(
    scene: Scene4D,
    tracks: Tracks,
    frames: Tensor,
    options: FitOptions,
    generator: torch.Generator,
    flows: FlowCache | None = None,
    on_step: OnStep = no_progress,
) -> Scene4D:
    """Decides what moves and solves the deformation from the fixed-view clip's tracks; two steps a view and one more.

    Args:
        scene: Canonical splats that stand.
        tracks: Of the fixed-view clip.
        frames: The freeze-time clip ``(V, H, W, 3)`` in ``[0, 1]``, whose outlines moving regions follow.
        options: See FitOptions.
        generator: Of the waves and draws.
        flows: Between known cells; views are matched by geometry alone if None.
        on_step: Progress.
    """
    motion = world_motion(scene, tracks)
    moving = motion.travel_px > options.maps.still_px
    if not bool(moving.any()):
        log.info("motion: the fixed-view clip stands still")
        return replace(scene, deformation=None)
    total = 2 * scene.views + 1
    matches = matches_with_first(scene, frames, options.matches, flows)
    maps = motion_maps(scene, motion, frames, options.maps, matches, lambda done, n, preview=None: on_step(done, total))
    points = motion.points[moving]
    deformation = Deformation(motion_spec(points, scene.times, options), generator).to(points.device)
    px_per_unit = scene.cameras.intrinsics[0, 0, 0] / tracks.positions[0, moving, 2].clamp_min(1e-3)
    error = solve_from_tracks(
        deformation,
        points,
        motion.offsets[:, moving],
        motion.visible[:, moving],
        px_per_unit,
        options.track_fit,
        generator,
    )
    on_step(scene.views + 1, total)
    residual = None
    if options.keep_residual:
        residual = residual_maps(
            scene,
            deformation,
            motion,
            maps,
            frames,
            options.maps,
            matches=matches,
            on_step=lambda done, n, preview=None: on_step(scene.views + 1 + done, total),
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


def matches_with_first(
    scene: Scene4D, frames: Tensor, options: MatchOptions, flows: FlowCache | None
) -> list[ViewMatch]:
    """Every view's matches with view 0 at time 0, by flow where there is any."""
    if flows is None:
        return [match_by_geometry(scene, v, options) for v in range(scene.views)]
    first = [match_by_geometry(scene, 0, options)]
    return first + [match_by_flow(scene, v, flows((v, 0), (0, 0)), frames, options) for v in range(1, scene.views)]


def start_standing(scene: Scene4D, options: FitOptions, generator: torch.Generator) -> Scene4D:
    """Everything may move and nothing does yet: the start without tracks."""
    deformation = Deformation(motion_spec(scene.splats.means, scene.times, options), generator)
    return replace(
        scene,
        motion_weight=torch.ones_like(scene.motion_weight),
        view_motion=torch.ones_like(scene.view_motion),
        deformation=deformation.to(scene.splats.means.device),
    )
