"""A clip and the flows between its frames."""

from __future__ import annotations

from functools import cached_property
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError
from ..progress import OnStep, no_progress
from .engines import FlowEngine
from .flow_field import Flow, Gray, chain, to_gray
from .memoized import MemoizedFlow


class ClipFlows:
    """The frames of a clip, and the flows between them, measured when first asked for and kept by the engine.

    Args:
        frames: ``(F, H, W, 3)`` in ``[0, 1]``.
        engine: Measures one pair; OpenCV's DIS when None.
    """

    def __init__(self, frames: Tensor, engine: FlowEngine | None = None) -> None:
        if frames.ndim != 4 or frames.shape[-1] != 3:
            raise InputError(f"a clip of shape {tuple(frames.shape)}", "(frames, height, width, 3)", "stack its frames")
        self.frames = frames
        self.engine = MemoizedFlow(engine)
        self._progressive: WeakValueDictionary[tuple[int, int], Flow] = WeakValueDictionary()  # the engine keeps them

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def size(self) -> tuple[int, int]:
        """Frame size as ``(height, width)``."""
        return self.frames.shape[1], self.frames.shape[2]

    @cached_property
    def grays(self) -> list[Gray]:
        """8-bit luma ``(H, W)`` of every frame."""
        return to_gray(self.frames)

    @cached_property
    def pictures(self) -> NDArray[np.float32]:
        """The frames ``(F, H, W, 3)`` on the CPU."""
        pictures: NDArray[np.float32] = self.frames.float().cpu().numpy()
        return pictures

    def measure(self, i: int, j: int, start: Flow | None = None) -> Flow:
        """Flow ``(H, W, 2)`` in pixels from frame i to frame j, read-only.

        Args:
            i: From which frame.
            j: To which.
            start: ``(H, W, 2)`` a first guess.
        """
        return self.engine(self.grays[i], self.grays[j], start)

    def progressive(self, i: int, j: int) -> Flow:
        """Flow from frame i to frame j, measured with the chain over the frames between as its start.

        The start carries over motion too large for the engine, and the direct measurement removes the chain's drift.
        Neighbours are measured without a start.
        """
        flow = self._progressive.get((i, j))
        if flow is None:
            step = 1 if j > i else -1
            near = abs(j - i) == 1
            start = None if near else chain(self.progressive(i, j - step), self.progressive(j - step, j))
            flow = self._progressive[i, j] = self.measure(i, j, start)
        return flow

    def pairs(self, reach: int, on_step: OnStep = no_progress) -> dict[tuple[int, int], Flow]:
        """Progressive flows between all ordered pairs of frames at most ``reach`` apart.

        Args:
            reach: Largest distance in frames.
            on_step: Progress, one step a pair.
        """
        count = len(self)
        pairs = [
            (i, j) for gap in range(1, reach + 1) for i in range(count) for j in (i - gap, i + gap) if 0 <= j < count
        ]
        flows = {}
        for done, pair in enumerate(pairs, 1):
            flows[pair] = self.progressive(*pair)
            on_step(done, len(pairs))
        return flows
