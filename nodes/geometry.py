"""Geometry of the freeze-time clip without any model: depth by parallax, and cameras where none are known."""

from __future__ import annotations

from comfy_api.latest import io

from ..fourreal_core.cameras import Cameras
from ..fourreal_core.grid import FrameGrid
from .compat import advanced, schema
from .devices import plain_tensors
from .memory import warn_of_memory
from .progress import DEPTH, HostProgress
from .wires import CamerasWire, GeometryWire, GridWire, to_packet


class GeometryFromParallax(io.ComfyNode):
    """Cameras and depth of a grid's freeze-time column, in the host's own geometry packet."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """See ComfyNode."""
        return schema(
            node_id="FourRealGeometryFromParallax",
            display_name="Geometry from Parallax",
            branch="scene",
            search_aliases=[
                "4real",
                "depth",
                "structure from motion",
                "camera poses",
                "moge",
                "geometry estimation",
                "camera pose estimation",
                "sfm",
                "video to depth",
            ],
            description="Finds cameras and depth of the freeze-time clip from its parallax alone; needs no model. The "
            "output fits the host's MoGe nodes, and theirs fits '3D Tracks'.",
            inputs=[
                GridWire.Input("grid", tooltip="The frame grid; its first column is looked at."),
                advanced(
                    io.Float.Input(
                        "focal_length",
                        default=0.0,
                        min=0.0,
                        max=100000.0,
                        step=1.0,
                        tooltip="Focal length of the camera in pixels of the grid's frames; 0 estimates it.",
                    )
                ),
                CamerasWire.Input(
                    "cameras",
                    optional=True,
                    tooltip="Cameras of the rows, where they are known ('Frame Grid from Views'); found when left out.",
                ),
            ],
            outputs=[GeometryWire.Output(display_name="moge_geometry")],
        )

    @classmethod
    def execute(cls, grid: FrameGrid, focal_length: float, cameras: Cameras | None = None) -> io.NodeOutput:
        """See ComfyNode."""
        from ..fourreal_core.flow.clip_flows import ClipFlows
        from ..fourreal_core.geometry.given_cameras import GivenCameras
        from ..fourreal_core.geometry.structure_from_motion import ParallaxOptions, parallax_geometry

        progress = HostProgress()
        with plain_tensors():
            options = ParallaxOptions(focal_px=focal_length or None)
            memory = warn_of_memory(grid)
            frames = grid.freeze_time
            clip = ClipFlows(frames)
            source = parallax_geometry if cameras is None else GivenCameras(cameras)
            geometry = source(clip, grid.valid, options, progress.part(name=DEPTH))
            return io.NodeOutput(to_packet(geometry, frames.clone()), ui=memory)
