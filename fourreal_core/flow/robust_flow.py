"""Flow from one frame to all frames of a clip.

A fixed-view clip's motion grows with time, and no single way of measuring it wins everywhere: direct flow loses fast
limbs, chained flow drifts. Each pixel takes the candidate that best explains the picture and returns to where it began.
The outcome is smoothed along the picture's regions, most where it does not return; and regions that standing still
explains at every time stand still exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..progress import OnStep, no_progress
from .clip_flows import ClipFlows
from .edge_aware_filter import smooth
from .engines import FlowEngine
from .flow_field import Flow, Gray, chain, forward_backward_error, warp


@dataclass(frozen=True)
class RobustFlowOptions:
    """How candidates are weighed and smoothed, and what stands.

    Attributes:
        window_px: Standard deviation of the window over which errors are averaged.
        still_ratio: A pixel stands still when doing so costs at most this multiple of the moving flow's error ...
        still_margin: ... plus this much, in grey levels of 255, at every time.
        still_px: Side of the smallest region that stands; smaller ones are holes in what moves.
        return_weight: Grey levels of 255 that one pixel of forward-backward error counts for.
        smooth_px: Reach of the smoothing in pixels; 0 leaves the flow as it was measured.
        edge: Colour difference, summed over RGB, at which the smoothing has fallen to 1/e.
        trust_falls: How fast a flow loses its say with every pixel by which it misses its start.
    """

    window_px: float = 2.0
    still_ratio: float = 1.1
    still_margin: float = 1.0
    still_px: int = 5
    return_weight: float = 1.5
    smooth_px: float = 3.0
    edge: float = 0.1
    trust_falls: float = 0.5

    def __post_init__(self) -> None:
        if not (self.window_px > 0 and self.edge > 0 and self.smooth_px >= 0 and self.still_px >= 1):
            raise InputError(
                f"a window of {self.window_px} px, smoothing over {self.smooth_px} px, edges of "
                f"{self.edge} and regions of {self.still_px} px",
                "positive numbers",
                "leave them at their defaults",
            )


def appearance_error(a: NDArray, b: NDArray, flow: Flow, window_px: float) -> NDArray[np.float32]:
    """Mean colour difference ``(H, W)`` between frame a and frame b read at ``x + flow``, over a Gaussian window."""
    import cv2

    difference = np.abs(a - warp(b, flow)).mean(-1)
    return cv2.GaussianBlur(difference, (0, 0), window_px)


def robust_flow(
    clip: ClipFlows, options: RobustFlowOptions | None = None, on_step: OnStep = no_progress
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Flow from frame 0 to every frame.

    Args:
        clip: T frames.
        options: See RobustFlowOptions.
        on_step: Progress, one step a frame.

    Returns:
        Flows ``(T, H, W, 2)`` in pixels (the first is zero) and forward-backward errors ``(T, H, W)`` in pixels.
    """
    options = options or RobustFlowOptions()
    frames, count, (h, w) = clip.pictures, len(clip), clip.size
    flows = np.zeros((count, h, w, 2), np.float32)
    errors = np.zeros((count, h, w), np.float32)
    forth, back = flows[0], np.zeros((h, w, 2), np.float32)
    stands = np.ones((h, w), bool)
    for t in range(1, count):
        chained, chained_back = chain(forth, clip.measure(t - 1, t)), chain(clip.measure(t, t - 1), back)
        pairs = ways_of_measuring(clip.engine, clip.grays[0], clip.grays[t], chained, chained_back)
        forth, errors[t], picked = choose_flow(frames[0], frames[t], pairs, options)
        back = pairs[picked][1]
        stands &= still_explains(frames[0], frames[t], forth, options)
        flows[t] = smooth_flow(frames[0], forth, errors[t], options)
        on_step(t, max(count - 1, 1))
    stands = _without_specks(stands, options.still_px)
    flows[:, stands], errors[:, stands] = 0, 0
    return flows, errors


def ways_of_measuring(engine: FlowEngine, a: Gray, b: Gray, there: Flow, back: Flow) -> list[tuple[Flow, Flow]]:
    """Flows from a to b and back, three ways: measured directly, started from a chain over frames between, the chain.

    Args:
        engine: Measures one pair.
        a: Grey frame ``(H, W)``.
        b: The other one.
        there: ``(H, W, 2)`` the chain from a to b.
        back: The chain from b to a.
    """
    return [(engine(a, b), engine(b, a)), (engine(a, b, there), engine(b, a, back)), (there, back)]


def choose_flow(
    first: NDArray, now: NDArray, pairs: list[tuple[Flow, Flow]], options: RobustFlowOptions
) -> tuple[Flow, NDArray[np.float32], int]:
    """Best flow a pixel, its forward-backward error, and the candidate that won most pixels."""
    costs, returns = zip(*(candidate_cost(first, now, forth, back, options) for forth, back in pairs), strict=True)
    best = np.argmin(costs, 0)
    flow = np.take_along_axis(np.stack([p[0] for p in pairs]), best[None, ..., None], 0)[0]
    error = np.take_along_axis(np.stack(returns), best[None], 0)[0]
    return flow, error, int(np.bincount(best.ravel()).argmax())


def still_explains(first: NDArray, now: NDArray, flow: Flow, options: RobustFlowOptions) -> NDArray[np.bool_]:
    """Where ``(H, W)`` frame 0 standing still explains a frame about as well as frame 0 under a flow."""
    still = 255 * appearance_error(first, now, np.zeros_like(flow), options.window_px)
    moving = 255 * appearance_error(first, now, flow, options.window_px)
    return still < moving * options.still_ratio + options.still_margin


def smooth_flow(frame: NDArray[np.float32], flow: Flow, error: NDArray[np.float32], options: RobustFlowOptions) -> Flow:
    """A flow smoothed along the regions of its frame; what returns to where it began counts for more.

    Args:
        frame: ``(H, W, 3)`` in ``[0, 1]``, the frame that the flow starts in.
        flow: ``(H, W, 2)`` in pixels.
        error: ``(H, W)`` forward-backward error in pixels.
        options: See RobustFlowOptions.
    """
    if options.smooth_px == 0:
        return flow
    trust = (1 / (1 + options.trust_falls * np.minimum(error, 20.0)))[..., None]
    spread = smooth(
        np.concatenate([flow * trust, trust], -1).astype(np.float32), frame, options.smooth_px**2, options.edge
    )
    return spread[..., :2] / np.maximum(spread[..., 2:], 1e-9)


def _without_specks(mask: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    import cv2

    return cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((side, side), np.uint8)) > 0


def candidate_cost(
    first: NDArray, now: NDArray, forward: Flow, backward: Flow, options: RobustFlowOptions
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """How badly a flow explains a frame ``(H, W)`` in grey levels of 255, and its forward-backward error in pixels."""
    returns = np.minimum(forward_backward_error(forward, backward), 20.0)
    appearance = 255 * appearance_error(first, now, forward, options.window_px)
    return appearance + options.return_weight * returns, returns
