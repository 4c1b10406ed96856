"""Flow of small pictures, measured on enlarged ones: an engine's patches span several pixels, limbs may be thinner."""

from __future__ import annotations

from typing import cast

import numpy as np

from .engines import DisFlow, FlowEngine
from .flow_field import Flow, Gray

TIMES = 2
"""By how much pictures are enlarged."""


class EnlargedFlow:
    """Another engine on pictures that are enlarged first.

    Args:
        engine: Measures flow; OpenCV's DIS if None.
    """

    def __init__(self, engine: FlowEngine | None = None) -> None:
        self.engine = engine or DisFlow()

    def __call__(self, a: Gray, b: Gray, init: Flow | None = None) -> Flow:
        """See FlowEngine."""
        from ..needed.opencv import cv2

        height, width = a.shape
        size = width * TIMES, height * TIMES
        large, other = (cast(Gray, cv2.resize(gray, size, interpolation=cv2.INTER_CUBIC)) for gray in (a, b))
        start = None
        if init is not None:
            start = cv2.resize(init, size, interpolation=cv2.INTER_LINEAR) * np.float32(TIMES)
        flow = self.engine(large, other, start)
        reduced: Flow = cv2.resize(flow, (width, height), interpolation=cv2.INTER_AREA) / np.float32(TIMES)
        return reduced
