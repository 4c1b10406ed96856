"""The noise level at which sampling starts from a proposal, and what is left of the proposal there."""

from __future__ import annotations

import logging
from typing import Any

import comfy.model_sampling
import comfy.samplers
import torch
from comfy_api.latest import io
from torch import Tensor

from ..fourreal_core.errors import InputError

DENSE_STEPS = 1000
"""Steps of the schedule that the levels between are read from."""

log = logging.getLogger(__name__)


def start_noise_input(default: float, tooltip: str) -> io.Input:
    """The input for a starting noise level."""
    return io.Float.Input(
        "start_noise", default=default, min=0.0, max=1.0, step=0.01, round=0.001, optional=True, tooltip=tooltip
    )


def start_sigmas(model: Any, steps: int, scheduler: str, level: float, sampler_name: str = "euler") -> Tensor:
    """The ``steps + 1`` sigmas of a sampling that starts at a noise level, spaced as the scheduler has them there.

    Args:
        model: The host's MODEL.
        steps: Steps from the level to 0.
        scheduler: One of the host's schedules.
        level: Share of noise at the start, in ``(0, 1]``, as a flow model counts it; 1 is the whole schedule.
        sampler_name: Some samplers leave out the last sigma but one.

    Raises:
        InputError: A level outside.
    """
    if not 0 < level <= 1:
        raise InputError(
            f"a starting noise level of {level:g}", "a value above 0 and up to 1", "set another start_noise"
        )
    sampling = model.get_model_object("model_sampling")
    leave_out = sampler_name in getattr(comfy.samplers.KSampler, "DISCARD_PENULTIMATE_SIGMA_SAMPLERS", ())
    count = steps + leave_out
    sigmas = comfy.samplers.calculate_sigmas(sampling, scheduler, count).double()
    if level < 1:
        dense = comfy.samplers.calculate_sigmas(sampling, scheduler, DENSE_STEPS).double()
        first = min(level if _is_flow(sampling) else level / (1 - level), float(dense[0]))
        sigmas = _between(dense, first, count)
    return (torch.cat([sigmas[:-2], sigmas[-1:]]) if leave_out else sigmas).float()


def level_of(model: Any, sigma: float) -> float:
    """The noise level of a sigma: of a flow model the same, of others ``sigma / (1 + sigma)``."""
    return sigma if _is_flow(model.get_model_object("model_sampling")) else sigma / (1 + sigma)


def what_is_left(level: float, proposed: bool) -> str:
    """One sentence on what sampling from a noise level leaves of the proposal.

    Args:
        level: In ``[0, 1]``.
        proposed: Whether there is a proposal.
    """
    left = f"sampling starts at noise level {level:.2f}"
    if not proposed:
        return f"{left}, from nothing that was proposed"
    if level >= 0.995:
        return f"{left}: nothing of the proposal is left in the cells to be made"
    return f"{left}: {100 * (1 - level):.0f} % of the proposal is left in the cells to be made"


def say(sentence: str, node_id: str | None) -> None:
    """Shows a sentence on the node, where there is a front end, and in the log."""
    log.info("4Real: %s", sentence)
    try:
        from server import PromptServer
    except ImportError:  # runtimes without a server
        return
    instance = getattr(PromptServer, "instance", None)
    if instance is not None and node_id is not None:
        instance.send_progress_text(sentence, node_id)


def _is_flow(sampling: Any) -> bool:
    return isinstance(sampling, comfy.model_sampling.CONST)


def _between(dense: Tensor, first: float, count: int) -> Tensor:
    """``count + 1`` values of a falling curve from ``first`` to its end, evenly spaced along the curve's own steps."""
    steps = len(dense) - 1
    below = min(int((dense >= first).sum()), steps)  # the first place at which the curve is lower
    before, after = float(dense[below - 1]), float(dense[below])
    start = below - 1 + (before - first) / max(before - after, 1e-12) if below else 0.0
    places = torch.linspace(start, steps, count + 1, dtype=torch.float64)
    low = places.floor().long().clamp(max=steps - 1)
    values = torch.lerp(dense[low], dense[low + 1], places - low)
    values[0] = first
    return values
