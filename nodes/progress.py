"""The core's progress callback on the host's progress bar, previews and cancel button included."""

from __future__ import annotations

from time import perf_counter

import comfy.model_management
import comfy.utils
import torch
from PIL import Image

from ..fourreal_core.progress import OnStep

PART_UNITS = 1000
"""Units of the host's bar for one part of a node's work, independent of its number of steps."""

PREVIEW_PIXELS = 512
"""Longest side of a preview picture."""

PREVIEW_SECONDS = 0.5
"""Least time between two previews; encoding one for every step would cost more than the step."""


class HostProgress:
    """One node's progress bar, divided into equal parts for the core calls that the node makes.

    Args:
        parts: Number of core calls.
    """

    def __init__(self, parts: int = 1) -> None:
        self._bar = comfy.utils.ProgressBar(parts * PART_UNITS)
        self._last_preview = float("-inf")

    def part(self, index: int = 0) -> OnStep:
        """The callback for the core call number ``index``.

        It raises the host's own exception when the user has cancelled; nothing between here and the host catches it.
        """

        def on_step(done: int, total: int, preview: torch.Tensor | None = None) -> None:
            comfy.model_management.throw_exception_if_processing_interrupted()
            value = index * PART_UNITS + PART_UNITS * min(done, total) // max(total, 1)
            self._bar.update_absolute(value, preview=self._picture(preview))

        return on_step

    def _picture(self, preview: torch.Tensor | None) -> tuple[str, Image.Image, int] | None:
        now = perf_counter()
        if preview is None or now - self._last_preview < PREVIEW_SECONDS:
            return None
        self._last_preview = now
        pixels = preview.detach().clamp(0, 1).mul(255).round().to("cpu", torch.uint8).numpy()
        return "JPEG", Image.fromarray(pixels), PREVIEW_PIXELS
