"""What follows surface points in 3D, behind one interface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from ..progress import OnStep, no_progress
from .flow import FlowEngine
from .geometry import Geometry
from .track3d import TrackOptions, track_times, track_views
from .tracks import Tracks


class TrackEngine(Protocol):
    """Anything that follows points through both clips of the main job."""

    def track_views(self, frames: Tensor, geometry: Geometry, valid: Tensor | None = None,
                    options: TrackOptions | None = None, on_step: OnStep = no_progress) -> Tracks:
        """Points of the freeze-time clip ``(V, H, W, 3)`` in every view's own camera space.

        Args:
            frames: ``(V, H, W, 3)`` in ``[0, 1]``.
            geometry: Depth and cameras of the same frames.
            valid: ``(H, W)`` bool, pixels that show the scene.
            options: How many points, and how they are followed.
            on_step: Progress.
        """

    def track_times(self, frames: Tensor, geometry: Geometry, valid: Tensor | None = None,
                    options: TrackOptions | None = None, on_step: OnStep = no_progress) -> Tracks:
        """Points of the fixed-view clip ``(T, H, W, 3)`` in view 0's camera space, started in its first frame.

        Args:
            frames: ``(T, H, W, 3)`` in ``[0, 1]``; the first frame is view 0 of the geometry.
            geometry: Depth and cameras of the freeze-time clip.
            valid: ``(H, W)`` bool, pixels that show the scene.
            options: How many points, and how they are followed.
            on_step: Progress.
        """


@dataclass(frozen=True)
class FlowTracks:
    """The built-in engine: 2D flow says where a point is seen, geometry lifts it.

    Attributes:
        flow: Measures 2D flow; OpenCV's DIS when None.
    """

    flow: FlowEngine | None = None

    def track_views(self, frames: Tensor, geometry: Geometry, valid: Tensor | None = None,
                    options: TrackOptions | None = None, on_step: OnStep = no_progress) -> Tracks:
        """See TrackEngine."""
        return track_views(frames, geometry, valid, options, self.flow, on_step)

    def track_times(self, frames: Tensor, geometry: Geometry, valid: Tensor | None = None,
                    options: TrackOptions | None = None, on_step: OnStep = no_progress) -> Tracks:
        """See TrackEngine."""
        return track_times(frames, geometry, valid, options, self.flow, on_step)
