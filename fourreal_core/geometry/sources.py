"""Where the geometry of a freeze-time clip comes from, behind one interface."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from ..flow.clip_flows import ClipFlows
from ..progress import OnStep, no_progress
from .geometry import Geometry
from .structure_from_motion import ParallaxOptions


class GeometrySource(Protocol):
    """Anything that finds depth and cameras of a clip; ``parallax_geometry`` is one, and the default."""

    def __call__(
        self,
        clip: ClipFlows,
        valid: Tensor | None = None,
        options: ParallaxOptions | None = None,
        on_step: OnStep = no_progress,
    ) -> Geometry:
        """Depth, focal length and cameras.

        Args:
            clip: The freeze-time clip, V frames, with the flows between them.
            valid: ``(H, W)`` bool, pixels that show the scene.
            options: How cameras are found.
            on_step: Progress.
        """
