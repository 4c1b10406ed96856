"""Video files out, through PyAV: H.264 or VP9."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from torch import Tensor

from ..errors import InputError
from ..needed import MissingPackage
from .files import write_bytes
from .images import to_uint8

if TYPE_CHECKING:
    from av.video import VideoStream
    from av.video.reformatter import Interpolation

_CODECS: dict[str, tuple[str, str, int, dict[str, str]]] = {
    ".mp4": ("mp4", "libx264", 16, {"preset": "medium"}),
    ".webm": ("webm", "libvpx-vp9", 20, {"b": "0", "deadline": "good", "cpu-used": "2", "row-mt": "1"}),
}
"""By ending: container, encoder, the quality that is hard to tell from the source, and the encoder's other options."""


def write_video(
    frames: Tensor,
    path: Path | str,
    fps: float = 8.0,
    crf: int | None = None,
    order: Sequence[int] | None = None,
) -> Path:
    """Writes ``(F, H, W, 3)`` in ``[0, 1]`` as a video (yuv420p, BT.709 limited range), whole or not at all.

    ``.webm`` is VP9, any other ending an MP4 of H.264. 4:2:0 colour needs even sizes: an odd one is padded by repeating
    the last row or column.

    Args:
        frames: The frames.
        path: File to write.
        fps: Frames a second.
        crf: The encoder's quality, less is better; when None, what is hard to tell from the source (16 of x264's 0 to
            51, where 0 is lossless, or 20 of VP9's 0 to 63).
        order: Which frames to show in turn; every one once when None.

    Raises:
        InputError: No frames, or the folder can't be written or is full.
    """
    if frames.ndim != 4 or frames.shape[0] < 1 or frames.shape[-1] != 3:
        raise InputError(
            f"a video of shape {tuple(frames.shape)}", "(frames, height, width, 3)", "give at least one RGB frame"
        )
    # Encoded in memory: a full disk then shows as one plain OSError of one write.
    kind = Path(path).suffix.lower()
    codec = _CODECS[kind if kind in _CODECS else ".mp4"]
    turns = [frames[k] for k in (range(len(frames)) if order is None else order)]
    return write_bytes(path, _encode(turns, Fraction(fps).limit_denominator(1001), codec, crf))


def _encode(
    frames: Sequence[Tensor], fps: Fraction, codec: tuple[str, str, int, dict[str, str]], crf: int | None
) -> bytes:
    from ..needed.pyav import ColorRange, Colorspace, av

    buffer, (container, encoder, usual, options) = io.BytesIO(), codec
    if encoder not in av.codecs_available:
        raise MissingPackage(
            f"this PyAV has no encoder {encoder}", "PyAV's own wheel", "python -m pip install --force-reinstall av"
        )
    with av.open(buffer, "w", format=container) as file:
        quality = str(usual if crf is None else crf)
        stream = cast("VideoStream", file.add_stream(encoder, rate=fps, options={"crf": quality, **options}))
        stream.height, stream.width = (side + side % 2 for side in frames[0].shape[:2])
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.color_range, context.colorspace = 1, 1  # limited range, BT.709
        context.color_primaries = context.color_trc = 1
        for values in frames:  # one after the other: all of them in 8 bits would be as much again as what is held
            picture = to_uint8(values)
            picture = np.pad(picture, [(0, picture.shape[0] % 2), (0, picture.shape[1] % 2), (0, 0)], mode="edge")
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG,
                interpolation=full_interpolation("AREA"),
            )
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return buffer.getvalue()


def full_interpolation(method: str) -> Interpolation:
    """A resampling method for colour, with rounding and interpolation in full where this PyAV can ask for them.

    Without the flags swscale takes a short cut that repeats colour pixels, which costs 3 dB on small 4:2:0 clips.
    """
    from ..needed.pyav import Interpolation

    flags = Interpolation[method]
    for name in ("ACCURATE_RND", "FULL_CHR_H_INT"):
        if name in getattr(Interpolation, "__members__", ()):
            flags |= Interpolation[name]
    return flags


def there_and_back_order(count: int, seconds: float, fps: float) -> list[int]:
    """Which of ``count`` frames are shown in turn, forward and backward without a jump, for at least ``seconds``."""
    loop = [*range(count), *range(count - 2, 0, -1)]
    return loop * max(1, math.ceil(seconds * fps / len(loop)))
