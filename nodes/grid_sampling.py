"""The host's KSampler on a grid, for the nodes that sample by themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import comfy.sample
import comfy.samplers
import comfy.utils
from comfy_api.latest import io
from torch import Tensor

from ..fourreal_core.errors import InputError
from .freeze_time_conditioning import Prepared

if TYPE_CHECKING:
    from .host_models.host_model import HostModel


@dataclass(frozen=True)
class SamplerSettings:
    """KSampler's settings.

    Attributes:
        seed: Start of the random numbers.
        steps: Sampling steps.
        cfg: Guidance by the prompts.
        sampler_name: One of the host's samplers.
        scheduler: One of the host's schedules.
        denoise: Below 1 the unknown cells start from the proposal.
    """

    seed: int = 0
    steps: int = 30
    cfg: float = 5.0
    sampler_name: str = "euler"
    scheduler: str = "simple"
    denoise: float = 1.0


def sampler_inputs() -> list[io.Input]:
    """The inputs of SamplerSettings, in their order."""
    defaults = SamplerSettings()
    return [
        io.Int.Input(
            "seed",
            default=defaults.seed,
            min=0,
            max=2**64 - 1,
            control_after_generate=True,
            tooltip="Start of the random numbers; the same seed gives the same grid on one machine.",
        ),
        io.Int.Input("steps", default=defaults.steps, min=1, max=10_000, tooltip="Sampling steps."),
        io.Float.Input(
            "cfg",
            default=defaults.cfg,
            min=0.0,
            max=100.0,
            step=0.1,
            tooltip="Guidance by the prompts; 1 leaves the negative prompt out, and is right for models without text.",
        ),
        io.Combo.Input(
            "sampler_name",
            options=comfy.samplers.KSampler.SAMPLERS,
            default=defaults.sampler_name,
            tooltip="The host's sampler.",
        ),
        io.Combo.Input(
            "scheduler",
            options=comfy.samplers.KSampler.SCHEDULERS,
            default=defaults.scheduler,
            tooltip="The host's schedule of noise levels.",
        ),
        io.Float.Input(
            "denoise",
            default=defaults.denoise,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="Below 1 the unknown cells start from the proposal.",
        ),
    ]


def check_start(settings: SamplerSettings, family: HostModel, proposal: Any) -> None:
    """Raises InputError where the unknown cells would start from nothing that has been proposed."""
    if settings.denoise < 1 and proposal is None and not family.proposals:
        raise InputError(
            f"a denoise of {settings.denoise:g} and no proposal to start from",
            "a proposal, or a denoise of 1",
            "connect the grid of 'Render 4D Scene' to proposal, or set denoise to 1",
        )


def sample(
    model: Any,
    made: Prepared,
    noise: Tensor,
    settings: SamplerSettings,
    callback: Callable[[int, Tensor, Tensor, int], None],
) -> Tensor:
    """Samples a grid ``(V, C, T, h, w)`` with the host's KSampler."""
    return comfy.sample.sample(
        model,
        noise,
        settings.steps,
        settings.cfg,
        settings.sampler_name,
        settings.scheduler,
        made.positive,
        made.negative,
        made.latent["samples"],
        denoise=settings.denoise,
        noise_mask=made.latent["noise_mask"],
        seed=settings.seed,
        callback=callback,
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
    )
