"""3D tracks of both clips from frames and geometry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from comfy_api.latest import io

from ..fourreal_core.errors import InputError
from ..fourreal_core.grid import FrameGrid
from .compat import advanced, schema
from .devices import compute_device, place, plain_tensors
from .memory import warn_of_memory
from .optical_flow import OpticalFlowWire, flow_engine_of
from .progress import AROUND, PLACES, THROUGH_TIME, HostProgress
from .tracker_files import NONE, list_weights, weights_path
from .wires import ClipTracks, GeometryWire, GridWire, TracksWire, check_frames, from_packet, kept_flow

if TYPE_CHECKING:
    from ..fourreal_core.flow.engines import FlowEngine
    from ..fourreal_core.tracking.given_tracks import PixelTracks
    from ..fourreal_core.tracking.track_engines import TrackEngine

PixelTracksWire = io.Custom("TRACKS")
"""The host's 2D tracks, ``track_path (F, N, 2)`` in pixels and ``track_visibility (F, N)``; older hosts have none."""


class Tracks3D(io.ComfyNode):
    """Surface points followed through the freeze-time clip and through the fixed-view clip."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """See ComfyNode."""
        from ..fourreal_core.tracking.track3d import TrackOptions

        return schema(
            node_id="FourRealTracks3D",
            display_name="3D Tracks",
            branch="scene",
            search_aliases=[
                "4real",
                "point tracking",
                "dense tracking",
                "scene flow",
                "track points",
                "optical flow",
                "raft",
                "cotracker",
            ],
            description="Follows surface points in 3D through both clips of a grid. Takes the geometry of 'Geometry "
            "from Parallax' or of the host's MoGe node run on the freeze-time column.",
            inputs=[
                GridWire.Input("grid", tooltip="The frame grid; its first column and first row are followed."),
                GeometryWire.Input("moge_geometry", tooltip="Geometry of the grid's first column, frame by frame."),
                advanced(
                    io.Int.Input(
                        "max_points",
                        default=TrackOptions().max_points,
                        min=100,
                        max=10_000_000,
                        step=1000,
                        tooltip="Most points to follow; each becomes a splat.",
                    )
                ),
                PixelTracksWire.Input(
                    "view_tracks",
                    optional=True,
                    tooltip="Points followed through the grid's first "
                    "column by another node, many of them: they take the built-in tracks' place.",
                ),
                PixelTracksWire.Input(
                    "time_tracks",
                    optional=True,
                    tooltip="Points followed through the grid's first "
                    "row by another node; a few on what moves are enough.",
                ),
                advanced(
                    io.Int.Input(
                        "tracks_width",
                        default=0,
                        min=0,
                        max=16384,
                        tooltip="Width of the pictures that view_tracks and time_tracks were made in; 0 is the grid's.",
                        optional=True,
                    )
                ),
                advanced(
                    io.Int.Input(
                        "tracks_height",
                        default=0,
                        min=0,
                        max=16384,
                        tooltip="Their height; 0 is the grid's.",
                        optional=True,
                    )
                ),
                *weights_inputs(),
                OpticalFlowWire.Input(
                    "optical_flow",
                    optional=True,
                    tooltip="RAFT from ComfyUI's 'Load Optical Flow Model' (models/optical_flow), in place of the "
                    "built-in optical flow and of raft_weights.",
                ),
            ],
            outputs=[TracksWire.Output(display_name="tracks")],
        )

    @classmethod
    def execute(
        cls,
        grid: FrameGrid,
        moge_geometry: dict[str, Any],
        max_points: int,
        view_tracks: dict[str, torch.Tensor] | None = None,
        time_tracks: dict[str, torch.Tensor] | None = None,
        tracks_width: int = 0,
        tracks_height: int = 0,
        raft_weights: str = NONE,
        delta_checkpoint: str = NONE,
        optical_flow: Any = None,
    ) -> io.NodeOutput:
        """See ComfyNode."""
        from ..fourreal_core.flow.flow_cache import FlowCache
        from ..fourreal_core.geometry.align_monocular import place_views
        from ..fourreal_core.tracking.given_tracks import GivenTracks
        from ..fourreal_core.tracking.track3d import TrackOptions

        progress = HostProgress(parts=3)
        with plain_tensors():
            grid, geometry = place(grid), from_packet(moge_geometry)
            check_frames(geometry, grid.freeze_time)
            memory = warn_of_memory(grid)
            flow_engine, engine = chosen_engines(grid, raft_weights, delta_checkpoint, optical_flow)
            flows = FlowCache(grid.frames, grid.known, flow_engine)
            if (tracks_width > 0) != (tracks_height > 0):
                raise InputError(
                    f"pictures of {tracks_width} x {tracks_height} pixels",
                    "both sides, or 0 and 0",
                    "give the size that the tracks were made in",
                )
            size = (tracks_height, tracks_width) if tracks_width else grid.size
            engine = GivenTracks(_pixel_tracks(view_tracks, size), _pixel_tracks(time_tracks, size), engine)
            geometry = place_views(flows.freeze_time, geometry, grid.valid, on_step=progress.part(0, PLACES))
            options = TrackOptions(max_points=max_points)
            views = engine.track_views(flows.freeze_time, geometry, grid.valid, options, progress.part(1, AROUND))
            times = engine.track_times(flows.fixed_view, geometry, grid.valid, options, progress.part(2, THROUGH_TIME))
            return io.NodeOutput(ClipTracks(views, times, kept_flow(flows)), ui=memory)


def weights_inputs() -> list[io.Input]:
    """The inputs for the weights of networks that take the built-in engines' place."""
    return [
        advanced(
            io.Combo.Input(
                "raft_weights",
                options=list_weights(),
                default=NONE,
                optional=True,
                tooltip="Weights of torchvision's RAFT in models/fourreal; none uses the built-in optical flow.",
            )
        ),
        advanced(
            io.Combo.Input(
                "delta_checkpoint",
                options=list_weights(),
                default=NONE,
                optional=True,
                tooltip="DELTA's dense 3D checkpoint in models/fourreal, where the package "
                "densetrack3d is installed; none uses the built-in tracks.",
            )
        ),
    ]


def chosen_engines(
    grid: FrameGrid, raft_weights: str, delta_checkpoint: str, optical_flow: Any = None
) -> tuple[FlowEngine | None, TrackEngine]:
    """The flow engine, None for the built-in one, and the track engine."""
    from ..fourreal_core.flow.raft import RaftFlow
    from ..fourreal_core.tracking.delta_tracks import DeltaTracks
    from ..fourreal_core.tracking.track_engines import FlowTracks

    raft, delta = weights_path(raft_weights), weights_path(delta_checkpoint)
    device = str(compute_device(grid)) if raft or delta else "cpu"
    flow: FlowEngine | None = RaftFlow(raft, device) if raft and optical_flow is None else None
    if optical_flow is not None:
        flow = flow_engine_of(optical_flow, grid)
    return flow, DeltaTracks(delta, device) if delta else FlowTracks()


def _pixel_tracks(tracks: dict[str, torch.Tensor] | None, size: tuple[int, int]) -> PixelTracks | None:
    """The host's tracks; one column of visibility counts for all points, as the host lets it."""
    from ..fourreal_core.tracking.given_tracks import PixelTracks

    if tracks is None:
        return None
    path = tracks["track_path"].detach().to("cpu", torch.float32).clone()
    visible = tracks.get("track_visibility")
    visible = torch.ones(path.shape[:2]) if visible is None else visible.detach().to("cpu").clone()
    return PixelTracks(path, visible.bool().expand(path.shape[:2]), size)
