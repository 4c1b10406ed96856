"""Figures of a completed frame grid."""

from __future__ import annotations

import json

from comfy_api.latest import io

from ..fourreal_core.grid import FrameGrid
from .compat import advanced, schema
from .devices import place, plain_tensors
from .progress import HostProgress
from .wires import GridWire


class EvaluateGrid(io.ComfyNode):
    """The figures of ``fourreal evaluate`` that need no weights, of one grid."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """See ComfyNode."""
        return schema(
            node_id="FourRealEvaluateGrid",
            display_name="Evaluate Grid",
            branch="grid",
            search_aliases=["4real", "metrics", "psnr", "consistency", "quality", "warping error", "flicker"],
            description="Figures of a completed grid: how consistent it is in time and across views, how much it "
            "moves, how sharp it is, and against a true grid PSNR and SSIM.",
            inputs=[
                GridWire.Input("grid", tooltip="A completed grid; its known cells are not judged."),
                GridWire.Input("truth", optional=True, tooltip="The true grid, of the same views and times."),
                advanced(
                    io.Int.Input(
                        "flow_width",
                        default=512,
                        min=64,
                        max=8192,
                        tooltip="Widest the cells are for figures from flow; smaller is faster.",
                    )
                ),
            ],
            outputs=[
                io.String.Output(display_name="figures", tooltip="JSON: every figure's value, unit and better way."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, grid: FrameGrid, truth: FrameGrid | None = None, flow_width: int = 512) -> io.NodeOutput:
        """See ComfyNode."""
        from ..fourreal_core.evaluation.evaluate import Evaluator
        from ..fourreal_core.evaluation.grids import EvaluatedGrid

        evaluator = Evaluator(flow_width=flow_width)
        with plain_tensors():
            made = EvaluatedGrid.of_grid("grid", place(grid))
            true = None if truth is None else EvaluatedGrid.of_frames("truth", place(truth).frames, made.given)
            found = evaluator(made, true, HostProgress().part())
        figures = evaluator.figures()
        shown = {
            name: {"value": value, "unit": figures[name].unit, "better": figures[name].better}
            for name, value in found.values.items()
        }
        lines = [
            f"{figures[n].label}: {v:.{figures[n].digits}f} {figures[n].unit}".rstrip() for n, v in found.values.items()
        ]
        return io.NodeOutput(json.dumps(shown, indent=1), ui={"text": ["\n".join(lines)]})
