"""A pair of clips to try everything with: rendered from a seeded scene, nothing to download."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ..fourreal_core.grid import FrameGrid
from .compat import advanced, schema
from .devices import plain_tensors
from .grid import WINDOW
from .progress import HostProgress
from .wires import GridWire

FPS = 8.0


class SampleClips(io.ComfyNode):
    """Both clips of a sample scene, and every cell of the grid between them as it really is."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """See ComfyNode."""
        from ..fourreal_core.synthetic.sample_scenes import SAMPLE_SCENES

        return schema(
            node_id="FourRealSampleClips",
            display_name="Sample Clips",
            branch="grid",
            search_aliases=["4real", "example clips", "test video", "demo scene", "synthetic scene", "sample video"],
            description="Renders a freeze-time clip and a fixed-view clip of a small made-up scene, to try everything "
            "with. Put clips of your own in its place with 'Load Video'. The true grid shows what the missing cells "
            "really look like.",
            inputs=[
                io.Combo.Input(
                    "scene",
                    options=list(SAMPLE_SCENES),
                    default=SAMPLE_SCENES[0],
                    tooltip="What is seen: a puppet and a ball, a crate and a ball, or jelly in a yard; an animal; a "
                    "windmill.",
                ),
                io.Int.Input("width", default=384, min=16, max=2048, step=8, tooltip="Width of the frames in pixels."),
                io.Int.Input("height", default=216, min=16, max=2048, step=8, tooltip="Their height in pixels."),
                io.Int.Input(
                    "views", default=WINDOW, min=2, max=256, tooltip="Frames of the freeze-time clip, one a viewpoint."
                ),
                io.Int.Input(
                    "times", default=WINDOW, min=2, max=256, tooltip="Frames of the fixed-view clip, one a time step."
                ),
                advanced(
                    io.Int.Input(
                        "seed",
                        default=0,
                        min=0,
                        max=2**31 - 1,
                        control_after_generate=False,
                        tooltip="Of the patterns on things; of everything in the scenes with an animal or a windmill.",
                    )
                ),
            ],
            outputs=[
                io.Image.Output(display_name="freeze_time", tooltip="The camera moves around the stopped scene."),
                io.Image.Output(display_name="fixed_view", tooltip="The camera stands and time runs."),
                GridWire.Output(display_name="true_grid", tooltip="Every viewpoint at every time, to compare with."),
                io.Float.Output(display_name="fps", tooltip="Frames a second of the fixed-view clip."),
            ],
        )

    @classmethod
    def execute(cls, scene: str, width: int, height: int, views: int, times: int, seed: int) -> io.NodeOutput:
        """See ComfyNode."""
        from ..fourreal_core.synthetic.sample_scenes import sample_clips

        with plain_tensors():
            on_step = HostProgress().part()
            made = sample_clips(
                scene, (height, width), views, times, seed, lambda done, n, preview=None: on_step(done, n)
            )
            frames = made.frames
            everywhere = torch.ones(frames.shape[:2], dtype=torch.bool)
            grid = FrameGrid(frames, everywhere, torch.ones(frames.shape[2:4], dtype=torch.bool))
            return io.NodeOutput(grid.freeze_time.clone(), grid.fixed_view.clone(), grid.packed(), FPS)
