"""Pictures of a 4D scene."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from comfy_api.latest import io

from ..fourreal_core.errors import InputError
from ..fourreal_core.grid import FrameGrid
from ..fourreal_core.scene.scene4d import Scene4D
from .compat import advanced, block, schema
from .compilation import compile_first
from .devices import compute_device, place, plain_tensors
from .export.host_splat import cameras_from_info
from .progress import COMPLETION, RENDERING, HostProgress
from .render_modes import CAMERA, COMPLETE_GRID, DEFAULTS, PATH, USED
from .wires import GridWire, SceneWire, completed_before, flows_for, kept_flow, proposed


class RenderScene(io.ComfyNode):
    """The missing cells of a grid, or a camera path through the scene."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """See ComfyNode."""
        from ..fourreal_core.proposals.complete_grid import ProposalOptions

        return schema(
            node_id="FourRealRenderScene",
            display_name="Render 4D Scene",
            branch="scene",
            search_aliases=[
                "4real",
                "bullet time",
                "freeze time",
                "novel view",
                "render splats",
                "complete grid",
                "camera path",
                "splat to video",
                "gaussian splat video",
                "render video",
                "orbit video",
            ],
            description="Renders a 4D scene: the unknown cells of a frame grid (known cells stay as given), or a video "
            "along a path of viewpoints and times.",
            inputs=[
                SceneWire.Input("scene", tooltip="The scene."),
                io.Combo.Input(
                    "mode",
                    options=list(USED),
                    default=COMPLETE_GRID,
                    tooltip="complete grid: every "
                    "unknown cell; bullet time: camera and time move together; freeze time: the camera "
                    "moves, time stands; fixed view: time runs, the camera stands; orbit: the central "
                    "camera sways, time stands; camera: time runs before 'camera_info', or while its cameras "
                    "are passed; camera path: the "
                    "cameras and times of 'camera_path'.",
                ),
                GridWire.Input("grid", optional=True, tooltip="The grid to complete; needed by 'complete grid' only."),
                io.Int.Input(
                    "frames",
                    default=DEFAULTS["frames"],
                    min=2,
                    max=4096,
                    tooltip="Number of frames of a video; a grid has as many as it has cells.",
                ),
                io.Float.Input(
                    "time",
                    default=DEFAULTS["time"],
                    min=0.0,
                    max=4095.0,
                    step=0.1,
                    tooltip="Time step from 0, fractions allowed; for 'freeze time' and 'orbit'.",
                ),
                io.Float.Input(
                    "view",
                    default=DEFAULTS["view"],
                    min=0.0,
                    max=255.0,
                    step=0.1,
                    tooltip="View from 0, fractions lie between two views; for 'fixed view'.",
                ),
                io.Float.Input(
                    "degrees",
                    default=DEFAULTS["degrees"],
                    min=0.0,
                    max=90.0,
                    step=0.5,
                    tooltip="Largest turn to a side in degrees; for 'orbit'.",
                ),
                advanced(
                    io.Combo.Input(
                        "colors",
                        options=["source", "splats"],
                        default=ProposalOptions().colors,
                        tooltip="Where 'complete grid' takes its colours: the frames of the clips "
                        "(sharper), or the splats.",
                    )
                ),
                io.Load3DCamera.Input("camera_info", optional=True, tooltip="A camera in the scene; for 'camera'."),
                io.String.Input(
                    "camera_path",
                    optional=True,
                    multiline=True,
                    default="",
                    tooltip="Cameras and times "
                    'as JSON, for \'camera path\': {"frames": [{"view": 0, "time": 0}, {"view": 2.5, '
                    '"time": 3}], "count": 48}. Instead of view: world_to_camera, or position and '
                    "target.",
                ),
            ],
            outputs=[io.Image.Output(display_name="images"), GridWire.Output(display_name="grid")],
        )

    @classmethod
    def execute(
        cls,
        scene: Scene4D,
        mode: str,
        frames: int,
        time: float,
        view: float,
        degrees: float,
        colors: str,
        grid: FrameGrid | None = None,
        camera_info: dict[str, Any] | list[dict[str, Any]] | None = None,
        camera_path: str = "",
    ) -> io.NodeOutput:
        """See ComfyNode."""
        from ..fourreal_core.geometry.steady_grid import SteadyGrid
        from ..fourreal_core.proposals.complete_grid import ProposalOptions, completion
        from ..fourreal_core.proposals.own_cameras import own_cells
        from ..fourreal_core.scene import camera_paths, render

        if mode == COMPLETE_GRID and grid is None:
            raise InputError("no grid to complete", "a frame grid", "connect one, or choose another mode")
        if mode == CAMERA and camera_info is None:
            raise InputError("no camera", "a camera_info", "connect one, or choose another mode")
        progress, device = HostProgress(), compute_device(scene, grid)
        compile_first(device, gradients=False)
        on_step = progress.part(name=COMPLETION if mode == COMPLETE_GRID else RENDERING)
        with plain_tensors():
            scene = place(scene, device)
            if mode == COMPLETE_GRID:
                grid = place(grid)
                proposal, flows = ProposalOptions(colors=colors), flows_for(grid, scene)
                filled = completed_before(scene, grid) if colors == proposal.colors == "source" else None
                if filled is None:
                    made = completion(scene, place(grid, device), proposal, on_step=on_step, flows=flows)
                    filled = proposed(place(made))
                    kept_flow(flows)
                if isinstance(grid, SteadyGrid) and grid.own:
                    filled = own_cells(scene, replace(grid, frames=filled.frames))
                return io.NodeOutput(filled.frames.flatten(0, 1).clone(), filled.packed())
            path = {
                "bullet time": lambda: camera_paths.bullet_time_path(scene, frames),
                "freeze time": lambda: camera_paths.freeze_time_path(scene, time, frames),
                "fixed view": lambda: camera_paths.fixed_view_path(scene, view, frames),
                "orbit": lambda: camera_paths.orbit_path(scene, time, frames, degrees),
                CAMERA: lambda: camera_paths.passing_path(
                    scene, cameras_from_info([] if camera_info is None else camera_info, scene.cameras), frames
                ),
                PATH: lambda: camera_paths.path_from_json(camera_path, scene),
            }[mode]()
            video = render.render_along(scene, path, on_step=on_step)
        return io.NodeOutput(video, block(f"'Render 4D Scene' has a grid only in mode '{COMPLETE_GRID}'"))
