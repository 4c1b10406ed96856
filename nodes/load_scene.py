"""A 4D scene from a file in the host's input or output folder."""

from __future__ import annotations

from comfy_api.latest import io

from ..fourreal_core.errors import InputError
from .compat import schema
from .devices import plain_tensors
from .output_files import list_scenes, scene_path
from .wires import SceneWire


class LoadScene(io.ComfyNode):
    """Reads what 'Save 4D Scene' wrote."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """See ComfyNode."""
        return schema(
            node_id="FourRealLoadScene",
            display_name="Load 4D Scene",
            branch="scene",
            search_aliases=["4real", "open scene", "import scene", "load splats"],
            description="Loads a 4D scene that was saved before.",
            inputs=[
                io.Combo.Input(
                    "file",
                    options=list_scenes(),
                    tooltip="A scene file (.safetensors) in the input or the output folder, or one folder below.",
                )
            ],
            outputs=[SceneWire.Output(display_name="scene")],
        )

    @classmethod
    def validate_inputs(cls, file: str) -> bool | str:
        """Accepts files that appeared after the list was made."""
        try:
            scene_path(file)
        except InputError as err:
            return str(err)
        return True

    @classmethod
    def fingerprint_inputs(cls, file: str) -> str:
        """Changes when the file does."""
        found = scene_path(file).stat()
        return f"{file}:{found.st_mtime_ns}:{found.st_size}"

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        """See ComfyNode."""
        from ..fourreal_core.scene.formats.scene_file import load_scene

        with plain_tensors():
            return io.NodeOutput(load_scene(scene_path(file)))
