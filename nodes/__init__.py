"""The ComfyUI nodes of 4Real, one file a stage of the flow."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .decode_latent import Decode4DLatent
from .depth_geometry import GeometryFromDepth, GeometryFromDepthNetwork
from .error_context import without_module_path
from .evaluate_grid import EvaluateGrid
from .export.save_files import ExportScene
from .export.save_scene import SaveScene
from .export.splat import SceneToSplat
from .extend_grid import ExtendGrid
from .freeze_time_conditioning import FreezeTimeConditioning
from .geometry import GeometryFromParallax
from .grid import FrameGridFromVideos, FrameGridToImages
from .load_model import LoadModel
from .load_scene import LoadScene
from .parallel_sync import ApplyParallelSync
from .preview_grid import PreviewGrid
from .preview_scene import PreviewScene
from .render import RenderScene
from .render_modes import watch_queue
from .sample_clips import SampleClips
from .sampler import ParallelSyncSampler
from .scene import CanonicalSplats, FitDeformation, PruneFloaters
from .sync_strength import SyncStrength
from .tracks import Tracks3D
from .two_clips import TwoClipsTo4D
from .viewer_files import serve_viewer
from .views import FrameGridFromViews


class FourRealExtension(ComfyExtension):
    """What the host asks for the nodes."""

    _loaded = False

    async def on_load(self) -> None:
        """Called by the host once, before it asks for the nodes."""
        self._loaded = True
        without_module_path()
        serve_viewer()
        watch_queue()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """The nodes in the order of the flow."""
        if not self._loaded:  # hosts as old as 0.3.64 don't call it
            await self.on_load()
        return [
            SampleClips,
            TwoClipsTo4D,
            FrameGridFromVideos,
            FrameGridFromViews,
            FrameGridToImages,
            GeometryFromParallax,
            GeometryFromDepth,
            GeometryFromDepthNetwork,
            Tracks3D,
            CanonicalSplats,
            PruneFloaters,
            FitDeformation,
            RenderScene,
            PreviewScene,
            PreviewGrid,
            EvaluateGrid,
            LoadModel,
            ApplyParallelSync,
            FreezeTimeConditioning,
            ParallelSyncSampler,
            Decode4DLatent,
            ExtendGrid,
            SyncStrength,
            SceneToSplat,
            ExportScene,
            SaveScene,
            LoadScene,
        ]
