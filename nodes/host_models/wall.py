"""Previews of a whole grid while the host's samplers work on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import comfy.utils
import latent_preview
from torch import Tensor

Callback = Callable[[int, Tensor, Tensor, int], None]


def with_wall(callback: Callback | None, model: Any) -> Callback | None:
    """A sampler's callback that also shows all cells: views downward, times to the right.

    The host's own preview shows the first cell alone; the wall is sent after it, so that it is what stays.

    Args:
        callback: The sampler's; None where nobody looks.
        model: The host's MODEL.
    """
    if callback is None:
        return None
    previewer = latent_preview.get_previewer(model.load_device, model.model.latent_format)
    if previewer is None:
        return callback

    def both(step: int, x0: Tensor, x: Tensor, total_steps: int) -> None:
        callback(step, x0, x, total_steps)
        picture = previewer.decode_latent_to_preview_image("JPEG", wall_of(x0))
        comfy.utils.ProgressBar(total_steps).update_absolute(step + 1, total_steps, picture)

    return both


def wall_of(latents: Tensor) -> Tensor:
    """``(V, C, T, h, w)`` as the latent of one picture ``(1, C, 1, V h, T w)``."""
    views, channels, times, height, width = latents.shape
    return latents.permute(1, 0, 3, 2, 4).reshape(1, channels, 1, views * height, times * width)
