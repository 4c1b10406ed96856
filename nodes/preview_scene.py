"""The 4D viewer inside a node, and the camera path that is drawn in it."""

from __future__ import annotations

import json
from typing import Any

from comfy_api.latest import io

from ..fourreal_core.grid import FrameGrid
from ..fourreal_core.scene.camera_paths import CameraPath, path_from_json
from ..fourreal_core.scene.scene4d import Scene4D
from .compat import camera_lists, hidden, schema
from .devices import place, plain_tensors
from .export.host_splat import camera_info
from .progress import HostProgress
from .viewer_files import temp_payload
from .wires import GridWire, SceneWire

_FRAMES = 48


class PreviewScene(io.ComfyNode):
    """Plays a scene; what it gives out is the path that its keyframes say."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """See ComfyNode."""
        return schema(
            node_id="FourRealPreviewScene",
            display_name="Preview 4D Scene",
            branch="scene",
            search_aliases=[
                "4real",
                "viewer",
                "play splats",
                "camera path",
                "gaussian splatting",
                "keyframes",
                "view splats",
                "gaussian splat viewer",
            ],
            description="Plays a 4D scene in the node: time and camera are yours, nothing before it runs again. Draw a "
            "camera path with keyframes; it is saved with the workflow and goes to 'Render 4D Scene'. With the grid, "
            "its given frames are laid over the picture or beside it.",
            inputs=[
                SceneWire.Input("scene", tooltip="The scene."),
                hidden(
                    io.String.Input(
                        "keyframes",
                        default="",
                        socketless=True,
                        tooltip="The camera path drawn in the viewer, as JSON; the viewer writes it. Empty: the clip's "
                        "own views.",
                    )
                ),
                GridWire.Input(
                    "grid",
                    optional=True,
                    tooltip="The grid that the scene was fitted to: its given frames are there to compare with.",
                ),
            ],
            outputs=[
                SceneWire.Output(display_name="scene", tooltip="The scene, passed on."),
                io.String.Output(
                    display_name="camera_path", tooltip="The path as JSON, for 'Render 4D Scene', mode 'camera path'."
                ),
                io.Load3DCamera.Output(
                    display_name="camera_info",
                    tooltip="The keyframes' cameras for ComfyUI's 3D nodes; the first of them where a node takes one.",
                ),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, scene: Scene4D, keyframes: str, grid: FrameGrid | None = None) -> io.NodeOutput:
        """See ComfyNode."""
        from ..fourreal_core.viewer import PayloadOptions, viewer_payload
        from ..fourreal_core.viewer.given_frames import frames_of_grid

        with plain_tensors():
            plain, given = place(scene), place(grid)
            path = keyframes.strip() or clip_path(plain)
            cameras = camera_infos(plain, path_from_json(_keys_alone(path), plain))
            on_step = HostProgress().part()
            options = PayloadOptions(compression=6)

            def pack() -> bytes:
                frames = [] if given is None else frames_of_grid(given, plain)
                return viewer_payload(plain, frames, options, on_step)

            shown = temp_payload((plain, given), pack)
        return io.NodeOutput(scene, path, cameras if camera_lists() else cameras[0], ui={"fourreal_scene": [shown]})


def clip_path(scene: Scene4D) -> str:
    """The clip's own views as a written path; time runs once."""
    return json.dumps({"count": _FRAMES, "frames": [{"view": view} for view in range(scene.views)]})


def camera_infos(scene: Scene4D, path: CameraPath) -> list[dict[str, Any]]:
    """The host's descriptions of a path's cameras."""
    infos = []
    for k in range(len(path.cameras)):
        camera = path.cameras[k]
        ahead = camera.to_camera(scene.splats.means)[0, :, 2]
        ahead = ahead[ahead > 0]
        infos.append(camera_info(camera, float(ahead.median()) if len(ahead) else 1.0))
    return infos


def _keys_alone(path: str) -> str:
    """The path without the frames between its keyframes."""
    try:
        data = json.loads(path)
    except json.JSONDecodeError:
        return path  # who reads it says what is wrong
    return json.dumps({key: value for key, value in data.items() if key != "count"}) if isinstance(data, dict) else path
