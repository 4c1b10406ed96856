"""Interlaced frames made whole by FFmpeg's own filter, as players do."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from av import VideoFrame
    from av.video import VideoStream

log = logging.getLogger(__name__)

_FILTERS = ("bwdif", "yadif")


_COMB, _SAME, _COMBED_SHARE = 24, 6, 0.004
"""Steps of brightness, out of 255, between lines of two fields and within one; and the share of combed pixels."""


def looks_combed(picture: np.ndarray) -> bool:
    """Whether a picture ``(H, W, 3)`` uint8 has edges that only every other line shares, as moving ones in two fields.

    A pixel counts where the lines above and below agree with each other, and both differ from its own; texture as fine
    as single lines does the same, so a share of all pixels is asked for.
    """
    light = picture[..., 1].astype(np.int16)
    above, line, below = light[:-2], light[1:-1], light[2:]
    away = np.minimum(np.abs(line - above), np.abs(line - below))
    combed = (away > _COMB) & (np.abs(above - below) < _SAME)
    long = combed[:, 1:-1] & combed[:, :-2] & combed[:, 2:]  # noise is not three pixels wide
    tall = long[:-2] & long[2:]  # and a line that is there is no comb
    return bool(tall.mean() > _COMBED_SHARE) if tall.size else False


class Deinterlacer:
    """Passes frames on; from the first interlaced one on through a filter that leaves progressive ones as they are.

    Every frame comes out once, in order and with its time; the filter looks one frame ahead, so the last ones come with
    ``flush``.

    Args:
        stream: Where the frames are from.
        name: What to call the clip in a warning.
    """

    def __init__(self, stream: VideoStream, name: str) -> None:
        self._stream, self._name = stream, name
        self._graph: Any = None
        self._shape: tuple[int, int, str] | None = None
        self.method: str | None = None

    def push(self, frame: VideoFrame) -> Iterator[VideoFrame]:
        """One frame in, the frames that are ready out."""
        if self.method is None and frame.interlaced_frame:
            self.method = _first_filter()
            if self.method is None:
                log.warning("%s is interlaced, and this PyAV has no filter for that: it is read as it is", self._name)
                self.method = ""
        if not self.method:
            yield frame
            return
        shape = (frame.width, frame.height, frame.format.name)
        if shape != self._shape:
            yield from self.flush()
            self._graph, self._shape = self._build(frame), shape
        self._graph.push(frame)
        yield from self._ready()

    def flush(self) -> Iterator[VideoFrame]:
        """The frames that were still held."""
        if self._graph is not None:
            self._graph.push(None)
            yield from self._ready()
            self._graph = None

    def _ready(self) -> Iterator[VideoFrame]:
        from ..needed.pyav import av

        while True:
            try:
                frame = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            yield frame

    def _build(self, frame: VideoFrame) -> Any:
        from ..needed.pyav import Graph

        assert self.method
        graph: Any = Graph()  # its stubs want a format as an object, which it takes by name, too
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format.name, time_base=self._stream.time_base
        )
        woven = graph.add(self.method, "mode=send_frame:parity=auto:deint=interlaced")
        sink = graph.add("buffersink")
        source.link_to(woven)
        woven.link_to(sink)
        graph.configure()
        return graph


def _first_filter() -> str | None:
    from ..needed.pyav import filters_available

    return next((name for name in _FILTERS if name in filters_available), None)
