"""Previews of a whole grid while the host's samplers work on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import comfy.utils
import latent_preview
import numpy as np
import torch
from torch import Tensor

from ...fourreal_core.progress import OnStep

Callback = Callable[[int, Tensor, Tensor, int], None]


def with_wall(callback: Callback | None, model: Any) -> Callback | None:
    """A sampler's callback that also shows all cells: views downward, times to the right.

    The host's own preview shows the first cell alone; the wall is sent after it, so that it is what stays.

    Args:
        callback: The sampler's; None where nobody looks.
        model: The host's MODEL.
    """
    if callback is None or isinstance(callback, WallPictures):
        return callback
    previewer = latent_preview.get_previewer(model.load_device, model.model.latent_format)
    if previewer is None:
        return callback

    def both(step: int, x0: Tensor, x: Tensor, total_steps: int) -> None:
        callback(step, x0, x, total_steps)
        picture = previewer.decode_latent_to_preview_image("JPEG", wall_of(x0))
        comfy.utils.ProgressBar(total_steps).update_absolute(step + 1, total_steps, picture)

    return both


class WallPictures:
    """A sampler's callback that shows nothing but walls, on a bar of its caller's.

    Args:
        model: The host's MODEL.
        on_step: The caller's progress.
    """

    def __init__(self, model: Any, on_step: OnStep) -> None:
        self._previewer = latent_preview.get_previewer(model.load_device, model.model.latent_format)
        self._on_step = on_step

    def __call__(self, step: int, x0: Tensor, x: Tensor, total_steps: int) -> None:
        """The host's protocol."""
        self._on_step(step + 1, total_steps, None if self._previewer is None else self._picture(x0))

    def _picture(self, x0: Tensor) -> Tensor:
        picture = self._previewer.decode_latent_to_preview(wall_of(x0)).convert("RGB")
        return torch.from_numpy(np.array(picture)).float() / 255


def wall_of(latents: Tensor) -> Tensor:
    """``(V, C, T, h, w)`` as the latent of one picture ``(1, C, 1, V h, T w)``."""
    views, channels, times, height, width = latents.shape
    return latents.permute(1, 0, 3, 2, 4).reshape(1, channels, 1, views * height, times * width)
