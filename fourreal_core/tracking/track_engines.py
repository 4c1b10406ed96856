"""What follows surface points in 3D, behind one interface."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from ..errors import InputError
from ..flow.clip_flows import ClipFlows
from ..geometry.geometry import Geometry
from ..progress import OnStep, no_progress
from .track3d import TrackOptions, track_times, track_views
from .tracks import Tracks


class TrackEngine(Protocol):
    """Anything that follows points through both clips of the main job."""

    def track_views(
        self,
        clip: ClipFlows,
        geometry: Geometry,
        valid: Tensor | None = None,
        options: TrackOptions | None = None,
        on_step: OnStep = no_progress,
    ) -> Tracks:
        """Points of the freeze-time clip, V frames, in every view's own camera space.

        Args:
            clip: The freeze-time clip with the flows between its frames.
            geometry: Depth and cameras of the same frames.
            valid: ``(H, W)`` bool, pixels that show the scene.
            options: How many points, and how they are followed.
            on_step: Progress.
        """

    def track_times(
        self,
        clip: ClipFlows,
        geometry: Geometry,
        valid: Tensor | None = None,
        options: TrackOptions | None = None,
        on_step: OnStep = no_progress,
    ) -> Tracks:
        """Points of the fixed-view clip, T frames, in view 0's camera space, started in its first frame.

        Args:
            clip: The fixed-view clip likewise; its first frame is view 0 of the geometry.
            geometry: Depth and cameras of the freeze-time clip.
            valid: ``(H, W)`` bool, pixels that show the scene.
            options: How many points, and how they are followed.
            on_step: Progress.
        """


@dataclass(frozen=True)
class FlowTracks:
    """The built-in engine: 2D flow finds where a point is seen, geometry lifts it."""

    def track_views(
        self,
        clip: ClipFlows,
        geometry: Geometry,
        valid: Tensor | None = None,
        options: TrackOptions | None = None,
        on_step: OnStep = no_progress,
    ) -> Tracks:
        """See TrackEngine."""
        return track_views(clip, geometry, valid, options, on_step)

    def track_times(
        self,
        clip: ClipFlows,
        geometry: Geometry,
        valid: Tensor | None = None,
        options: TrackOptions | None = None,
        on_step: OnStep = no_progress,
    ) -> Tracks:
        """See TrackEngine."""
        return track_times(clip, geometry, valid, options, on_step)


def _flow(argument: str, device: str) -> TrackEngine:
    if argument:
        raise InputError(f"the tracks flow:{argument}", "'flow' alone", "leave the rest away")
    return FlowTracks()


def _delta(argument: str, device: str) -> TrackEngine:
    from .delta_tracks import DeltaTracks

    if not argument:
        raise InputError("the tracks 'delta' without a checkpoint", "delta:CHECKPOINT", "name the file of its weights")
    return DeltaTracks(argument, device)


def _point_maps(family: str) -> Callable[[str, str], TrackEngine]:
    def make(argument: str, device: str) -> TrackEngine:
        from ..geometry.pair_models import pair_model
        from .point_map_tracks import PointMapTracks

        return PointMapTracks(pair_model(family, argument, device))

    return make


TRACK_ENGINES: dict[str, Callable[[str, str], TrackEngine]] = {
    "flow": _flow,
    "delta": _delta,
    **{family: _point_maps(family) for family in ("dust3r", "mast3r", "splatt3r")},
}
"""Makers by name; each gets what stands behind the colon and the device."""


def track_engine(spec: str, device: str = "cpu") -> TrackEngine:
    """The engine that ``flow``, ``delta:CHECKPOINT`` or ``dust3r:CHECKPOINT`` names.

    Raises:
        InputError: An unknown name, or an engine that cannot be had here.
    """
    name, _, argument = spec.partition(":")
    if name not in TRACK_ENGINES:
        raise InputError(f"the tracks {spec!r}", f"one of {', '.join(TRACK_ENGINES)}", "for example flow")
    return TRACK_ENGINES[name](argument, device)
