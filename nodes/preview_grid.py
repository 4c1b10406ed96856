"""A frame grid to look through in the node, by view and time."""

from __future__ import annotations

from comfy_api.latest import io

from ..fourreal_core.grid import FrameGrid
from .compat import schema
from .devices import place, plain_tensors
from .progress import HostProgress
from .viewer_files import temp_payload
from .wires import GridWire


class PreviewGrid(io.ComfyNode):
    """Shows one cell at a time; nothing is encoded as a video."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """See ComfyNode."""
        return schema(
            node_id="FourRealPreviewGrid",
            display_name="Preview Frame Grid",
            branch="grid",
            search_aliases=[
                "4real",
                "frame grid",
                "scrub",
                "views and times",
                "preview cells",
                "multi view preview",
                "view video grid",
            ],
            description="Shows a frame grid in the node: drag over the picture, sideways for time and up or down for "
            "the view, or choose a cell; given cells are marked.",
            inputs=[GridWire.Input("grid", tooltip="The grid.")],
            outputs=[GridWire.Output(display_name="grid", tooltip="The grid, passed on.")],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, grid: FrameGrid) -> io.NodeOutput:
        """See ComfyNode."""
        from ..fourreal_core.viewer.grid_payload import grid_payload

        with plain_tensors():
            plain = place(grid)
            on_step = HostProgress().part()
            shown = temp_payload(plain, lambda: grid_payload(plain, on_step=on_step))
        return io.NodeOutput(grid, ui={"fourreal_grid": [shown]})
