"""The whole job in one node: two clips in, a completed grid and a 4D scene out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from comfy_api.latest import io
from torch import Tensor

from ..fourreal_core.grid import FrameGrid
from ..fourreal_core.progress import OnStep, no_progress
from . import progress
from .compat import advanced, schema
from .compilation import compile_first
from .devices import compute_device, place, plain_tensors
from .grid import clip_inputs, grid_of_clips, ignore_input, shortfall
from .memory import warn_of_memory
from .node_text import show_text
from .optical_flow import OpticalFlowWire
from .tracker_files import NONE
from .tracks import chosen_engines, weights_inputs
from .wires import GeometryWire, GridWire, SceneWire, check_frames, from_packet, of_grid

if TYPE_CHECKING:
    from ..fourreal_core.flow.clip_flows import ClipFlows
    from ..fourreal_core.geometry.geometry import Geometry
    from ..fourreal_core.geometry.structure_from_motion import ParallaxOptions
    from ..fourreal_core.pipeline import PipelineOptions, PipelineResult

AS_QUALITY = -1
STAGES = {
    "geometry": (progress.DEPTH, 4),
    "camera": (progress.STANDING, 1),
    "tracks": (progress.AROUND, 2),
    "motion": (progress.THROUGH_TIME, 4),
    "floaters": (progress.FLOATERS, 2),
    "deformation": (progress.MOTION, 4),
    "completion": (progress.COMPLETION, 6),
    "refit": (progress.REFIT, 8),
}
"""What a user reads on the node at every stage of the job, and its share of the bar."""


class TwoClipsTo4D(io.ComfyNode):
    """The main job, from clips to scene."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """See ComfyNode."""
        from ..fourreal_core.pipeline import QUALITIES

        return schema(
            node_id="FourRealTwoClipsTo4D",
            display_name="Two Clips to 4D",
            branch="scene",
            search_aliases=["4real", "video to 4d", "video to 3d", "bullet time", "4d scene", "gaussian splat video"],
            description="The whole job: a freeze-time clip (the camera moves, time stands) and a fixed-view clip (time "
            "runs, the camera stands) become a grid of frames, every viewpoint at every time, and a 4D scene of "
            "Gaussian splats. Needs no model and no GPU. The template 'step_by_step_4d' has its steps as single nodes.",
            inputs=[
                *clip_inputs(),
                io.Int.Input(
                    "longest_side",
                    default=512,
                    min=0,
                    max=4096,
                    step=8,
                    tooltip="Longer side of the frames in pixels; larger takes longer. 0 keeps the size of the "
                    "freeze-time clip.",
                ),
                io.Combo.Input(
                    "quality",
                    options=list(QUALITIES),
                    default="normal",
                    tooltip="How long it may take: draft is for a first look, best is for keeping.",
                ),
                advanced(
                    io.Int.Input(
                        "refit",
                        default=AS_QUALITY,
                        min=AS_QUALITY,
                        max=100_000,
                        tooltip="Optimisation steps on the completed grid, after which what one flies through is as "
                        "good as the grid; -1 takes as many as the quality says, 0 leaves them away.",
                    )
                ),
                advanced(
                    io.Int.Input(
                        "seed",
                        default=0,
                        min=0,
                        max=2**63 - 1,
                        control_after_generate=False,
                        tooltip="Start of the random numbers; the same seed gives the same scene on one machine.",
                    )
                ),
                ignore_input(),
                GeometryWire.Input(
                    "moge_geometry",
                    optional=True,
                    tooltip="Geometry of the freeze-time frames that are kept, at their size, such as the host's MoGe "
                    "node gives it; parallax finds it when nothing is connected.",
                ),
                OpticalFlowWire.Input(
                    "optical_flow",
                    optional=True,
                    tooltip="What measures optical flow: the model of ComfyUI's 'Load Optical Flow Model'; the "
                    "built-in one when nothing is connected.",
                ),
                *weights_inputs(),
            ],
            outputs=[
                GridWire.Output(display_name="grid", tooltip="Every cell filled; the given frames as they were."),
                SceneWire.Output(display_name="scene", tooltip="The 4D scene."),
                io.Image.Output(display_name="wall", tooltip="All views beside each other as one video."),
                io.Image.Output(display_name="contact_sheet", tooltip="The whole grid as one picture."),
            ],
        )

    @classmethod
    def execute(
        cls,
        freeze_time: object,
        fixed_view: object,
        views: int,
        times: int,
        longest_side: int,
        quality: str,
        refit: int,
        seed: int,
        ignore: object = None,
        moge_geometry: dict[str, Any] | None = None,
        optical_flow: Any = None,
        raft_weights: str = NONE,
        delta_checkpoint: str = NONE,
    ) -> io.NodeOutput:
        """See ComfyNode."""
        from ..fourreal_core.flow.memoized import MemoizedFlow
        from ..fourreal_core.media import contact_sheet, grid_wall
        from ..fourreal_core.pipeline import quality_options, run_pipeline

        with plain_tensors():
            grid = grid_of_clips(freeze_time, fixed_view, (views, times), longest_side, ignore)
            memory = warn_of_memory(grid)
            device = compute_device(grid)
            flow, tracks = chosen_engines(grid, raft_weights, delta_checkpoint, optical_flow)
            options = replace(
                _with_refit(quality_options(quality), refit),
                seed=seed,
                device=str(device),
                geometry_source=_geometry_source(moge_geometry, grid),
                flow_engine=flow,
                track_engine=tracks,
            )
        compile_first(device, gradients=True)
        with plain_tensors(gradients=True):
            result = run_pipeline(
                grid, options, progress.HostProgress(sum(n for _, n in STAGES.values())).stages(STAGES)
            )
        with plain_tensors():
            made = place(result.grid)
            kept = made.packed()
            scene = of_grid(place(result.scene), MemoizedFlow(flow), kept)
            said = " ".join((_summary(result, shortfall(grid, (views, times))), *(memory or {}).get("text", ())))
            show_text(said)
            wall, sheet = grid_wall(made.frames), contact_sheet(made.frames, made.known)[None]
            return io.NodeOutput(kept, scene, wall, sheet, ui={"text": (said,)})


def _summary(result: PipelineResult, short: str) -> str:
    cells, seconds = int((~result.grid.known).sum()), sum(result.seconds.values())
    moved = "" if result.motion.stands else f"{result.motion.sentence}."
    done = f"{cells} cells and {len(result.scene.splats):,} splats in {seconds:.0f} s."
    return " ".join(part for part in (short, moved, done) if part)


def _with_refit(options: PipelineOptions, steps: int) -> PipelineOptions:
    return options if steps == AS_QUALITY else replace(options, refit=replace(options.refit, steps=steps))


@dataclass(frozen=True)
class _GivenGeometry:
    """Geometry from another node as the core's source; cameras are found where it has none."""

    geometry: Geometry

    def __call__(
        self,
        clip: ClipFlows,
        valid: Tensor | None = None,
        options: ParallaxOptions | None = None,
        on_step: OnStep = no_progress,
    ) -> Geometry:
        from ..fourreal_core.geometry.align_monocular import place_views

        return place_views(clip, self.geometry, valid, on_step=on_step)


def _geometry_source(packet: dict[str, Any] | None, grid: FrameGrid) -> _GivenGeometry | None:
    if packet is None:
        return None
    geometry = from_packet(packet)
    check_frames(geometry, grid.freeze_time)
    return _GivenGeometry(geometry)
