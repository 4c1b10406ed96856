"""What 2D flow alone says about the missing cells of a grid of which row 0 and column 0 are known.

Two proposals that fail in different places. In the first a view's own picture at time 0 moves as the fixed-view clip
does, its motion carried over to the view: sharp where things stand, wrong where motion was lost or carried wrongly. In
the second the fixed-view frame of the time is seen from the view: right in how things moved, wrong where the view sees
what view 0 doesn't. Each can be checked against the other clip (settled_proposals). None of it needs geometry, so all
of it exists for pictures too small for that; a refiner takes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError
from ..flow.flow_cache import Cell, FlowCache
from ..flow.flow_field import DisFlow, Flow, FlowEngine, chain, invert_flow, to_gray, warp
from ..flow.robust_flow import RobustFlowOptions, choose_flow, ways_of_measuring
from ..flow.upsampled import EnlargedFlow
from .candidates import (
    CANDIDATES,
    COST_MAPS,
    SETTLED,
    WITH_CANDIDATES,
    Candidates,
    candidate_maps,
    candidates_of,
    to_choose,
)
from .motion_layers import LayeredFlow, flows_by_layers, layered_flow, moving_share
from .photometric_check import Witness, disocclusion_probability

SMALL_PX = 96
"""Width up to which pictures are enlarged twice while the flows of settled proposals are measured."""
FIRST = (0, 0)
"""The cell that both clips start with."""
DOUBT_GRAYS, DOUBT_PX = 32.0, 8.0
"""What counts as 1 in the map of witnessed proposals: grey levels of 255, and pixels of forward-backward error."""


def flow_proposals(
    freeze_time: Tensor, fixed_view: Tensor, engine: FlowEngine | None = None, enlarge: int = 1
) -> Tensor:
    """Two proposals for every cell of a grid.

    Args:
        freeze_time: ``(V, H, W, 3)`` in ``[0, 1]``, column 0.
        fixed_view: ``(T, H, W, 3)``, row 0; its first frame is that of the freeze-time clip.
        engine: Measures flow; OpenCV's DIS if None.
        enlarge: Times by which pictures are enlarged while flow is measured, for small ones.

    Returns:
        ``(2, V, T, H, W, 3)``: ``I[v, 0]`` moved in time, and ``I[0, t]`` seen from view v. Given cells are as given.

    Raises:
        InputError: Clips of different sizes.
    """
    _check_clips(freeze_time, fixed_view)
    engine = engine or DisFlow()
    moves, _ = flows_of_first(fixed_view, engine, enlarge)
    _, to_first = flows_of_first(freeze_time, engine, enlarge)
    column, row = freeze_time.float().cpu().numpy(), fixed_view.float().cpu().numpy()
    moved = np.stack(
        [
            np.stack([warp(picture, invert_flow(warp(move, back))) for move in moves])
            for picture, back in zip(column, to_first, strict=True)
        ]
    )
    seen = np.stack([np.stack([warp(picture, back) for picture in row]) for back in to_first])
    made = torch.from_numpy(np.stack([moved, seen])).clamp(0, 1)
    made[:, :, 0], made[:, 0] = freeze_time, fixed_view
    return made


@dataclass(frozen=True)
class SettlingOptions:
    """How settled proposals weigh their candidates; made for pictures about 64 pixels wide.

    Attributes:
        window_px: Standard deviation of the window over which colours are compared.
        tone_px: Standard deviation of the window over which tones are compared.
        new_gray: Colour difference in grey levels of 255 beyond which a pixel counts as new.
        new_soft: Grey levels over which that goes from no to yes.
        doubt_gray: Grey levels by which one proposal may explain its witness worse until it counts 1/e as much.
    """

    window_px: float = 1.0
    tone_px: float = 2.0
    new_gray: float = 15.0
    new_soft: float = 3.0
    doubt_gray: float = 5.0

    def __post_init__(self) -> None:
        if min(self.window_px, self.tone_px, self.new_gray, self.new_soft, self.doubt_gray) <= 0:
            raise InputError(f"settling by {self}", "positive numbers", "leave them at their defaults")


def settled_proposals(
    freeze_time: Tensor, fixed_view: Tensor, engine: FlowEngine | None = None, options: SettlingOptions | None = None
) -> Tensor:
    """Three proposals for every cell of a grid: each clip's answer checked against the other clip, and their blend.

    A view's own frame is moved by whichever of several flows row 0 bears out; the fixed-view frame is seen from the
    view by whichever column 0 bears out (see witness). What nothing explains comes from the other clip. The blend
    believes the one that is borne out better.

    Args:
        freeze_time: ``(V, H, W, 3)`` in ``[0, 1]``, column 0.
        fixed_view: ``(T, H, W, 3)``, row 0; its first frame is that of the freeze-time clip.
        engine: Measures flow; OpenCV's DIS if None, for pictures of at most SMALL_PX on enlarged ones.
        options: See SettlingOptions.

    Returns:
        ``(3, V, T, H, W, 3)``: the blend, ``I[v, 0]`` moved in time, and ``I[0, t]`` seen from view v. Given cells are
        as given.

    Raises:
        InputError: Clips of different sizes.
    """
    return witnessed_proposals(freeze_time, fixed_view, engine, options)[:3]


def witnessed_proposals(
    freeze_time: Tensor, fixed_view: Tensor, engine: FlowEngine | None = None, options: SettlingOptions | None = None
) -> Tensor:
    """The settled proposals, and with them how far each can be believed: what a refiner weighs them by.

    Args:
        freeze_time: As of settled_proposals.
        fixed_view: As of settled_proposals.
        engine: As of settled_proposals.
        options: As of settled_proposals.

    Returns:
        ``(4, V, T, H, W, 3)``: the three of settled_proposals, and a map in ``[0, 1]`` that is no picture. Its channels
        say how badly the moved picture is borne out and how badly the seen one is (colour differences over
        DOUBT_GRAYS), and by how much flows miss their start on their way there and back (over DOUBT_PX). It is 0 in
        given cells.

    Raises:
        InputError: Clips of different sizes.
    """
    return _proposals(freeze_time, fixed_view, engine, options, False)


def candidate_proposals(
    freeze_time: Tensor, fixed_view: Tensor, engine: FlowEngine | None = None, options: SettlingOptions | None = None
) -> Tensor:
    """The settled proposals and every candidate that they were settled among: a refiner may choose for itself.

    It takes what settled_proposals takes.

    Returns:
        ``(WITH_CANDIDATES, V, T, H, W, 3)``: the three of settled_proposals, the candidates (those of
        ``I[v, 0]``, then those of ``I[0, t]``), and behind these pictures the map of witnessed_proposals and the maps
        of the candidates' costs, see candidates.candidate_maps.

    Raises:
        InputError: Clips of different sizes.
    """
    return _proposals(freeze_time, fixed_view, engine, options, True)


def _proposals(
    freeze_time: Tensor,
    fixed_view: Tensor,
    engine: FlowEngine | None,
    options: SettlingOptions | None,
    all_candidates: bool,
) -> Tensor:
    _check_clips(freeze_time, fixed_view)
    options = options or SettlingOptions()
    views, times = len(freeze_time), len(fixed_view)
    frames = torch.zeros(views, times, *freeze_time.shape[1:])
    frames[:, 0], frames[0] = freeze_time, fixed_view
    known = torch.zeros(views, times, dtype=torch.bool)
    known[0] = known[:, 0] = True
    if engine is None and freeze_time.shape[2] <= SMALL_PX:
        engine = EnlargedFlow()
    flows = FlowCache(frames, known, engine)
    layers = _layers(flows, views, times) if all_candidates and min(views, times) > 1 else {}
    pictures = SETTLED + CANDIDATES * all_candidates
    out = np.zeros((pictures + 1 + COST_MAPS * all_candidates, *frames.shape), np.float32)
    out[:pictures] = frames.numpy()
    for view in range(1, views):
        for time in range(1, times):
            searches = [_search(flows, (view, time), axis) for axis in (0, 1)]
            found = [_candidates(flows, search, options) for search in searches]
            made, costs = zip(*(_settled(each, options) for each in found), strict=True)
            blend = believed_blend(made, costs, options)
            missed = sum(each.missed for each in found) / 2 / DOUBT_PX
            doubt = np.stack([*(cost / DOUBT_GRAYS for cost in costs), missed], -1)
            out[:3, view, time], out[pictures, view, time] = (blend, *made), doubt
            if all_candidates:
                given = [
                    to_choose(
                        each,
                        flows.picture(search.source),
                        search.witness,
                        flows_by_layers(layers[search.source], layers[search.then]),
                        options.window_px,
                    )
                    for each, search in zip(found, searches, strict=True)
                ]
                out[3:pictures, view, time] = np.concatenate([each.pictures for each in given])
                out[pictures + 1 :, view, time] = candidate_maps(given)
    return torch.from_numpy(out).clamp(0, 1)


def believed_blend(
    pictures: Sequence[NDArray[np.float32]],
    costs: Sequence[NDArray[np.float32]],
    options: SettlingOptions | None = None,
) -> NDArray[np.float32]:
    """Two pictures ``(..., H, W, 3)`` blended; one counts 1/e as much for every ``doubt_gray`` by which it costs more.

    Args:
        pictures: Both.
        costs: ``(..., H, W)`` of both in grey levels of 255.
        options: See SettlingOptions.
    """
    doubt = (options or SettlingOptions()).doubt_gray
    shares = [np.exp(-np.minimum(cost / doubt, 60))[..., None] for cost in costs]
    return (shares[0] * pictures[0] + shares[1] * pictures[1]) / (shares[0] + shares[1])


class _Search(NamedTuple):
    """Where a cell is looked for: in a known cell, with what it is compared by.

    Attributes:
        source: The known cell of its view, or of its time.
        then: The cell of the row at its time, or of the column at its view.
        witness: That row or column.
    """

    source: Cell
    then: Cell
    witness: Witness


def _search(flows: FlowCache, cell: Cell, axis: int) -> _Search:
    """A cell is looked for from the known one of its view (axis 0) or of its time (axis 1)."""
    ends = (cell[0], 0), (0, cell[1])
    source, then = ends if axis == 0 else ends[::-1]
    witness = Witness(flows(source, FIRST).best, flows.picture(then), flows.picture(FIRST))
    return _Search(source, then, witness)


def _candidates(flows: FlowCache, search: _Search, options: SettlingOptions) -> Candidates:
    """What measured flow says of a cell."""
    forth, back = flows(FIRST, search.then), flows(search.then, FIRST)
    return candidates_of(flows.picture(search.source), search.witness, forth, back, options.window_px, options.tone_px)


def _layers(flows: FlowCache, views: int, times: int) -> dict[Cell, LayeredFlow]:
    """Flows by layers from the other cells of row 0 and column 0 to their first; what moves in them row 0 tells."""
    moves = moving_share([flows(FIRST, (0, time)).best for time in range(1, times)])
    found = {}
    for cell in [*((view, 0) for view in range(1, views)), *((0, time) for time in range(1, times))]:
        flow = flows(cell, FIRST)
        moving = warp(moves, flow.best)
        if cell[0] == 0:  # what has moved since is seen to move here, too
            moving = np.maximum(moving_share([flow.best]), moving)
        found[cell] = layered_flow(flow, moving)
    return found


def _settled(found: Candidates, options: SettlingOptions) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One cell ``(H, W, 3)`` by the candidate that its witness bears out, and that one's cost ``(H, W)``."""
    flows = found.costs[:-1]
    color = np.take_along_axis(found.pictures[:-1], flows.argmin(0)[None, ..., None], 0)[0]
    share = disocclusion_probability(found.costs[-1], options.new_gray, options.new_soft)[..., None]
    return (color + share * (found.pictures[-1] - color)).clip(0, 1), found.costs[-1]


def _check_clips(freeze_time: Tensor, fixed_view: Tensor) -> None:
    if freeze_time.ndim != 4 or fixed_view.ndim != 4 or freeze_time.shape[1:] != fixed_view.shape[1:]:
        raise InputError(
            f"clips of shapes {tuple(freeze_time.shape)} and {tuple(fixed_view.shape)}",
            "(V, H, W, 3) and (T, H, W, 3) of one size",
            "resize one of them",
        )


def flows_of_first(clip: Tensor, engine: FlowEngine, enlarge: int = 1) -> tuple[NDArray[np.float32], ...]:
    """Flows from a clip's first frame to all and back, each pixel by the way of measuring that explains it best.

    Args:
        clip: ``(F, H, W, 3)`` in ``[0, 1]``.
        engine: Measures one pair.
        enlarge: Times by which pictures are enlarged while flow is measured.

    Returns:
        Forward flows ``(F, H, W, 2)`` at the first frame's pixels and backward flows at each frame's own, in pixels.
    """
    import cv2

    frames = clip.float().cpu().numpy()
    size = frames.shape[2] * enlarge, frames.shape[1] * enlarge
    if enlarge > 1:
        frames = np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC) for frame in frames])
    grays, options = to_gray(torch.from_numpy(frames)), RobustFlowOptions(window_px=2.0 * enlarge)
    still = np.zeros((*grays[0].shape, 2), np.float32)
    forth, back = [still], [still]
    for k in range(1, len(grays)):
        chained = chain(forth[-1], engine(grays[k - 1], grays[k]))
        chained_back = chain(engine(grays[k], grays[k - 1]), back[-1])
        pairs = ways_of_measuring(engine, grays[0], grays[k], chained, chained_back)
        forth.append(choose_flow(frames[0], frames[k], pairs, options)[0])
        back.append(choose_flow(frames[k], frames[0], [(b, a) for a, b in pairs], options)[0])
    return tuple(np.stack([_reduced(flow, enlarge) for flow in flows]) for flows in (forth, back))


def _reduced(flow: Flow, times: int) -> Flow:
    import cv2

    if times == 1:
        return flow
    size = flow.shape[1] // times, flow.shape[0] // times
    return cv2.resize(flow, size, interpolation=cv2.INTER_AREA) / np.float32(times)


PROPOSERS: dict[int, Callable[[Tensor, Tensor], Tensor]] = {
    2: flow_proposals,
    3: settled_proposals,
    4: witnessed_proposals,
    WITH_CANDIDATES: candidate_proposals,
}
"""What makes the proposals of a model that takes so many."""
PICTURES = {2: 2, 3: 3, 4: 3, WITH_CANDIDATES: SETTLED + CANDIDATES}
"""How many of so many proposals are pictures of the cell; those behind them are maps."""


def as_given(proposals: Tensor, frames: Tensor, known: Tensor) -> Tensor:
    """Proposals that show known cells as they are; maps are 0 there.

    Args:
        proposals: ``(P, V, T, H, W, 3)``.
        frames: ``(V, T, H, W, 3)``.
        known: ``(V, T)`` bool.
    """
    pictures = PICTURES.get(len(proposals), len(proposals))
    shown = proposals.clone()
    shown[:pictures, known] = frames[known].to(proposals)
    shown[pictures:, known] = 0
    return shown
