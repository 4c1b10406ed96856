"""A frame grid as the latent and the conditioning of a native video model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import comfy.samplers
import torch
from comfy_api.latest import io
from torch import Tensor

from ..fourreal_core.errors import InputError
from ..fourreal_core.grid import FrameGrid
from .clips import frames_of, resized
from .compat import advanced, schema
from .progress import HostProgress
from .starting_level import level_of, say, start_noise_input, start_sigmas, what_is_left
from .wires import GridWire

if TYPE_CHECKING:
    from .host_models.host_model import HostModel, KnownCellLatents


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
            node_id="FourRealFreezeTimeConditioning",
            display_name="Freeze-Time Conditioning",
            branch="model",
            search_aliases=[
                "4real",
                "4d video",
                "bullet time",
                "grid to latent",
                "image to video",
                "vace",
                "multi view conditioning",
                "video inpainting",
            ],
            description="Turns a frame grid into the latent and the conditioning of a native video model: known cells "
            "are encoded one by one and held, and models that take an image or a mask are given them.",
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="The model that will sample, before or after 'Apply Parallel Sync'; "
                    "it decides which form the conditioning has.",
                ),
                io.Vae.Input("vae", tooltip="The model's VAE."),
                GridWire.Input("grid", tooltip="The grid with its known cells."),
                *prompt_inputs(),
                proposal_input(),
                start_noise_input(
                    1.0,
                    "Noise level at which the sigmas start: 0.4 leaves 60 % of the proposal, 1 none. 'SamplerCustom' "
                    "takes the sigmas; 'KSampler' has its own denoise.",
                ),
                advanced(
                    io.Int.Input("steps", default=20, min=1, max=10_000, optional=True, tooltip="Steps of the sigmas.")
                ),
                advanced(
                    io.Combo.Input(
                        "scheduler",
                        options=comfy.samplers.KSampler.SCHEDULERS,
                        default="simple",
                        optional=True,
                        tooltip="The host's schedule, from whose lower part the sigmas are.",
                    )
                ),
            ],
            outputs=[
                io.Conditioning.Output(display_name="positive"),
                io.Conditioning.Output(display_name="negative"),
                io.Latent.Output(display_name="latent"),
                io.Sigmas.Output(display_name="sigmas", tooltip="From the starting noise level to 0."),
                io.String.Output(display_name="start", tooltip="What the sigmas leave of the proposal."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        vae: Any,
        grid: FrameGrid,
        positive: Any = None,
        negative: Any = None,
        proposal: Any = None,
        start_noise: float = 1.0,
        steps: int = 20,
        scheduler: str = "simple",
    ) -> io.NodeOutput:
        """See ComfyNode."""
        from .host_models.registry import host_model

        proposed = proposal is not None or bool(host_model(model).proposals)
        if start_noise < 1 and not proposed:
            raise InputError(
                f"a start_noise of {start_noise:g} and no proposal to start from",
                "a proposal, or a start_noise of 1",
                "connect the grid of 'Render 4D Scene' to proposal, or set start_noise to 1",
            )
        sigmas = start_sigmas(model, steps, scheduler, start_noise)
        made = prepare(model, vae, grid, positive, negative, proposal)
        start = what_is_left(level_of(model, float(sigmas[0])), proposed)
        say(start, cls.hidden.unique_id if cls.hidden else None)
        return io.NodeOutput(made.positive, made.negative, made.latent, sigmas, start)


def prompt_inputs() -> list[io.Input]:
    """The inputs for prompts, for the nodes that have them."""
    return [
        io.Conditioning.Input(
            "positive", optional=True, tooltip="One prompt for the whole grid; a model without text needs none."
        ),
        io.Conditioning.Input(
            "negative",
            optional=True,
            tooltip="One negative prompt for the whole grid; a model without text needs none.",
        ),
    ]


def proposal_input() -> io.Input:
    """The input for a first guess, for the nodes that have it."""
    return io.MultiType.Input(
        "proposal",
        types=[GridWire, io.Image],
        optional=True,
        tooltip="A first guess of every "
        "cell, such as the grid of 'Render 4D Scene', or a batch in the order of 'all cells'; "
        "sample from a noise level below 1 to keep of it. It is also the first input proposal of a refiner.",
    )


def prepare(model: Any, vae: Any, grid: FrameGrid, positive: Any, negative: Any, proposal: Any = None) -> Prepared:
    """Latent and conditioning of a grid; inputs are left as they are.

    Raises:
        InputError: Nothing known or nothing unknown, a size that the model does not take, a proposal that does not
            fit, no prompt for a model with text, or a VAE of another model.
    """
    from .grid_latents import GridLatents

    latents = GridLatents(model, vae)
    check_prompts(latents.family, positive, negative)
    latents.check(grid)
    given = None if proposal is None else proposal_frames(proposal, grid)
    return conditioned_start(
        latents.family,
        latents.cells(grid.frames, grid.known, given, on_step=HostProgress().part()),
        grid.known,
        positive,
        negative,
    )


def conditioned_start(
    family: HostModel, cells: KnownCellLatents, known: Tensor, positive: Any, negative: Any
) -> Prepared:
    """Latent and conditioning of cells.

    Args:
        family: The model's.
        cells: The cells as the model's latents.
        known: ``(V, T)`` bool, which of them are held.
        positive: CONDITIONING, or None.
        negative: CONDITIONING, or None.
    """
    from node_helpers import conditioning_set_values

    from .host_models.patch import KNOWN_CELLS

    values = family.known_cell_conditioning(cells, cells.latents.shape[1]) | {KNOWN_CELLS: known.clone()}
    made = [
        conditioning_set_values(_no_prompt() if prompt is None else prompt, values) for prompt in (positive, negative)
    ]
    return Prepared(*made, {"samples": cells.latents, "noise_mask": cells.mask})


def check_prompts(family: HostModel, positive: Any, negative: Any) -> None:
    """Raises InputError where a model with text gets no prompt."""
    if family.needs_text and (positive is None or negative is None):
        prompts = {"positive": positive, "negative": negative}
        missing = " and ".join(name for name, prompt in prompts.items() if prompt is None)
        raise InputError(f"no {missing} prompt for {family.name}", "both", "connect 'CLIP Text Encode'")


def _no_prompt() -> list[Any]:
    return [[torch.zeros(1, 1, 1), {}]]  # the host's samplers want some tensor


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
        raise InputError(
            f"a proposal of {frames.shape[0]} cells for a grid of {grid.views} views and {grid.times} times",
            f"{grid.views * grid.times}, view after view",
            "use the grid output of 'Render 4D Scene', made from the same grid",
        )
    return resized(frames, grid.size).clamp(0, 1).unflatten(0, (grid.views, grid.times))
