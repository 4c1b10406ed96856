"""Flow of small pictures, measured on enlarged ones: an engine's patches span several pixels, limbs may be thinner."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from .engines import DisFlow, FlowEngine
from .flow_field import Flow, Gray


class EnlargedFlow:
    """Another engine on pictures that are enlarged first.

    Args:
        times: By how much.
        engine: Measures flow; OpenCV's DIS if None.

    Raises:
        InputError: Not at least 1.
    """

    def __init__(self, times: int = 2, engine: FlowEngine | None = None) -> None:
        if times < 1:
            raise InputError(f"pictures enlarged {times} times", "at least 1", "leave it at its default")
        self.times, self.engine = times, engine or DisFlow()

    def __call__(self, a: Gray, b: Gray, init: Flow | None = None) -> Flow:
        """See FlowEngine."""
        import cv2

        height, width = a.shape
        size = width * self.times, height * self.times
        large, other = (cv2.resize(gray, size, interpolation=cv2.INTER_CUBIC) for gray in (a, b))
        start = None
        if init is not None:
            start = cv2.resize(init, size, interpolation=cv2.INTER_LINEAR) * np.float32(self.times)
        flow = self.engine(large, other, start)
        return cv2.resize(flow, (width, height), interpolation=cv2.INTER_AREA) / np.float32(self.times)
