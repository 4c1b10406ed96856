"""Interlaced frames made whole by FFmpeg's own filter, as players do."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av import VideoFrame
    from av.video import VideoStream

log = logging.getLogger(__name__)

_FILTERS = ("bwdif", "yadif")


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
        import av

        while True:
            try:
                frame = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            yield frame

    def _build(self, frame: VideoFrame) -> Any:
        from av.filter import Graph

        graph = Graph()
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
    from av.filter import filters_available

    return next((name for name in _FILTERS if name in filters_available), None)
