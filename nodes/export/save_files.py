"""A 4D scene as files for other programs, in the host's output folder."""

from __future__ import annotations

from comfy_api.latest import io

from ...fourreal_core.scene.scene4d import Scene4D
from ..compat import advanced, schema
from ..devices import plain_tensors
from ..output_files import next_output
from ..progress import HostProgress
from ..wires import SceneWire

PLY, FOURDGS = "ply, a file a time step", "4dgs, one file that moves"


class ExportScene(io.ComfyNode):
    """Writes a scene in a format that viewers open; never over another."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """See ComfyNode."""
        return schema(
            node_id="FourRealExportScene",
            display_name="Export 4D Scene",
            search_aliases=["4real", "ply", "4dgs", "supersplat", "gaussian splatting", "save splats"],
            description="Writes a 4D scene to the output folder, under the next free number, as .ply files in the "
            "layout of 3D Gaussian Splatting or as one .4dgs file.",
            inputs=[
                SceneWire.Input("scene", tooltip="The scene to write."),
                io.Combo.Input(
                    "format",
                    options=[PLY, FOURDGS],
                    default=PLY,
                    tooltip="ply: a folder with one file a "
                    "time step; 4dgs: one file, which needs the Python package fourdgs.",
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
                        tooltip="Time step of a single .ply, from 0; -1 writes all of them.",
                    )
                ),
                advanced(
                    io.Int.Input(
                        "view",
                        default=-1,
                        min=-1,
                        max=255,
                        tooltip="Take along how this view of the "
                        "freeze-time clip differs from the others (.ply only); -1 writes what new "
                        "cameras see.",
                    )
                ),
                advanced(
                    io.Float.Input(
                        "fps", default=8.0, min=0.1, max=1000.0, step=0.1, tooltip="Time steps a second of a .4dgs."
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
        from ...fourreal_core.scene.formats.fourdgs import save_fourdgs
        from ...fourreal_core.scene.formats.ply import save_ply, save_ply_sequence, splats_at

        on_step, one = HostProgress().part(), time if time >= 0 else None
        whose = view if view >= 0 else None
        check_place(scene, one, whose)
        path, subfolder = next_output(
            filename_prefix, ".4dgs" if format == FOURDGS else ".ply" if one is not None else ""
        )
        with plain_tensors():
            if format == FOURDGS:
                save_fourdgs(scene, path, fps, on_step)
            elif one is not None:
                save_ply(splats_at(scene, one, whose), path)
            else:
                save_ply_sequence(scene, path, view=whose, on_step=on_step)
        name = "/".join(part for part in (subfolder, path.name) if part)
        return io.NodeOutput(name, ui={"text": (name,)})
