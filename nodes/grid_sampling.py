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
from .starting_level import level_of, start_noise_input, start_sigmas, what_is_left

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
        start_noise: Noise level at which sampling starts, in the place of denoise; 0 leaves it to denoise.
    """

    seed: int = 0
    steps: int = 30
    cfg: float = 5.0
    sampler_name: str = "euler"
    scheduler: str = "simple"
    denoise: float = 1.0
    start_noise: float = 0.0


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
            tooltip="Below 1 the unknown cells start from the proposal. How much of it is left depends on the "
            "schedule: with a shift of 8, a denoise of 0.6 starts at noise level 0.93. start_noise sets the level.",
        ),
    ]


def level_input() -> io.Input:
    """The input for the starting noise level; the last one of its nodes."""
    return start_noise_input(
        SamplerSettings().start_noise,
        "Noise level at which sampling starts, in the place of denoise: 0.4 leaves 60 % of the proposal, whatever the "
        "schedule; 0: denoise decides.",
    )


def check_start(settings: SamplerSettings, family: HostModel, proposal: Any) -> None:
    """Raises InputError where the unknown cells would start from nothing that has been proposed."""
    level = settings.start_noise
    if proposal is not None or family.proposals or level == 1 or (not level and settings.denoise == 1):
        return
    name, value, off = ("start_noise", level, 0) if level else ("denoise", settings.denoise, 1)
    raise InputError(
        f"a {name} of {value:g} and no proposal to start from",
        f"a proposal, or a {name} of {off}",
        f"connect the grid of 'Render 4D Scene' to proposal, or set {name} to {off}",
    )


def sampling_sigmas(model: Any, settings: SamplerSettings) -> Tensor:
    """The sigmas that these settings sample at."""
    if settings.start_noise:
        return start_sigmas(model, settings.steps, settings.scheduler, settings.start_noise, settings.sampler_name)
    made: Tensor = comfy.samplers.KSampler(
        model, settings.steps, model.load_device, settings.sampler_name, settings.scheduler, settings.denoise
    ).sigmas
    return made


def told_start(model: Any, settings: SamplerSettings, proposed: bool) -> str:
    """One sentence on where the sampling starts and what that leaves of the proposal."""
    sigmas = sampling_sigmas(model, settings)
    return what_is_left(level_of(model, float(sigmas[0])) if len(sigmas) else 0.0, proposed)


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
        sigmas=sampling_sigmas(model, settings) if settings.start_noise else None,
        seed=settings.seed,
        callback=callback,
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
    )
