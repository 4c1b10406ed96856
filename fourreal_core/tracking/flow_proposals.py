"""What 2D flow alone says about the missing cells of a grid of which row 0 and column 0 are known.

Two proposals that fail in different places. In the first a view's own picture at time 0 moves as the fixed-view clip
does, its motion carried over to the view: sharp where things stand, wrong where motion was lost or carried wrongly. In
the second the fixed-view frame of the time is seen from the view: right in how things moved, wrong where the view sees
what view 0 doesn't. Neither needs geometry, so both exist for pictures too small for it; a refiner takes both.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError
from .flow import DisFlow, Flow, FlowEngine, chain, to_gray, warp
from .long_flow import LongFlowOptions, choose_flow

INVERSIONS = 6
"""Fixed-point steps by which a flow is turned around; each shortens what is left by the flow's own steepness."""


def flow_proposals(freeze_time: Tensor, fixed_view: Tensor, engine: FlowEngine | None = None, enlarge: int = 1
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
    if freeze_time.ndim != 4 or fixed_view.ndim != 4 or freeze_time.shape[1:] != fixed_view.shape[1:]:
        raise InputError(f"clips of shapes {tuple(freeze_time.shape)} and {tuple(fixed_view.shape)}",
                         "(V, H, W, 3) and (T, H, W, 3) of one size", "resize one of them")
    engine = engine or DisFlow()
    moves, _ = flows_of_first(fixed_view, engine, enlarge)
    _, to_first = flows_of_first(freeze_time, engine, enlarge)
    column, row = freeze_time.float().cpu().numpy(), fixed_view.float().cpu().numpy()
    moved = np.stack([np.stack([warp(picture, turned_around(warp(move, back))) for move in moves])
                      for picture, back in zip(column, to_first, strict=True)])
    seen = np.stack([np.stack([warp(picture, back) for picture in row]) for back in to_first])
    made = torch.from_numpy(np.stack([moved, seen])).clamp(0, 1)
    made[:, :, 0], made[:, 0] = freeze_time, fixed_view
    return made


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
    grays, options = to_gray(torch.from_numpy(frames)), LongFlowOptions(window_px=2.0 * enlarge)
    still = np.zeros((*grays[0].shape, 2), np.float32)
    forth, back = [still], [still]
    for k in range(1, len(grays)):
        chained = chain(forth[-1], engine(grays[k - 1], grays[k]))
        chained_back = chain(engine(grays[k], grays[k - 1]), back[-1])
        pairs = [(engine(grays[0], grays[k]), engine(grays[k], grays[0])),
                 (engine(grays[0], grays[k], chained), engine(grays[k], grays[0], chained_back)),
                 (chained, chained_back)]
        forth.append(choose_flow(frames[0], frames[k], pairs, options)[0])
        back.append(choose_flow(frames[k], frames[0], [(b, a) for a, b in pairs], options)[0])
    return tuple(np.stack([_reduced(flow, enlarge) for flow in flows]) for flows in (forth, back))


def turned_around(flow: Flow) -> Flow:
    """The backward flow ``(H, W, 2)`` at the pixels that a flow leads to, by fixed-point iteration."""
    back = -flow
    for _ in range(INVERSIONS):
        back = -warp(flow, back)
    return back


def _reduced(flow: Flow, times: int) -> Flow:
    import cv2

    if times == 1:
        return flow
    size = flow.shape[1] // times, flow.shape[0] // times
    return cv2.resize(flow, size, interpolation=cv2.INTER_AREA) / np.float32(times)
