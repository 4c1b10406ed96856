"""Geometry of the freeze-time clip from depth: pictures that another node drew, or a depth network on disk."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from ..fourreal_core.cameras import Cameras
from ..fourreal_core.errors import InputError
from ..fourreal_core.grid import FrameGrid
from .compat import advanced, schema
from .devices import compute_device, plain_tensors
from .progress import DEPTH, HostProgress
from .wires import CamerasWire, GeometryWire, GridWire, cameras_from_da3, to_packet

KINDS = ("auto", "inverse", "depth", "metric")
DepthAnything3Wire = io.Custom("DA3_GEOMETRY")


class GeometryFromDepth(io.ComfyNode):
    """Depth pictures brought to scale by parallax, with the cameras that parallax gives."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """See ComfyNode."""
        return schema(
            node_id="FourRealGeometryFromDepth",
            display_name="Geometry from Depth",
            branch="scene",
            search_aliases=[
                "4real",
                "depth map",
                "depth anything",
                "da3",
                "scale and shift",
                "geometry",
                "depth to camera",
                "depth to geometry",
            ],
            description="Turns depth pictures of the grid's first column into geometry with cameras: scale and shift "
            "of every picture are solved against the clip's parallax.",
            inputs=[
                GridWire.Input("grid", tooltip="The frame grid; its first column is looked at."),
                io.Image.Input(
                    "depth",
                    optional=True,
                    tooltip="One depth picture for every frame of the first column "
                    "('Frame Grid to Images', mode 'column', time 0).",
                ),
                DepthAnything3Wire.Input(
                    "da3_geometry",
                    optional=True,
                    tooltip="The same from the host's Depth Anything 3; keeps more than the 256 levels of a picture.",
                ),
                io.Combo.Input(
                    "kind",
                    options=list(KINDS),
                    default="auto",
                    tooltip="What the pictures show: inverse "
                    "depth (near is bright), depth (far is bright), metric depth (right but for one "
                    "factor), or whichever fits.",
                ),
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
                io.Boolean.Input(
                    "da3_cameras",
                    default=False,
                    optional=True,
                    tooltip="Take the cameras of da3_geometry (mode multiview) in place of those that parallax finds.",
                ),
            ],
            outputs=[GeometryWire.Output(display_name="moge_geometry")],
        )

    @classmethod
    def execute(
        cls,
        grid: FrameGrid,
        kind: str,
        focal_length: float,
        depth: torch.Tensor | None = None,
        da3_geometry: dict[str, Any] | None = None,
        cameras: Cameras | None = None,
        da3_cameras: bool = False,
    ) -> io.NodeOutput:
        """See ComfyNode."""
        from ..fourreal_core.flow.clip_flows import ClipFlows
        from ..fourreal_core.geometry.depth_maps import DepthPictures
        from ..fourreal_core.geometry.structure_from_motion import ParallaxOptions

        if (depth is None) == (da3_geometry is None):
            raise InputError(
                "no depth" if depth is None else "depth twice", "depth or da3_geometry", "connect one of the two"
            )
        if da3_cameras and (da3_geometry is None or cameras is not None):
            raise InputError(
                "da3_cameras without da3_geometry" if da3_geometry is None else "cameras twice",
                "cameras of one of the two",
                "connect 'Run Depth Anything 3' in mode multiview, or switch da3_cameras off",
            )
        with plain_tensors():
            frames = grid.freeze_time
            if da3_cameras and da3_geometry is not None:
                cameras = cameras_from_da3(da3_geometry, grid.size)
            pictures = da3_geometry["depth"] if depth is None else depth[..., :3].mean(-1)
            source = DepthPictures(pictures.detach().to("cpu", torch.float32).clone(), kind, cameras)
            geometry = source(
                ClipFlows(frames),
                grid.valid,
                ParallaxOptions(focal_px=focal_length or None),
                on_step=HostProgress().part(name=DEPTH),
            )
            return io.NodeOutput(to_packet(geometry, frames.clone()))


class GeometryFromDepthNetwork(io.ComfyNode):
    """The same with a depth network of the Hugging Face hub that is on this disk."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """See ComfyNode."""
        return schema(
            node_id="FourRealGeometryFromDepthNetwork",
            display_name="Geometry from Depth Network",
            branch="scene",
            search_aliases=[
                "4real",
                "hugging face",
                "depth anything",
                "monocular depth",
                "geometry",
                "video depth",
                "depth model",
            ],
            description="Runs a depth network of the Hugging Face hub on the grid's first column and solves scale and "
            "shift against the clip's parallax. The network must be on this disk already.",
            inputs=[
                GridWire.Input("grid", tooltip="The frame grid; its first column is looked at."),
                io.String.Input(
                    "network",
                    default="depth-anything/Depth-Anything-V2-Small-hf",
                    tooltip="Name on the "
                    "hub of a depth network that was downloaded before, for example with `hf download`.",
                ),
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
    def execute(cls, grid: FrameGrid, network: str, focal_length: float) -> io.NodeOutput:
        """See ComfyNode."""
        from ..fourreal_core.flow.clip_flows import ClipFlows
        from ..fourreal_core.geometry.hf_depth import HuggingFaceDepth
        from ..fourreal_core.geometry.structure_from_motion import ParallaxOptions

        with plain_tensors():
            frames = grid.freeze_time
            source = HuggingFaceDepth(network.strip(), device=str(compute_device(grid)))
            geometry = source(
                ClipFlows(frames),
                grid.valid,
                ParallaxOptions(focal_px=focal_length or None),
                on_step=HostProgress().part(name=DEPTH),
            )
            return io.NodeOutput(to_packet(geometry, frames.clone()))
