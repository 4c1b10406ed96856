"""Geometry of the freeze-time clip without any model: cameras and depth by parallax."""

from __future__ import annotations

from comfy_api.latest import io

from ..fourreal_core.grid import FrameGrid
from .compat import advanced, schema
from .devices import plain_tensors
from .progress import HostProgress
from .wires import GeometryWire, GridWire, to_packet


class GeometryFromParallax(io.ComfyNode):
    """Cameras and depth of a grid's freeze-time column, in the host's own geometry packet."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """See ComfyNode."""
        return schema(
            node_id="FourRealGeometryFromParallax",
            display_name="Geometry from Parallax",
            search_aliases=["4real", "depth", "structure from motion", "camera poses", "moge", "geometry estimation"],
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
            ],
            outputs=[GeometryWire.Output(display_name="moge_geometry")],
        )

    @classmethod
    def execute(cls, grid: FrameGrid, focal_length: float) -> io.NodeOutput:
        """See ComfyNode."""
        from ..fourreal_core.flow.clip_flows import ClipFlows
        from ..fourreal_core.geometry.structure_from_motion import ParallaxOptions, parallax_geometry

        progress = HostProgress()
        with plain_tensors():
            options = ParallaxOptions(focal_px=focal_length or None)
            clip = ClipFlows(grid.freeze_time)
            geometry = parallax_geometry(clip, grid.valid, options, progress.part())
            return io.NodeOutput(to_packet(geometry, grid.freeze_time.clone()))
