"""A flow engine that measures every pair of pictures once."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from .engines import DisFlow, FlowEngine
from .flow_field import Flow, Gray

MOST_BYTES = 2**29
"""Memory for flows; beyond it the longest unused ones go, and are measured again when they are asked for."""

Key = tuple[bytes, bytes, bytes]


class MemoizedFlow:
    """Another engine, whose answers are kept by what they were measured from: two pictures and a start.

    Whatever looks at the same pictures can share one of these. A flow of 512 x 288 pixels takes 1.2 MB.

    Args:
        engine: Measures one pair; OpenCV's DIS when None. A memoized engine shares what it holds.
    """

    def __init__(self, engine: FlowEngine | None = None) -> None:
        self._kept: OrderedDict[Key, Flow] = OrderedDict()
        self.engine: FlowEngine = engine or DisFlow()
        if isinstance(engine, MemoizedFlow):
            self._kept, self.engine = engine._kept, engine.engine

    def __call__(self, a: Gray, b: Gray, init: Flow | None = None) -> Flow:
        """See FlowEngine; the flow is read-only."""
        key = _digest(a), _digest(b), b"" if init is None else _digest(init)
        if key not in self._kept:
            flow = self.engine(a, b, init).view()
            flow.flags.writeable = False
            self._kept[key] = flow
            while len(self._kept) > 1 and self.bytes > MOST_BYTES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    @property
    def bytes(self) -> int:
        """Memory that the kept flows take."""
        return sum(flow.nbytes for flow in self._kept.values())

    def release_beyond(self, most_bytes: int) -> None:
        """Drops the longest unused flows until the rest takes at most so much memory."""
        while self._kept and self.bytes > most_bytes:
            self._kept.popitem(last=False)

    def release_started(self) -> None:
        """Drops flows that were measured from a start."""
        for key in [key for key in self._kept if key[2]]:
            del self._kept[key]


def _digest(values: NDArray[np.generic]) -> bytes:
    shape = repr((values.shape, values.dtype.str)).encode()
    return hashlib.sha256(shape + np.ascontiguousarray(values).tobytes()).digest()
