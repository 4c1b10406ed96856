"""Guidance by a proposal, without training: what it surely shows is put back at its noise level in the first steps.

As in Zero4D (Park et al. 2025), which puts back warped pixels where a depth map says that they are seen; here the
proposal's own expected photometric error says where it can be relied on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import comfy.model_sampling
import torch
import torch.nn.functional as F
from comfy_api.latest import io
from torch import Tensor

from ..fourreal_core.errors import InputError
from .wires import expected_error

RELIABLE_GRAY = 6.0
"""Expected error in grey levels of 255 below which a pixel of the proposal is put back; nothing in a latent's pixel may
be worse."""


def guidance_input() -> io.Input:
    """The input for the noise level down to which the proposal guides; the last one of its node."""
    return io.Float.Input(
        "guide_until",
        default=1.0,
        min=0.0,
        max=1.0,
        step=0.01,
        optional=True,
        tooltip="Guidance by the proposal: at noise levels above this one, pixels that 'Render 4D Scene' is sure of "
        "are put back at their noise level, so that the model makes the others to fit them; 1: no guidance.",
    )


def guided(model: Any, proposal: Any, latents: Tensor, until: float) -> Any:
    """A clone of a MODEL whose predictions show the proposal where it is reliable.

    Args:
        model: The host's MODEL.
        proposal: What the user connected.
        latents: ``(V, C, T, h, w)`` what sampling starts from: the proposal encoded, in the VAE's own scale.
        until: Noise level down to which it guides, in ``[0, 1]``; 1 leaves the model as it is.

    Raises:
        InputError: A proposal that doesn't say how sure it is.
    """
    if until >= 1:
        return model
    error = None if proposal is None else expected_error(proposal)
    if error is None:
        raise InputError(
            f"a guide_until of {until:g} and no proposal that says how sure it is",
            "the grid of 'Render 4D Scene' in mode 'complete grid', as it is",
            "connect it to proposal, or set guide_until to 1",
        )
    clone = model.clone()
    clone.set_model_sampler_post_cfg_function(put_back(latents, reliable_pixels(error, latents), until))
    return clone


def reliable_pixels(error_gray: Tensor, latents: Tensor) -> Tensor:
    """Where all pixels of a latent's pixel are expected to be right, ``(V, 1, T, h, w)`` as 0 or 1.

    Args:
        error_gray: ``(V, T, H, W)`` expected error in grey levels of 255.
        latents: ``(V, C, T, h, w)`` for its size and type.
    """
    worst = F.adaptive_max_pool2d(error_gray, (latents.shape[-2], latents.shape[-1]))
    return (worst < RELIABLE_GRAY)[:, None].to(latents)


def put_back(latents: Tensor, reliable: Tensor, until: float) -> Callable[[dict[str, Any]], Tensor]:
    """The host's function behind guidance by prompts: the clean prediction with the proposal where it is reliable.

    A flow sampler's next latents are then the proposal with the noise that it started from, at the next level.
    """

    def change(args: dict[str, Any]) -> Tensor:
        denoised, sigma, model = args["denoised"], args["sigma"], args["model"]
        level = float(sigma.max())
        if not isinstance(model.model_sampling, comfy.model_sampling.CONST):
            level /= 1 + level
        if level <= until:
            return denoised
        target = model.process_latent_in(latents.to(denoised))
        return torch.lerp(denoised, target, reliable.to(denoised))

    return change
