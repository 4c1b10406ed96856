"""A grid of latents as a grid of frames."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io
from torch import Tensor

from ..fourreal_core.errors import InputError
from ..fourreal_core.grid import FrameGrid
from .compat import schema
from .devices import place, plain_tensors
from .per_frame_vae import decode_alone
from .progress import HostProgress
from .wires import GridWire


class Decode4DLatent(io.ComfyNode):
    """Every cell decoded as a picture of its own."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """See ComfyNode."""
        return schema(
            node_id="FourRealDecode4DLatent",
            display_name="Decode 4D Latent",
            branch="model",
            search_aliases=["4real", "vae decode", "latent to grid", "4d video", "decode grid", "vae decode grid"],
            description="Decodes a sampled latent of views and times into a frame grid, each cell alone.",
            inputs=[
                io.Latent.Input("latent", tooltip="A sampled latent, (views, channels, times, height, width)."),
                io.Vae.Input("vae", tooltip="The model's VAE."),
                GridWire.Input(
                    "grid",
                    optional=True,
                    tooltip="The grid that the latent was made from: its known cells stay exactly as given.",
                ),
            ],
            outputs=[GridWire.Output(display_name="grid")],
        )

    @classmethod
    def execute(cls, latent: dict[str, Any], vae: Any, grid: FrameGrid | None = None) -> io.NodeOutput:
        """See ComfyNode."""
        return io.NodeOutput(decoded(latent, vae, grid))


def decoded(latent: dict[str, Any], vae: Any, grid: FrameGrid | None = None) -> FrameGrid:
    """The frame grid of a LATENT; known cells are those of ``grid``, bit for bit.

    Raises:
        InputError: A latent that is no grid, or not one of ``grid``'s size.
    """
    from .host_models.patch import check_latent

    samples: Tensor = latent["samples"]
    check_latent(samples, None)
    if grid is not None and (samples.shape[0], samples.shape[2]) != (grid.views, grid.times):
        raise InputError(
            f"a latent of {samples.shape[0]} views and {samples.shape[2]} times, and a grid of "
            f"{grid.views} and {grid.times}",
            "the latent that was made from this grid",
            "connect the grid that went into 'Freeze-Time Conditioning'",
        )
    frames = decode_alone(vae, samples, HostProgress().part())
    if grid is not None and tuple(frames.shape[2:4]) != grid.size:
        raise InputError(
            f"a latent of {frames.shape[3]} x {frames.shape[2]} pixels and a grid of {grid.size[1]} x {grid.size[0]}",
            "one size",
            "leave the latent's size as 'Freeze-Time Conditioning' made it",
        )
    with plain_tensors():
        frames = place(frames)
        if grid is not None:
            return grid.filled(frames).packed()
        nothing = torch.zeros(frames.shape[:2], dtype=torch.bool)
        return FrameGrid(frames, nothing, torch.ones(frames.shape[2:4], dtype=torch.bool)).packed()
