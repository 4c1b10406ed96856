"""The main job as a chain: two clips in, a completed frame grid and a 4D scene out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import torch

from .errors import InputError
from .flow.engines import FlowEngine
from .flow.flow_cache import FlowCache
from .geometry.camera_modes import CameraMode, check_camera
from .geometry.camera_motion import CameraMotion
from .geometry.clip_checks import report_clips, report_motion
from .geometry.geometry import Geometry
from .geometry.sources import GeometrySource
from .geometry.steady_grid import SteadyGrid, steady_grid, without_motion
from .geometry.structure_from_motion import ParallaxOptions, parallax_geometry
from .grid import FrameGrid
from .metrics import return_freed_memory
from .progress import StageClock, StageFactory, no_stages
from .proposals.coherent_choice import ChoiceOptions
from .proposals.complete_grid import ProposalOptions, completion
from .proposals.own_cameras import own_cells
from .reconstruction.canonical import CanonicalOptions, canonical_scene
from .reconstruction.fit_deformation import FitOptions, fit_deformation
from .reconstruction.floaters import FloaterOptions, prune_floaters
from .reconstruction.refit import RefitOptions, refit_scene
from .scene.scene4d import Scene4D
from .scene.to_device import scene_to, tracks_to
from .tracking.track3d import TrackOptions
from .tracking.track_engines import FlowTracks, TrackEngine


@dataclass(frozen=True)
class PipelineOptions:
    """Options of every stage; the defaults are the product.

    Attributes:
        parallax: Geometry from the freeze-time clip.
        tracks: 3D tracks of both clips.
        canonical: Points to splats.
        floaters: Pruning.
        fit: Deformation.
        proposal: Completion of the grid.
        refit: Fit of the scene to the completed grid.
        device: Where rendering and fitting run.
        seed: Overrides the seeds of the stages when not None.
        geometry_source: Where depth and cameras come from; parallax when None.
        flow_engine: What measures 2D flow; OpenCV's DIS when None.
        track_engine: What follows points; flow lifted by the geometry when None.
        camera: What is done about a fixed view whose camera moves: ``"auto"`` takes its motion out, so that cell
            ``[v, t]`` is view v of a camera that stands; ``"own"`` gives the completed cells each time's own camera;
            ``"still"`` looks for none. A clip whose camera stands is left as it is.
    """

    parallax: ParallaxOptions = field(default_factory=ParallaxOptions)
    tracks: TrackOptions = field(default_factory=TrackOptions)
    canonical: CanonicalOptions = field(default_factory=CanonicalOptions)
    floaters: FloaterOptions = field(default_factory=FloaterOptions)
    fit: FitOptions = field(default_factory=FitOptions)
    proposal: ProposalOptions = field(default_factory=ProposalOptions)
    refit: RefitOptions = field(default_factory=RefitOptions)
    device: str = "cpu"
    seed: int | None = None
    geometry_source: GeometrySource | None = None
    flow_engine: FlowEngine | None = None
    track_engine: TrackEngine | None = None
    camera: CameraMode = "auto"

    def __post_init__(self) -> None:
        check_camera(self.camera)


Quality = Literal["draft", "normal", "best"]
QUALITIES: tuple[Quality, ...] = ("draft", "normal", "best")


def quality_options(quality: Quality) -> PipelineOptions:
    """Options by how long the job may take: the defaults are ``"normal"``.

    Raises:
        InputError: A quality of another name.
    """
    if quality == "draft":
        return PipelineOptions(floaters=FloaterOptions(rounds=4), refit=RefitOptions(steps=60))
    if quality == "normal":
        return PipelineOptions()
    if quality == "best":
        proposal = ProposalOptions(scored=ChoiceOptions(rounds=4))
        return PipelineOptions(fit=FitOptions(steps=200), proposal=proposal, refit=RefitOptions(steps=600))
    raise InputError(f"a quality {quality!r}", f"one of {', '.join(QUALITIES)}", "choose one of them")


@dataclass(frozen=True)
class PipelineResult:
    """What the main job leaves.

    Attributes:
        grid: Every cell filled; the known ones untouched, but for row 0 where the camera's motion was taken out of it.
        scene: The 4D scene, fitted to the completed grid.
        geometry: Depth and cameras of the freeze-time clip.
        seconds: Wall time of every stage, in order.
        motion: Of the fixed view's camera; it was taken out of the scene where it doesn't stand.
        steady: The completed grid that the scene was fitted to: ``grid`` but where that has each time's own camera.
    """

    grid: FrameGrid
    scene: Scene4D
    geometry: Geometry
    seconds: dict[str, float]
    motion: CameraMotion
    steady: FrameGrid


def run_pipeline(
    grid: FrameGrid, options: PipelineOptions | None = None, stages: StageFactory = no_stages
) -> PipelineResult:
    """Completes a grid and builds its 4D scene, without any model weights (design of supplement 3).

    Args:
        grid: Row 0 and column 0 known, more if there are.
        options: See PipelineOptions.
        stages: Gives the progress callback of every named stage.

    Raises:
        InputError: A grid whose row 0 or column 0 is not wholly known, or clips that no geometry can be found for.
    """
    options = options or PipelineOptions()
    if not bool(grid.known[0].all() & grid.known[:, 0].all()):
        raise InputError(
            f"a grid with {int(grid.known[0].sum())} of {grid.times} cells known in row 0 and "
            f"{int(grid.known[:, 0].sum())} of {grid.views} in column 0",
            "all of them",
            "give a whole freeze-time clip and a whole fixed-view clip",
        )
    tracks, fit, refit = options.tracks, options.fit, options.refit
    if options.seed is not None:
        tracks, fit = replace(tracks, seed=options.seed), replace(fit, seed=options.seed)
        refit = replace(refit, seed=options.seed)
    source, engine = options.geometry_source or parallax_geometry, options.track_engine or FlowTracks()
    flows = FlowCache(grid.frames, grid.known, options.flow_engine)
    freeze_time, fixed_view = flows.freeze_time, flows.fixed_view
    clock = StageClock()
    with clock("geometry"):
        report_clips(freeze_time, fixed_view, grid.valid)
        geometry = source(freeze_time, grid.valid, options.parallax, stages("geometry"))
        report_motion(freeze_time, geometry, grid.valid)
    with clock("camera"):
        grid = steady_grid(grid, fixed_view, geometry, options.camera, stages("camera"))
        if isinstance(grid, SteadyGrid):
            flows = flows.for_grid(grid.frames, grid.known)
            freeze_time, fixed_view = flows.freeze_time, flows.fixed_view
    with clock("tracks"):
        view_tracks = engine.track_views(freeze_time, geometry, grid.valid, tracks, stages("tracks"))
    with clock("motion"):
        time_tracks = engine.track_times(fixed_view, geometry, grid.valid, tracks, stages("motion"))
    del freeze_time, fixed_view
    return_freed_memory()
    with clock("canonical"):
        scene = canonical_scene(view_tracks, grid.times, options.canonical)
    del view_tracks
    return_freed_memory()
    device = torch.device(options.device)
    if device.type != "cpu":
        scene, time_tracks = scene_to(scene, device), tracks_to(time_tracks, device)
    with clock("floaters"):
        scene = prune_floaters(scene, grid.freeze_time, grid.valid, options.floaters, on_step=stages("floaters"))
    with clock("deformation"):
        scene = fit_deformation(scene, grid, time_tracks, fit, on_step=stages("deformation"), flows=flows)
    del time_tracks
    return_freed_memory()
    with clock("completion"):
        made = completion(scene, grid, options.proposal, on_step=stages("completion"), flows=flows)
    del flows, grid  # what only earlier stages need goes with them
    return_freed_memory()
    with clock("refit"):
        scene = refit_scene(scene, made.grid, made.error_gray, refit, on_step=stages("refit"))
    whole, motion = without_motion(made.grid), CameraMotion.none(made.grid.times, made.grid.size)
    shown = whole
    if isinstance(made.grid, SteadyGrid):
        motion = made.grid.motion
        if made.grid.own:
            shown = own_cells(scene, made.grid)
    return_freed_memory()
    return PipelineResult(shown, scene, geometry, clock.seconds, motion, whole)
