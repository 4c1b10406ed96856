"""Flow from one frame to all frames of a clip, chosen per pixel among several ways of measuring it.

A fixed-view clip's motion grows with time, and no single way of measuring it wins everywhere: direct flow loses fast
limbs, chained flow drifts. Each pixel takes the candidate that best explains the picture and returns to where it began;
and where standing still explains the picture as well as moving does, it stands still.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..progress import OnStep, no_progress
from .flow import Flow, FlowEngine, Gray, chain, forward_backward_error, warp


@dataclass(frozen=True)
class LongFlowOptions:
    """How candidates are weighed.

    Attributes:
        window_px: Standard deviation of the window over which errors are averaged.
        still_ratio: A pixel stands still when doing so costs at most this multiple of the moving candidate's error ...
        still_margin: ... plus this much, in grey levels of 255.
        return_weight: Grey levels of 255 that one pixel of forward-backward error counts for.
    """

    window_px: float = 2.0
    still_ratio: float = 1.1
    still_margin: float = 1.0
    return_weight: float = 1.5


def _appearance_error(a: NDArray, b: NDArray, flow: Flow, window_px: float) -> NDArray[np.float32]:
    import cv2

    difference = np.abs(a - warp(b, flow)).mean(-1)
    return cv2.GaussianBlur(difference, (0, 0), window_px)


def long_flow(frames: NDArray[np.float32], grays: list[Gray], engine: FlowEngine,
              options: LongFlowOptions | None = None, on_step: OnStep = no_progress
              ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Flow from frame 0 to every frame.

    Args:
        frames: ``(T, H, W, 3)`` in ``[0, 1]``.
        grays: The same as 8-bit luma.
        engine: Measures one pair.
        options: See LongFlowOptions.
        on_step: Progress, one step a frame.

    Returns:
        Flows ``(T, H, W, 2)`` in pixels (the first is zero) and forward-backward errors ``(T, H, W)`` in pixels.
    """
    options = options or LongFlowOptions()
    count, (h, w) = len(grays), grays[0].shape
    flows = np.zeros((count, h, w, 2), np.float32)
    errors = np.zeros((count, h, w), np.float32)
    forth = np.zeros((h, w, 2), np.float32)
    back = np.zeros((h, w, 2), np.float32)
    for t in range(1, count):
        step, step_back = engine(grays[t - 1], grays[t]), engine(grays[t], grays[t - 1])
        chained, chained_back = chain(forth, step), chain(step_back, back)
        pairs = [(engine(grays[0], grays[t]), engine(grays[t], grays[0])),
                 (engine(grays[0], grays[t], chained), engine(grays[t], grays[0], chained_back)),
                 (chained, chained_back)]
        flows[t], errors[t], picked = _choose(frames[0], frames[t], pairs, options)
        forth = flows[t]
        back = pairs[picked][1]
        on_step(t, max(count - 1, 1))
    return flows, errors


def _choose(first: NDArray, now: NDArray, pairs: list[tuple[Flow, Flow]], options: LongFlowOptions
            ) -> tuple[Flow, NDArray[np.float32], int]:
    """Best flow a pixel, its forward-backward error, and the candidate that won most pixels."""
    costs, returns = [], []
    for forward, backward in pairs:
        fb = np.minimum(forward_backward_error(forward, backward), 20.0)
        appearance = 255 * _appearance_error(first, now, forward, options.window_px)
        costs.append(appearance + options.return_weight * fb)
        returns.append(fb)
    best = np.argmin(costs, 0)
    flow = np.take_along_axis(np.stack([p[0] for p in pairs]), best[None, ..., None], 0)[0]
    error = np.take_along_axis(np.stack(returns), best[None], 0)[0]
    still = 255 * _appearance_error(first, now, np.zeros_like(flow), options.window_px)
    moving = 255 * _appearance_error(first, now, flow, options.window_px)
    stands = still < moving * options.still_ratio + options.still_margin
    flow = np.where(stands[..., None], 0, flow).astype(np.float32)
    return flow, np.where(stands, 0, error).astype(np.float32), int(np.bincount(best.ravel()).argmax())
