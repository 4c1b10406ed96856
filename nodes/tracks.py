"""3D tracks of both clips from frames and geometry."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..fourreal_core.grid import FrameGrid
from .compat import advanced, schema
from .placement import plain_tensors
from .progress import HostProgress
from .wires import ClipTracks, GeometryWire, GridWire, TracksWire, check_frames, from_packet


class Tracks3D(io.ComfyNode):
    """Surface points followed through the freeze-time clip and through the fixed-view clip."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """See ComfyNode."""
        from ..fourreal_core.tracking.track3d import TrackOptions

        return schema(
            node_id="FourRealTracks3D", display_name="3D Tracks",
            search_aliases=["4real", "point tracking", "dense tracking", "scene flow"],
            description="Follows surface points in 3D through both clips of a grid. Takes the geometry of 'Geometry "
                        "from Parallax' or of the host's MoGe node run on the freeze-time column.",
            inputs=[
                GridWire.Input("grid", tooltip="The frame grid; its first column and first row are followed."),
                GeometryWire.Input("moge_geometry", tooltip="Geometry of the grid's first column, frame by frame."),
                advanced(io.Int.Input("max_points", default=TrackOptions().max_points, min=100, max=10_000_000,
                                      step=1000, tooltip="Most points to follow; each becomes a splat.")),
            ],
            outputs=[TracksWire.Output(display_name="tracks")],
        )

    @classmethod
    def execute(cls, grid: FrameGrid, moge_geometry: dict[str, Any], max_points: int) -> io.NodeOutput:
        """See ComfyNode."""
        from ..fourreal_core.tracking.placing import place_views
        from ..fourreal_core.tracking.track3d import TrackOptions, track_times, track_views

        progress = HostProgress(parts=3)
        with plain_tensors():
            geometry = from_packet(moge_geometry)
            check_frames(geometry, grid.freeze_time)
            geometry = place_views(grid.freeze_time, geometry, grid.valid, on_step=progress.part(0))
            options = TrackOptions(max_points=max_points)
            views = track_views(grid.freeze_time, geometry, grid.valid, options, on_step=progress.part(1))
            times = track_times(grid.fixed_view, geometry, grid.valid, options, on_step=progress.part(2))
            return io.NodeOutput(ClipTracks(views, times))
