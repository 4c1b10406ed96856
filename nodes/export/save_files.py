"""A 4D scene as files for other programs, in the host's output folder."""

from __future__ import annotations

from comfy_api.latest import io

from ...fourreal_core.exports import EXPORTS
from ...fourreal_core.scene.scene4d import Scene4D
from ..compat import advanced, schema
from ..devices import plain_tensors
from ..output_files import entries, next_output
from ..progress import HostProgress
from ..wires import SceneWire

FORMATS = {form.label: form for form in EXPORTS}


def _takers(option: str) -> str:
    return ", ".join(form.name for form in EXPORTS if option in form.takes)


class ExportScene(io.ComfyNode):
    """Writes a scene in a format that viewers open; never over another."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """See ComfyNode."""
        return schema(
            node_id="FourRealExportScene",
            display_name="Export 4D Scene",
            branch="export",
            search_aliases=[
                "4real",
                "supersplat",
                "gaussian splatting",
                "save splats",
                "export ply",
                "save ply",
                "export usd",
                "export glb",
                "ply sequence",
                "blender",
                "html viewer",
            ],
            description="Writes a 4D scene, or its cameras, to the output folder, under the next free number, in a "
            "format that other programs open.",
            inputs=[
                SceneWire.Input("scene", tooltip="The scene to write."),
                io.Combo.Input(
                    "format",
                    options=list(FORMATS),
                    default=EXPORTS[0].label,
                    tooltip="ply writes a folder with one file a time step. Some need a Python package, which is named "
                    f"where it is missing: {', '.join(f.name for f in EXPORTS if f.package is not None)}.",
                ),
                io.String.Input(
                    "filename_prefix",
                    default="4Real/splats",
                    tooltip="Start of the name within the output folder; may have subfolders.",
                ),
                advanced(
                    io.Int.Input(
                        "time",
                        default=-1,
                        min=-1,
                        max=4095,
                        tooltip=f"Time step, from 0, of one moment ({_takers('time')}); -1 is the first, and "
                        "for ply all of them.",
                    )
                ),
                advanced(
                    io.Int.Input(
                        "view",
                        default=-1,
                        min=-1,
                        max=255,
                        tooltip="Take along how this view of the "
                        f"freeze-time clip differs from the others ({_takers('view')}); -1 writes what new "
                        "cameras see.",
                    )
                ),
                advanced(
                    io.Float.Input(
                        "fps",
                        default=8.0,
                        min=0.1,
                        max=1000.0,
                        step=0.1,
                        tooltip=f"Time steps a second ({_takers('fps')}).",
                    )
                ),
            ],
            outputs=[
                io.String.Output(display_name="file", tooltip="Name of the file or folder within the output folder.")
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        scene: Scene4D,
        format: str,
        filename_prefix: str,
        time: int,
        view: int,  # noqa: A002
        fps: float,
    ) -> io.NodeOutput:
        """See ComfyNode."""
        from ...fourreal_core.scene.camera_paths import check_place
        from ...fourreal_core.scene.formats.scene_format import ExportOptions, export_scene

        form, one, whose = FORMATS[format], time if time >= 0 else None, view if view >= 0 else None
        check_place(scene, one, whose)
        given = {"time": one, "view": whose, "fps": fps}
        options = ExportOptions(**{name: value for name, value in given.items() if name in form.takes})
        path, subfolder = next_output(filename_prefix, form.ending(options))
        with plain_tensors():
            export_scene(scene, form, path, options, HostProgress().part())
        name = "/".join(part for part in (subfolder, path.name) if part)
        return io.NodeOutput(name, ui={"files": entries(path, subfolder), "text": (name,)})
