"""What 2D flow alone proposes for the missing cells of a grid of which row 0 and column 0 are known, for networks.

A cell is looked for in the known frame of its view, with row 0 as the reference, and in the known frame of its time,
with column 0 as the reference (see candidate_selection). None of it needs geometry, so all of it exists for pictures
too small for that. Planes are asked for by name (see plane_names); nothing is computed for those that are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..flow.engines import FlowEngine
from ..flow.flow_cache import Cell, FlowCache
from ..flow.flow_field import Flow, warp
from ..flow.upsampled import EnlargedFlow
from .blending import blend_by_error
from .candidate_selection import (
    Candidates,
    SelectionOptions,
    SourceProposal,
    propose_from_source,
    smoothed_error,
)
from .flow_candidates import FLOW_KINDS, flow_candidates
from .image_filters import WIDTH_PX, Image
from .motion_layers import LAYER_KINDS, LayeredFlow, layer_candidates, layered_flow, motion_probability
from .photometric_check import PhotometricCheck
from .plane_names import (
    BLEND,
    CHOICE,
    CLIPS,
    FLOW_BACK,
    FROM_VIEW,
    KNOWN_PLANES,
    RETURN_ERROR,
    REVEALED,
    is_map,
    map_channels,
)

SMALL_PX = 96
"""Width up to which pictures are enlarged while their flow is measured."""
FIRST = (0, 0)
"""The cell that both clips start with."""
SELECTION = SelectionOptions(window_px=8.0, tone_px=16.0, disocclusion_gray=15.0, region_px=0, median_px=0)
"""For pictures about 64 pixels wide, in which regions and outlines of single pixels count."""
BLEND_DOUBT_GRAY = 5.0
"""Grey levels of photometric error for which one of two blended pictures counts 1/e as much."""
ERROR_GRAY, RETURN_PX = 32.0, 8.0
"""What counts as 1 in the errors of verified pictures: grey levels of 255, pixels of forward-backward error."""
CANDIDATE_ERROR_GRAY, CANDIDATE_RETURN_PX = 64.0, 16.0
"""The same in the errors of candidates."""


def propose_planes(
    names: Sequence[str], freeze_time: Tensor, fixed_view: Tensor, engine: FlowEngine | None = None
) -> Tensor:
    """Planes of every cell of a grid, by name.

    Args:
        names: See plane_names; at least one.
        freeze_time: ``(V, H, W, 3)`` in ``[0, 1]``, column 0.
        fixed_view: ``(T, H, W, 3)``, row 0; its first frame is that of the freeze-time clip.
        engine: Measures flow; OpenCV's DIS if None, for pictures of at most SMALL_PX on enlarged ones.

    Returns:
        ``(P, V, T, H, W, 3)`` in ``[0, 1]``. In given cells pictures are as given and maps are 0.

    Raises:
        InputError: Clips of different sizes, no names, or names of nothing that can be made.
    """
    _check(names, freeze_time, fixed_view)
    views, times = len(freeze_time), len(fixed_view)
    frames = torch.zeros(views, times, *freeze_time.shape[1:])
    frames[:, 0], frames[0] = freeze_time, fixed_view
    known = torch.zeros(views, times, dtype=torch.bool)
    known[0] = known[:, 0] = True
    if engine is None and freeze_time.shape[2] <= SMALL_PX:
        engine = EnlargedFlow()
    flows = FlowCache(frames, known, engine)
    layers = _Layers(flows)
    out = np.zeros((len(names), *frames.shape), np.float32)
    for k, name in enumerate(names):
        if not is_map(name):
            out[k] = frames.numpy()
    for view in range(1, views):
        for time in range(1, times):
            made = _CellPlanes(flows, (view, time), layers)
            for k, name in enumerate(names):
                out[k, view, time] = made[name]
    return torch.from_numpy(out).clamp(0, 1)


def keep_known(planes: Tensor, names: Sequence[str], frames: Tensor, known: Tensor) -> Tensor:
    """Planes that show known cells as they are; maps are 0 there.

    Args:
        planes: ``(P, V, T, H, W, 3)``.
        names: Of the planes; there may be more names than planes.
        frames: ``(V, T, H, W, 3)``.
        known: ``(V, T)`` bool.
    """
    shown = planes.clone()
    for k, name in enumerate(names[: len(planes)]):
        shown[k, known] = 0 if is_map(name) else frames[known].to(planes)
    return shown


class _Source(NamedTuple):
    """One clip's known cell from which a missing cell is made, with its reference.

    Attributes:
        cell: The known cell of the missing one's view, or of its time.
        reference: The cell of row 0 at its time, or of column 0 at its view.
        check: That row or column.
    """

    cell: Cell
    reference: Cell
    check: PhotometricCheck


class _ClipCandidates:
    """What one clip says of a missing cell, each part worked out when it is first asked for."""

    def __init__(self, flows: FlowCache, source: _Source, layers: _Layers) -> None:
        self._measured, self._source, self._layers = flows, source, layers
        self._picture = flows.picture(source.cell)
        self._back = flows(source.reference, FIRST)

    @cached_property
    def _by_flow(self) -> dict[str, Flow]:
        forth = self._measured(FIRST, self._source.reference)
        return flow_candidates(self._source.check.match, forth, self._back)

    @cached_property
    def _by_layer(self) -> dict[str, Flow]:
        return layer_candidates(self._layers[self._source.cell], self._layers[self._source.reference])

    @cached_property
    def verified(self) -> SourceProposal:
        """The clip's picture by the candidate of flow that the reference verifies best."""
        candidates = Candidates([self._by_flow[kind] for kind in FLOW_KINDS])
        return propose_from_source(self._picture, candidates, [self._source.check], SELECTION)

    @cached_property
    def return_error(self) -> Image:
        """By how many pixels ``(H, W)`` the reference's flow misses its start on its way there and back."""
        return warp(self._back.error, warp(self._source.check.match, self.verified.flow))

    def candidate(self, kind: str) -> Image:
        """A candidate's picture ``(H, W, 3)``."""
        if kind == REVEALED:
            flow, tone_px = self.verified.flow, SELECTION.tone_px * self._picture.shape[1] / WIDTH_PX
            return self._source.check.transfer_color(flow, warp(self._picture, flow), tone_px)[0]
        return warp(self._picture, self._flow(kind))

    def candidate_error(self, kind: str) -> Image:
        """A candidate's photometric error ``(H, W)`` in grey levels of 255."""
        return smoothed_error(self._source.check.photometric_error(self._flow(kind)), SELECTION)

    def _flow(self, kind: str) -> Flow:
        if kind == FLOW_BACK:
            return self._back.best
        return self._by_layer[kind] if kind in LAYER_KINDS else self._by_flow[kind]


class _Layers:
    """Flows by layers from the cells of row 0 and column 0 to their first; what moves in them row 0 shows."""

    def __init__(self, flows: FlowCache) -> None:
        self._flows, self._found = flows, dict[Cell, LayeredFlow]()

    def __getitem__(self, cell: Cell) -> LayeredFlow:
        if cell not in self._found:
            flow = self._flows(cell, FIRST)
            moving = warp(self._moving, flow.best)
            if cell[0] == 0:  # what has moved since is seen to move here, too
                moving = np.maximum(motion_probability([flow.best]), moving)
            self._found[cell] = layered_flow(flow, moving)
        return self._found[cell]

    @cached_property
    def _moving(self) -> Image:
        times = self._flows.frames.shape[1]
        return motion_probability([self._flows(FIRST, (0, time)).best for time in range(1, times)])


class _CellPlanes:
    """The planes of one missing cell, by name."""

    def __init__(self, flows: FlowCache, cell: Cell, layers: _Layers) -> None:
        self._clips = {clip: _ClipCandidates(flows, _source(flows, cell, clip), layers) for clip in CLIPS}

    def __getitem__(self, name: str) -> Image:
        """A plane ``(H, W, 3)``."""
        if is_map(name):
            channels = [self._channel(channel) for channel in map_channels(name)]
            channels += [np.zeros_like(channels[0])] * (3 - len(channels))
            return np.stack(channels, -1)
        if name == BLEND:
            made = [self._clips[clip].verified for clip in CLIPS]
            return blend_by_error([each.color for each in made], [each.error for each in made], BLEND_DOUBT_GRAY)[0]
        clip, _, kind = name.partition("/")
        return self._clips[clip].candidate(kind) if kind else self._clips[clip].verified.color

    def _channel(self, name: str) -> Image:
        """A channel ``(H, W)`` of a map."""
        if name == RETURN_ERROR:
            first, other = (self._clips[clip].return_error for clip in CLIPS)
            return np.asarray((first + other) / 2 / RETURN_PX, np.float32)
        plane, _, what = name.rpartition(".")
        clip, _, kind = plane.partition("/")
        if kind:
            return self._clips[clip].candidate_error(kind) / CANDIDATE_ERROR_GRAY
        if what == RETURN_ERROR:
            return self._clips[clip].return_error / CANDIDATE_RETURN_PX
        return self._clips[clip].verified.error / ERROR_GRAY


def _source(flows: FlowCache, cell: Cell, clip: str) -> _Source:
    """Where a cell is looked for: in the known one of its view, or in that of its time."""
    ends = (cell[0], 0), (0, cell[1])
    source, reference = ends if clip == FROM_VIEW else ends[::-1]
    check = PhotometricCheck(flows(source, FIRST).best, flows.picture(reference), flows.picture(FIRST))
    return _Source(source, reference, check)


def _check(names: Sequence[str], freeze_time: Tensor, fixed_view: Tensor) -> None:
    if freeze_time.ndim != 4 or fixed_view.ndim != 4 or freeze_time.shape[1:] != fixed_view.shape[1:]:
        raise InputError(
            f"clips of shapes {tuple(freeze_time.shape)} and {tuple(fixed_view.shape)}",
            "(V, H, W, 3) and (T, H, W, 3) of one size",
            "resize one of them",
        )
    unknown = sorted(set(names) - KNOWN_PLANES)
    if unknown or not names:
        raise InputError(
            f"the planes {', '.join(unknown) or 'of no name'}",
            "names of planes that flow makes",
            "keep the choice beside the grids (`fourreal data propose --kind chosen`), or put its chooser first"
            if CHOICE in unknown
            else "load a model of this version",
        )
