"""Where the geometry of a freeze-time clip comes from, behind one interface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from ..flow.flow_field import FlowEngine
from ..progress import OnStep, no_progress
from .align_monocular import place_views
from .geometry import Geometry
from .structure_from_motion import ParallaxOptions


class GeometrySource(Protocol):
    """Anything that finds depth and cameras of a clip; ``parallax_geometry`` is one, and the default."""

    def __call__(
        self,
        frames: Tensor,
        valid: Tensor | None = None,
        options: ParallaxOptions | None = None,
        engine: FlowEngine | None = None,
        on_step: OnStep = no_progress,
    ) -> Geometry:
        """Depth, focal length and cameras.

        Args:
            frames: ``(V, H, W, 3)`` in ``[0, 1]``, the freeze-time clip.
            valid: ``(H, W)`` bool, pixels that show the scene.
            options: How cameras are found.
            engine: Measures 2D flow; OpenCV's DIS when None.
            on_step: Progress.
        """


@dataclass(frozen=True)
class GivenGeometry:
    """Geometry that was made elsewhere; what has no cameras is placed by flow.

    Attributes:
        geometry: Of the clip's frames.
    """

    geometry: Geometry

    def __call__(
        self,
        frames: Tensor,
        valid: Tensor | None = None,
        options: ParallaxOptions | None = None,
        engine: FlowEngine | None = None,
        on_step: OnStep = no_progress,
    ) -> Geometry:
        """See GeometrySource."""
        self.geometry.check_clip(frames)
        return place_views(frames, self.geometry, valid, options, engine, on_step)
