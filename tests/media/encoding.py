"""Small video files of every kind, made by PyAV alone."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest


def encode(
    path: Path,
    pictures: Sequence[np.ndarray],
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    tags: dict[str, int] | None = None,
    times: Sequence[int] | None = None,
    tick: Fraction = Fraction(1, 1000),
    rate: int = 25,
    prepare: Any = None,
) -> Path:
    """Encodes pictures ``(H, W, 3 or 4)`` uint8, or uint16 of three channels, or frames; skips where no encoder is.

    Args:
        path: The file; its ending names the container.
        pictures: The frames.
        codec: Encoder.
        pix_fmt: Pixel format of the stream.
        options: Of the encoder.
        tags: Attributes of the codec context, such as ``color_trc``.
        times: When each frame is shown, in ticks; evenly at ``rate`` when None.
        tick: Of ``times``, in seconds.
        rate: Frames a second.
        prepare: Called with the stream before the first frame.
    """
    try:
        av.Codec(codec, "w")
    except ValueError:
        pytest.skip(f"this PyAV has no encoder {codec}")
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=rate, options=options or {})
        first = pictures[0]
        height, width = (first.height, first.width) if isinstance(first, av.VideoFrame) else first.shape[:2]
        stream.height, stream.width, stream.pix_fmt = height, width, pix_fmt
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        if times is not None:
            stream.codec_context.time_base = tick
        if prepare is not None:
            prepare(stream)
        for k, picture in enumerate(pictures):
            frame = picture
            if not isinstance(picture, av.VideoFrame):
                name = {(3, 1): "rgb24", (4, 1): "rgba", (3, 2): "rgb48le"}[picture.shape[2], picture.dtype.itemsize]
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format=name)
            frame.pts = k if times is None else times[k]
            frame.time_base = Fraction(1, rate) if times is None else tick
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def numbered(count: int, height: int = 32, width: int = 48, step: int = 8) -> list[np.ndarray]:
    """Flat grey pictures whose brightness is 16 and their number times ``step``."""
    return [np.full((height, width, 3), 16 + k * step, np.uint8) for k in range(count)]


def numbers(clip: Any, step: int = 8) -> list[int]:
    """Which pictures of ``numbered`` these frames ``(F, H, W, 3)`` are."""
    return [round((float(frame.mean()) * 255 - 16) / step) for frame in clip]
