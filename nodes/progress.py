"""The core's progress callback on the host's progress bar: stage names, previews and the cancel button included."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter

import comfy.model_management
import comfy.utils
import torch
from PIL import Image

from ..fourreal_core.progress import OnStep
from .node_text import show_text

PART_UNITS = 1000
"""Units of the host's bar for one part of a node's work, independent of its number of steps."""

PREVIEW_PIXELS = 512
"""Longest side of a preview picture."""

PREVIEW_SECONDS = 0.5
"""Least time between two previews, and two texts; encoding one for every step would cost more than the step."""


DEPTH = "Finding cameras and depth"
PLACES = "Placing the cameras"
STANDING = "Checking that the fixed view stands"
AROUND = "Following points around the scene"
THROUGH_TIME = "Following points through time"
FLOATERS = "Removing floaters"
MOTION = "Fitting the motion"
COMPLETION = "Completing the grid"
REFIT = "Fitting the scene to the grid"
RENDERING = "Rendering the frames"


class HostProgress:
    """One node's progress bar, divided into equal parts for the core calls that the node makes.

    Args:
        parts: Number of core calls.
    """

    def __init__(self, parts: int = 1) -> None:
        self._bar = comfy.utils.ProgressBar(parts * PART_UNITS)
        self._last_preview = self._last_text = float("-inf")

    def part(self, index: int = 0, name: str = "", length: int = 1) -> OnStep:
        """The callback for the core call number ``index``.

        It raises the host's own exception when the user has cancelled; nothing between here and the host catches it.

        Args:
            index: Where on the bar it begins, in parts.
            name: What the node is at, as the user reads it on the node with the number of the step; none when empty.
            length: How many parts it takes.
        """
        if name:
            self.say(name)

        def on_step(done: int, total: int, preview: torch.Tensor | None = None) -> None:
            comfy.model_management.throw_exception_if_processing_interrupted()
            value = index * PART_UNITS + length * PART_UNITS * min(done, total) // max(total, 1)
            if name and (done >= total or perf_counter() - self._last_text >= PREVIEW_SECONDS):
                self.say(f"{name} · {done} of {total}")
            self._bar.update_absolute(value, preview=self._picture(preview))

        return on_step

    def stages(self, stages: Mapping[str, tuple[str, int]], start: int = 0) -> _Stages:
        """Callbacks by the name of a core's stage.

        Args:
            stages: What the user reads, and the number of parts, for each stage in order.
            start: Parts before the first.
        """
        return _Stages(self, stages, start)

    def say(self, text: str) -> None:
        """Shows a text on the node."""
        self._last_text = perf_counter()
        show_text(text)

    def _picture(self, preview: torch.Tensor | None) -> tuple[str, Image.Image, int] | None:
        now = perf_counter()
        if preview is None or now - self._last_preview < PREVIEW_SECONDS:
            return None
        self._last_preview = now
        pixels = preview.detach().clamp(0, 1).mul(255).round().to("cpu", torch.uint8).numpy()
        return "JPEG", Image.fromarray(pixels), PREVIEW_PIXELS


class _Stages:
    """A stage factory, as the core takes it."""

    def __init__(self, progress: HostProgress, stages: Mapping[str, tuple[str, int]], start: int) -> None:
        self.progress, self.places = progress, {}
        for stage, (name, length) in stages.items():
            self.places[stage] = (start, name, length)
            start += length

    def __call__(self, stage: str) -> OnStep:
        return self.progress.part(*self.places[stage])
