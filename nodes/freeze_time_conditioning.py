"""A frame grid as what a native video model starts from and is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from comfy_api.latest import io
from torch import Tensor

from ..fourreal_core.errors import InputError
from ..fourreal_core.grid import FrameGrid
from .clips import frames_of, resized
from .compat import schema
from .lone_frames import encode_alone
from .progress import HostProgress
from .wires import GridWire

GREY = 0.5


@dataclass(frozen=True)
class Prepared:
    """What goes into a sampler.

    Attributes:
        positive: CONDITIONING.
        negative: CONDITIONING.
        latent: LATENT with ``samples (V, C, T, h, w)`` and ``noise_mask (V, 1, T, h, w)``.
    """

    positive: Any
    negative: Any
    latent: dict[str, Tensor]


class FreezeTimeConditioning(io.ComfyNode):
    """Known cells held, unknown ones to be made, in the form that the model understands."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """See ComfyNode."""
        return schema(
            node_id="FourRealFreezeTimeConditioning", display_name="Freeze-Time Conditioning",
            search_aliases=["4real", "4d video", "bullet time", "grid to latent", "image to video", "vace"],
            description="Turns a frame grid into the latent and the conditioning of a native video model: known cells "
                        "are encoded one by one and held, and models that take an image or a mask are given them.",
            inputs=[
                io.Model.Input("model", tooltip="The model that will sample, before or after 'Apply Parallel Sync'; "
                               "it decides in which form it is told."),
                io.Vae.Input("vae", tooltip="The model's VAE."),
                GridWire.Input("grid", tooltip="The grid with its known cells."),
                io.Conditioning.Input("positive", tooltip="One prompt for the whole grid."),
                io.Conditioning.Input("negative", tooltip="One negative prompt for the whole grid."),
                proposal_input(),
            ],
            outputs=[io.Conditioning.Output(display_name="positive"), io.Conditioning.Output(display_name="negative"),
                     io.Latent.Output(display_name="latent")],
        )

    @classmethod
    def execute(cls, model: Any, vae: Any, grid: FrameGrid, positive: Any, negative: Any,
                proposal: Any = None) -> io.NodeOutput:
        """See ComfyNode."""
        made = prepare(model, vae, grid, positive, negative, proposal)
        return io.NodeOutput(made.positive, made.negative, made.latent)


def proposal_input() -> io.Input:
    """The input for a first guess, for the nodes that have it."""
    return io.MultiType.Input("proposal", types=[GridWire, io.Image], optional=True, tooltip="A first guess of every "
                              "cell, such as the grid of 'Render 4D Scene', or a batch in the order of 'all cells'; "
                              "sample with denoise below 1 to keep of it.")


def prepare(model: Any, vae: Any, grid: FrameGrid, positive: Any, negative: Any, proposal: Any = None) -> Prepared:
    """Latent and conditioning of a grid; inputs are left as they are.

    Raises:
        InputError: Nothing known or nothing unknown, a size that the model does not take, a proposal that does not
            fit, or a VAE of another model.
    """
    from node_helpers import conditioning_set_values

    from .host_models.host_model import KnownCells
    from .host_models.patch import KNOWN_CELLS
    from .host_models.registry import host_model

    family = host_model(model)
    latent_format = model.get_model_object("latent_format")
    _check_grid(grid)
    _check_size(grid, vae, family)
    frames = grid.frames if proposal is None else grid.filled(proposal_frames(proposal, grid)).frames
    filled = grid.known if proposal is None else torch.ones_like(grid.known)
    cells = [tuple(cell) for cell in filled.nonzero().tolist()]
    grey = torch.full_like(frames[0, 0], GREY)
    grey_latent, *encoded = encode_alone(vae, [grey, *(frames[v, t] for v, t in cells)],
                                         latent_format.latent_channels, HostProgress().part())
    samples = latent_format.process_out(torch.zeros_like(grey_latent)).repeat(grid.views, 1, grid.times, 1, 1)
    for (view, time), latent in zip(cells, encoded, strict=True):
        samples[view, :, time] = latent[0, :, 0]
    mask = (~grid.known).to(samples.dtype)[:, None, :, None, None].repeat(1, 1, 1, *samples.shape[-2:])
    told = family.told(KnownCells(samples, mask, grey_latent), samples.shape[1]) | {KNOWN_CELLS: grid.known.clone()}
    return Prepared(conditioning_set_values(positive, told), conditioning_set_values(negative, told),
                    {"samples": samples, "noise_mask": mask})


def proposal_frames(proposal: Any, grid: FrameGrid) -> Tensor:
    """A proposal's frames ``(V, T, H, W, 3)`` at the grid's size.

    Raises:
        InputError: Another number of cells.
    """
    if isinstance(proposal, FrameGrid):
        got, frames = (proposal.views, proposal.times), proposal.frames.flatten(0, 1)
    else:
        frames = frames_of(proposal, "proposal")
        got = (frames.shape[0] / grid.times, grid.times)
    if got != (grid.views, grid.times):
        raise InputError(f"a proposal of {frames.shape[0]} cells for a grid of {grid.views} views and {grid.times} "
                         "times", f"{grid.views * grid.times}, view after view",
                         "use the grid output of 'Render 4D Scene', made from the same grid")
    return resized(frames, grid.size).unflatten(0, (grid.views, grid.times))


def _check_grid(grid: FrameGrid) -> None:
    from ..fourreal_core.sampling.known_cells import check_completable

    check_completable(grid.known[None])


def _check_size(grid: FrameGrid, vae: Any, family: Any) -> None:
    scale = vae.spacial_compression_encode()
    steps = [scale * patch for patch in family.patch_size()]
    if any(side % step for side, step in zip(grid.size, steps, strict=True)):
        fitting = [max(step, round(side / step) * step) for side, step in zip(grid.size, steps, strict=True)]
        raise InputError(f"frames of {grid.size[1]} x {grid.size[0]} pixels for {family.name}",
                         f"multiples of {steps[1]} x {steps[0]}, such as {fitting[1]} x {fitting[0]}",
                         "scale or crop the clips before 'Frame Grid from Videos'")
