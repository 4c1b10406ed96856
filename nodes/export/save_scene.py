"""A 4D scene to a file in the host's output folder."""

from __future__ import annotations

from comfy_api.latest import io

from ...fourreal_core.scene.scene4d import Scene4D
from ..compat import schema
from ..devices import plain_tensors
from ..output_files import SCENE_SUFFIX, entries, next_output
from ..wires import SceneWire


class SaveScene(io.ComfyNode):
    """Writes a scene as one safetensors file; never over another."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """See ComfyNode."""
        return schema(
            node_id="FourRealSaveScene",
            display_name="Save 4D Scene",
            branch="export",
            search_aliases=["4real", "export scene", "save splats", "save 4d"],
            description="Saves a 4D scene to the output folder, under the next free number.",
            inputs=[
                SceneWire.Input("scene", tooltip="The scene to save."),
                io.String.Input(
                    "filename_prefix",
                    default="4Real/scene",
                    tooltip="Start of the file name within the output folder; may have subfolders.",
                ),
            ],
            outputs=[io.String.Output(display_name="file", tooltip="Name of the file, as 'Load 4D Scene' takes it.")],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, scene: Scene4D, filename_prefix: str) -> io.NodeOutput:
        """See ComfyNode."""
        from ...fourreal_core.scene.formats.scene_file import save_scene

        path, subfolder = next_output(filename_prefix, SCENE_SUFFIX)
        with plain_tensors():
            save_scene(scene, path)
        name = "/".join(part for part in (subfolder, path.name) if part) + " [output]"
        return io.NodeOutput(name, ui={"files": entries(path, subfolder), "text": (name,)})
