"""The ComfyUI nodes of 4Real, one file a stage of the flow."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .export.save_scene import SaveScene
from .export.splat import SceneToSplat
from .geometry import GeometryFromParallax
from .grid import FrameGridFromVideos, FrameGridToImages
from .load_scene import LoadScene
from .render import RenderScene
from .scene import CanonicalSplats, FitDeformation, PruneFloaters
from .tracks import Tracks3D


class FourRealExtension(ComfyExtension):
    """What the host asks for the nodes."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """The nodes in the order of the flow."""
        return [FrameGridFromVideos, FrameGridToImages, GeometryFromParallax, Tracks3D, CanonicalSplats, PruneFloaters,
                FitDeformation, RenderScene, SceneToSplat, SaveScene, LoadScene]
