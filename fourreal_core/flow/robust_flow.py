"""Flow from one frame to all frames of a clip.

A fixed-view clip's motion grows with time, and no single way of measuring it is best everywhere: direct flow loses fast
limbs, chained flow drifts. Each pixel takes the candidate with the smallest photometric and forward-backward error. The
outcome is smoothed along the picture's regions, most where the two flows disagree; and regions that zero motion
explains at every time get exactly zero flow.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..progress import OnStep, no_progress
from .clip_flows import ClipFlows
from .edge_aware_filter import smooth
from .engines import FlowEngine
from .flow_field import Flow, Gray, Image, Mask, chain, forward_backward_error, warp

WINDOW_PX = 2.0
"""Standard deviation of the window over which colour differences are averaged."""
STATIC_RATIO, STATIC_MARGIN_GRAY = 1.1, 1.0
"""A pixel is static when zero flow costs at most this multiple of the measured flow's error plus this many grey levels
of 255, at every time."""
STATIC_SIDE_PX = 5
"""Side of the smallest static region; smaller ones are holes in what moves."""
RETURN_WEIGHT = 1.5
"""Grey levels of 255 that one pixel of forward-backward error counts for."""
MOST_RETURN_PX = 20.0
"""Forward-backward errors beyond this many pixels count as this many."""
SMOOTH_PX = 3.0
"""Reach of the smoothing in pixels."""
SMOOTH_EDGE = 0.1
"""Colour difference, summed over RGB, at which the smoothing has fallen to 1/e."""
CONFIDENCE_FALLOFF = 0.5
"""A flow's weight in the smoothing is one over one plus so much of its forward-backward error in pixels."""


def appearance_error(a: NDArray[np.float32], b: NDArray[np.float32], flow: Flow, window_px: float = WINDOW_PX) -> Image:
    """Mean colour difference ``(H, W)`` between frame a and frame b read at ``x + flow``, over a Gaussian window."""
    from ..needed.opencv import cv2

    difference = np.abs(a - warp(b, flow)).mean(-1)
    error: Image = cv2.GaussianBlur(difference, (0, 0), window_px)
    return error


def robust_flow(clip: ClipFlows, on_step: OnStep = no_progress) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Flow from frame 0 to every frame.

    Args:
        clip: T frames.
        on_step: Progress, one step a frame.

    Returns:
        Flows ``(T, H, W, 2)`` in pixels (the first is zero) and forward-backward errors ``(T, H, W)`` in pixels.
    """
    frames, count, (h, w) = clip.pictures, len(clip), clip.size
    flows = np.zeros((count, h, w, 2), np.float32)
    errors = np.zeros((count, h, w), np.float32)
    forth, back = flows[0], np.zeros((h, w, 2), np.float32)
    static = np.ones((h, w), bool)
    for t in range(1, count):
        chained, chained_back = chain(forth, clip.measure(t - 1, t)), chain(clip.measure(t, t - 1), back)
        pairs = candidate_flows(clip.engine, clip.grays[0], clip.grays[t], chained, chained_back)
        forth, errors[t], most = choose_flow(frames[0], frames[t], pairs)
        back = pairs[most][1]
        static &= zero_flow_explains(frames[0], frames[t], forth)
        flows[t] = smooth_flow(frames[0], forth, errors[t])
        on_step(t, max(count - 1, 1))
    static = _without_specks(static, STATIC_SIDE_PX)
    flows[:, static], errors[:, static] = 0, 0
    return flows, errors


def candidate_flows(engine: FlowEngine, a: Gray, b: Gray, chained: Flow, chained_back: Flow) -> list[tuple[Flow, Flow]]:
    """Flows from a to b and back, three ways: measured directly, measured from the chain as a start, the chain.

    Args:
        engine: Measures one pair.
        a: Grey frame ``(H, W)``.
        b: The other one.
        chained: ``(H, W, 2)`` from a to b over frames between.
        chained_back: From b to a.
    """
    direct = engine(a, b), engine(b, a)
    started = engine(a, b, chained), engine(b, a, chained_back)
    return [direct, started, (chained, chained_back)]


def candidate_cost(first: Image, now: Image, forward: Flow, backward: Flow) -> tuple[Image, Image]:
    """How badly a flow explains a frame ``(H, W)`` in grey levels of 255, and its forward-backward error in pixels."""
    returns: Image = np.minimum(forward_backward_error(forward, backward), MOST_RETURN_PX)
    return 255 * appearance_error(first, now, forward) + RETURN_WEIGHT * returns, returns


def choose_flow(first: Image, now: Image, pairs: list[tuple[Flow, Flow]]) -> tuple[Flow, Image, int]:
    """Best flow a pixel, its forward-backward error, and the candidate that is best at most pixels."""
    costs, returns = zip(*(candidate_cost(first, now, forth, back) for forth, back in pairs), strict=True)
    best = np.argmin(costs, 0)
    flow = np.take_along_axis(np.stack([p[0] for p in pairs]), best[None, ..., None], 0)[0]
    error = np.take_along_axis(np.stack(returns), best[None], 0)[0]
    return flow, error, int(np.bincount(best.ravel()).argmax())


def zero_flow_explains(first: Image, now: Image, flow: Flow) -> Mask:
    """Where ``(H, W)`` zero motion of frame 0 explains a frame about as well as a flow does."""
    static = 255 * appearance_error(first, now, np.zeros_like(flow))
    moving = 255 * appearance_error(first, now, flow)
    explains: Mask = static < moving * STATIC_RATIO + STATIC_MARGIN_GRAY
    return explains


def smooth_flow(frame: Image, flow: Flow, error: Image) -> Flow:
    """A flow smoothed along the regions of its frame, by normalised convolution weighted with its confidence.

    Args:
        frame: ``(H, W, 3)`` in ``[0, 1]``, the frame that the flow starts in.
        flow: ``(H, W, 2)`` in pixels.
        error: ``(H, W)`` forward-backward error in pixels.
    """
    confidence = (1 / (1 + CONFIDENCE_FALLOFF * np.minimum(error, MOST_RETURN_PX)))[..., None]
    weighted = np.concatenate([flow * confidence, confidence], -1).astype(np.float32)
    smoothed = smooth(weighted, frame, SMOOTH_PX**2, SMOOTH_EDGE)
    return np.divide(smoothed[..., :2], np.maximum(smoothed[..., 2:], 1e-9))


def _without_specks(mask: Mask, side: int) -> Mask:
    from ..needed.opencv import cv2

    opened: Mask = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((side, side), np.uint8)) > 0
    return opened
