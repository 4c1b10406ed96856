"""Pictures of a 4D scene."""

from __future__ import annotations

from comfy_api.latest import io

from ..fourreal_core.errors import InputError
from ..fourreal_core.grid import FrameGrid
from ..fourreal_core.splats.scene import Scene4D
from .compat import advanced, block, schema
from .placement import compute_device, place, plain_tensors
from .progress import HostProgress
from .wires import GridWire, SceneWire

COMPLETE_GRID = "complete grid"
MODES = (COMPLETE_GRID, "bullet time", "freeze time", "fixed view", "orbit")


class RenderScene(io.ComfyNode):
    """The missing cells of a grid, or a camera path through the scene."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """See ComfyNode."""
        return schema(
            node_id="FourRealRenderScene", display_name="Render 4D Scene",
            search_aliases=["4real", "bullet time", "freeze time", "novel view", "render splats", "complete grid"],
            description="Renders a 4D scene: the unknown cells of a frame grid (known cells stay as given), or a video "
                        "along a path of viewpoints and times.",
            inputs=[
                SceneWire.Input("scene", tooltip="The scene."),
                io.Combo.Input("mode", options=list(MODES), default=COMPLETE_GRID, tooltip="complete grid: every "
                               "unknown cell; bullet time: camera and time move together; freeze time: the camera "
                               "moves at one time; fixed view: time runs from one view; orbit: a swing around the "
                               "scene while time runs."),
                GridWire.Input("grid", optional=True, tooltip="The grid to complete; needed by 'complete grid' only."),
                io.Int.Input("frames", default=48, min=2, max=4096, tooltip="Number of frames of 'bullet time' and "
                             "'orbit'."),
                io.Float.Input("time", default=0.0, min=0.0, max=4095.0, step=0.1, tooltip="Time step from 0, "
                               "fractions allowed; for 'freeze time'."),
                io.Int.Input("view", default=0, min=0, max=255, tooltip="View from 0; for 'fixed view'."),
                advanced(io.Combo.Input("colors", options=["source", "splats"], default="source", tooltip="Where "
                                        "'complete grid' takes colours: the clips' own frames (sharper), or the splats.")),
            ],
            outputs=[io.Image.Output(display_name="images"), GridWire.Output(display_name="grid")],
        )

    @classmethod
    def execute(cls, scene: Scene4D, mode: str, frames: int, time: float, view: int, colors: str,
                grid: FrameGrid | None = None) -> io.NodeOutput:
        """See ComfyNode."""
        from ..fourreal_core.splats import render
        from ..fourreal_core.splats.proposal import ProposalOptions, complete_grid

        on_step, device = HostProgress().part(), compute_device(scene, grid)
        with plain_tensors():
            scene = place(scene, device)
            if mode == COMPLETE_GRID:
                if grid is None:
                    raise InputError("no grid to complete", "a frame grid", "connect one, or choose another mode")
                options = ProposalOptions(colors=colors)
                filled = place(complete_grid(scene, place(grid, device), options, on_step=on_step))
                return io.NodeOutput(filled.frames.flatten(0, 1).clone(), filled)
            video = {
                "bullet time": lambda: render.bullet_time(scene, frames, on_step=on_step),
                "freeze time": lambda: render.freeze_time(scene, time, on_step=on_step),
                "fixed view": lambda: render.fixed_view(scene, view, on_step=on_step),
                "orbit": lambda: render.orbit_time(scene, frames, on_step=on_step),
            }[mode]()
        return io.NodeOutput(video.clamp(0, 1).cpu(), block(f"'Render 4D Scene' has a grid only in mode '{COMPLETE_GRID}'"))
