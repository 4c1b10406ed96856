"""Optical flow that was measured elsewhere, as a flow engine."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from ..errors import InputError
from .flow_field import DisFlow, Flow, FlowEngine, Gray, chain, to_gray


class GivenFlow:
    """Answers from flows between the frames of a clip; farther pairs are chained through given ones.

    A frame is known by its picture. Pairs that no chain reaches, and frames of another clip, go to another engine.

    Args:
        frames: ``(F, H, W, 3)`` in ``[0, 1]``, the clip.
        flows: Flow ``(H, W, 2)`` in pixels by pair ``(from, to)``.
        otherwise: Measures what was not given; OpenCV's DIS when None.

    Raises:
        InputError: A flow between frames that the clip does not have, of another size, or not finite.
    """

    def __init__(
        self, frames: Tensor, flows: Mapping[tuple[int, int], Flow], otherwise: FlowEngine | None = None
    ) -> None:
        count, h, w = frames.shape[:3]
        for (i, j), flow in flows.items():
            if not (0 <= i < count and 0 <= j < count):
                raise InputError(
                    f"flow from frame {i} to frame {j}", f"frames 0 to {count - 1}", "give the flow of this clip"
                )
            if flow.shape != (h, w, 2) or not np.isfinite(flow).all():
                raise InputError(
                    f"flow {i} to {j} of shape {flow.shape}",
                    f"finite numbers of shape {(h, w, 2)}",
                    "measure it on frames of this size",
                )
        self._flows = {pair: np.ascontiguousarray(flow, dtype=np.float32) for pair, flow in flows.items()}
        self._index = {gray.tobytes(): k for k, gray in reversed(list(enumerate(to_gray(frames))))}
        self._otherwise = otherwise or DisFlow()

    def __call__(self, a: Gray, b: Gray, init: Flow | None = None) -> Flow:
        """See FlowEngine."""
        i, j = (self._index.get(np.ascontiguousarray(x).tobytes()) for x in (a, b))
        found = None if i is None or j is None else self._between(i, j)
        return self._otherwise(a, b, init) if found is None else found.copy()

    def _between(self, i: int, j: int) -> Flow | None:
        """The given flow, or the chain through the frames between; None where a link is missing."""
        if (i, j) in self._flows or i == j:
            return self._flows.get((i, j))
        step, flow = 1 if j > i else -1, None
        for k in range(i, j, step):
            link = self._flows.get((k, k + step))
            if link is None:
                return None
            flow = link if flow is None else chain(flow, link)
        return flow


def neighbour_flows(forward: Tensor, backward: Tensor) -> dict[tuple[int, int], Flow]:
    """Pairs of neighbouring frames, as GivenFlow takes them.

    Args:
        forward: ``(F - 1, H, W, 2)`` in pixels, from every frame to the next.
        backward: Of the same shape, from every frame but the first to the one before.
    """
    if forward.ndim != 4 or forward.shape[-1] != 2 or forward.shape != backward.shape:
        raise InputError(
            f"flows of shapes {tuple(forward.shape)} and {tuple(backward.shape)}",
            "(frames - 1, height, width, 2) twice",
            "measure the clip in both directions",
        )
    pairs = {(k, k + 1): flow for k, flow in enumerate(forward.detach().cpu().numpy())}
    return pairs | {(k + 1, k): flow for k, flow in enumerate(backward.detach().cpu().numpy())}
