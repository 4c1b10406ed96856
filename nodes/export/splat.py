"""A 4D scene as the host's own splats, for its render, transform, save and preview nodes."""

from __future__ import annotations

from comfy_api.latest import io

from ...fourreal_core.errors import InputError
from ...fourreal_core.scene.scene4d import Scene4D
from ..compat import Splat, camera_lists, schema, splat_class
from ..devices import plain_tensors
from ..progress import HostProgress
from ..wires import SceneWire
from .host_splat import camera_info, splat_fields


class SceneToSplat(io.ComfyNode):
    """Splats of one time step or of all, and the camera of one view."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """See ComfyNode."""
        return schema(
            node_id="FourRealSceneToSplat",
            display_name="4D Scene to Splat",
            branch="export",
            search_aliases=["4real", "splat", "gaussian", "ply", "export splats", "scene to ply", "gaussian splat"],
            description="Gives the scene to ComfyUI's own splat nodes: a batch with one item a time step, or one time "
            "step. Needs a ComfyUI that has the SPLAT type.",
            inputs=[
                SceneWire.Input("scene", tooltip="The scene."),
                io.Int.Input(
                    "time",
                    default=0,
                    min=-1,
                    max=4095,
                    tooltip="Time step, from 0; -1 gives all of them, one item each, of which ComfyUI's save node "
                    "writes the first only ('Export 4D Scene' writes a sequence).",
                ),
                io.Int.Input(
                    "view",
                    default=0,
                    min=0,
                    max=255,
                    tooltip="View of the freeze-time clip, from 0, whose camera is given out.",
                ),
            ],
            outputs=[Splat.Output(display_name="splat"), io.Load3DCamera.Output(display_name="camera_info")],
        )

    @classmethod
    def execute(cls, scene: Scene4D, time: int, view: int) -> io.NodeOutput:
        """See ComfyNode."""
        host_splat = splat_class()
        for axis, index, count in (("time", time, scene.times), ("view", view, scene.views)):
            if index >= count:
                raise InputError(
                    f"{axis} {index}",
                    f"0 to {count - 1}, since the scene has {count} {axis}s",
                    f"choose a smaller {axis}",
                )
        with plain_tensors():
            steps = list(range(scene.times)) if time < 0 else [time]
            splat = host_splat(**splat_fields(scene, steps, HostProgress().part()))
            camera = scene.cameras[view]
            depth = float(camera.to_camera(scene.splats.means)[0, :, 2].median()) if len(scene.splats) else 1.0
            info = camera_info(camera, depth)
            return io.NodeOutput(splat, [info] if camera_lists() else info)
