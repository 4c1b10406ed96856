"""Video files in: the frames that are wanted, as a player shows them, and a sentence where the file is damaged."""

from __future__ import annotations

import logging
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..errors import InputError
from .color import HDR_PEAK, UNSPECIFIED, ColorTags, to_bt709
from .deinterlacing import Deinterlacer, looks_combed
from .display_matrix import turn_of_frame
from .framing import usable_pixel_aspect
from .picture_files import Pick, over_black
from .sources import ClipSource
from .video import full_interpolation

if TYPE_CHECKING:
    from av import Packet, VideoFrame
    from av.container import InputContainer
    from av.video import VideoStream

log = logging.getLogger(__name__)

Shape = Callable[[np.ndarray, float], np.ndarray]
"""From an upright picture and the width of its pixels over their height, the frame of the clip."""

_MATRIX_709, _MATRIX_601, _MATRIX_2020 = 1, 6, 9
_SWSCALE_MATRICES = {1: "ITU709", 4: "FCC", 5: "ITU601", 6: "ITU601", 7: "SMPTE240M", 9: "BT2020"}
"""Matrix coefficients of ITU-T H.273 that can be undone, and what PyAV calls them."""
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""FFmpeg's own decoders of these leave the alpha of a WebM out."""
_TAGS = ("colorspace", "color_range", "color_primaries", "color_trc")
_COMBED_FRAMES = 0.25
_ERRORS_IN_A_ROW = 8
_WITH_DURATION = ("mov", "matroska", "avi", "flv")
"""Containers whose headers know how long they are; of others FFmpeg guesses it."""


@dataclass
class VideoFrames:
    """What was read of a video.

    Attributes:
        pictures: The frames kept, ``(H, W, 3)`` uint8 RGB.
        times: When each frame of the file is shown, in seconds.
        damage: What is wrong with the file, as the end of a sentence; None where it is whole.
        deinterlaced: The filter that interlaced frames went through; None where there were none.
        color: The transfer and primaries that were converted from; None where the values are those of the file.
    """

    pictures: list[np.ndarray] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    damage: str | None = None
    deinterlaced: str | None = None
    color: ColorTags | None = None


@dataclass
class _Faults:
    """Damage met on the way: frames lost, frames decoded with errors, places of the file that can't be read."""

    lost: int = 0
    marred: int = 0
    gaps: int = 0


@dataclass(frozen=True)
class _Plan:
    """What a file holds by its packets: when frames are shown, in seconds and in order, and when the last one ends."""

    times: list[float]
    end: float


def read_video(source: ClipSource, pick: Pick, shape: Shape) -> VideoFrames:
    """Frames of a video file.

    Only the frames that are kept stay in memory. Colours follow the stream's own tags; a stream without a matrix tag is
    taken as BT.709 from 720 lines up and as BT.601 below, as players do. High dynamic range and wide primaries become
    BT.709 (``color``), transparency is laid over black, interlaced frames are deinterlaced, turns and mirrors of the
    container are applied.

    Args:
        source: The file.
        pick: From the times of all frames, in seconds, the indices of those to keep.
        shape: Brings a picture to the clip's size.

    Raises:
        InputError: Not a video, or damaged before its first frame.
    """
    from ..needed.pyav import av

    try:
        plan = _plan(source)
        chosen = pick(plan.times)
        reading = _Reading(source, shape)
        found = reading.run(set(chosen))
        again = pick(found.times)  # headers and packets may promise other frames than decode
        if again != chosen:
            reading = _Reading(source, shape)
            found = reading.run(set(again))
    except (av.FFmpegError, UnicodeDecodeError) as err:
        raise _unreadable(source, str(err)) from err
    if not found.times and reading.faults.lost:
        raise _unreadable(source, f"of its {counted(reading.faults.lost)} none can be decoded")
    found.damage = _damage(reading, found.times, plan)
    return found


def packet_times(source: ClipSource) -> list[float]:
    """When the frames of a video file are shown, in seconds, by its packets alone.

    Raises:
        InputError: Not a video.
    """
    from ..needed.pyav import av

    try:
        return _plan(source).times
    except (av.FFmpegError, UnicodeDecodeError) as err:
        raise _unreadable(source, str(err)) from err


class _Reading:
    """One pass over a file that decodes it all and keeps some of it."""

    def __init__(self, source: ClipSource, shape: Shape) -> None:
        self.source, self.shape = source, shape
        self.faults = _Faults()
        self.end: float | None = None
        self.promised = 0
        self._tags: dict[str, int] = {}  # of the container: a decoder that knows none takes them away
        self._combed = 0
        self._clear: list[np.ndarray] = []  # the colours under frames of which nothing is opaque
        self._seen_through = True

    def run(self, wanted: set[int]) -> VideoFrames:
        from ..needed.pyav import av

        found = VideoFrames()
        with av.open(self.source.for_av(), "r") as file:
            stream = _pictures_of(file, self.source)
            self.end, self.promised = _promised_end(file, stream), stream.frames
            self._tags = {name: int(getattr(stream.codec_context, name, None) or 0) for name in _TAGS}
            aspect = usable_pixel_aspect(float(stream.sample_aspect_ratio or 1), self.source.name) if wanted else 1.0
            interlacing = Deinterlacer(stream, self.source.name)
            for frame in self._frames(file, stream, interlacing):
                if len(found.times) in wanted:
                    self._keep(frame, aspect, found)
                found.times.append(_seconds(frame, stream, len(found.times)))
            found.deinterlaced = interlacing.method or None
        if self._combed > _COMBED_FRAMES * len(found.pictures):
            log.warning(
                "%s looks interlaced and does not say so: moving edges are combed; deinterlace it first",
                self.source.name,
            )
        if found.pictures and self._clear and self._seen_through:
            log.warning("%s is transparent everywhere; its transparency is ignored", self.source.name)
            found.pictures = self._clear
        return found

    def _frames(self, file: InputContainer, stream: VideoStream, interlacing: Deinterlacer) -> Iterator[VideoFrame]:
        from ..needed.pyav import av

        decoder = _decoder(stream, self.source.name)
        for packet in (*_packets(file, stream, self.faults), None):
            try:
                decoded = decoder.decode(packet)
            except av.FFmpegError:
                self.faults.lost += packet is not None
                continue
            for frame in decoded:
                self.faults.marred += bool(frame.is_corrupt)
                yield from interlacing.push(frame)
        yield from interlacing.flush()

    def _keep(self, frame: VideoFrame, aspect: float, found: VideoFrames) -> None:
        turn = turn_of_frame(frame)
        if not turn.exact:
            log.warning("%s asks to be turned by no right angle; the nearest is taken", self.source.name)
        rgb, alpha, tags = _to_rgb(frame, self._tags, self.source.name)
        self._combed += looks_combed(rgb)
        aspect = 1 / aspect if turn.transpose else aspect
        found.color = None if tags.ordinary else tags
        if alpha is None or int(alpha.max()) > 0:
            self._seen_through = False
        laid = rgb if alpha is None else over_black(rgb, alpha)
        found.pictures.append(self.shape(turn.apply(laid), aspect))
        if self._seen_through:
            self._clear.append(self.shape(turn.apply(rgb), aspect))


def _pictures_of(file: InputContainer, source: ClipSource) -> VideoStream:
    """The video stream; a picture of a cover comes after a film."""
    streams = list(file.streams.video)
    if not streams:
        raise InputError(
            f"{source.name} has no video stream", "a file with pictures", "choose the video, not its sound"
        )
    films = [s for s in streams if "ATTACHED_PIC" not in str(getattr(s, "disposition", "")).upper()]
    return (films or streams)[0]


def _packets(file: InputContainer, stream: VideoStream, faults: _Faults) -> Iterator[Packet[Any]]:
    """The packets of a stream: past a place that can't be read, and without the stump that a cut leaves."""
    from ..needed.pyav import av

    failures, packets, held = 0, file.demux(stream), None
    while failures < _ERRORS_IN_A_ROW:
        try:
            packet = next(packets)
        except (StopIteration, av.EOFError):
            break
        except av.FFmpegError:
            faults.gaps += failures == 0
            failures += 1
            packets = file.demux(stream)
            continue
        failures = 0
        if not packet.size:
            continue
        if held is not None:
            yield held
        held = packet if packet.is_corrupt else None
        if held is None:
            yield packet
    if held is not None:
        faults.gaps += 1


def _plan(source: ClipSource) -> _Plan:
    from ..needed.pyav import av

    with av.open(source.for_av(), "r") as file:
        stream = _pictures_of(file, source)
        shown = [
            (packet.pts, packet.duration or 0)
            for packet in _packets(file, stream, _Faults())
            if not getattr(packet, "is_discard", False)
        ]
        stamped = [(pts, duration) for pts, duration in shown if pts is not None]
        if not shown or len(stamped) < len(shown):
            step = _interval(stream)
            return _Plan([i * step for i in range(len(shown))], len(shown) * step)
        tick = _tick(stream)
        times = [pts * tick for pts, _ in sorted(stamped)]
        longest = max(np.diff(times), default=_interval(stream))
        return _Plan(times, float(max(pts * tick + (duration * tick or longest) for pts, duration in stamped)))


def _seconds(frame: VideoFrame, stream: VideoStream, index: int) -> float:
    if frame.pts is None:
        return index * _interval(stream)
    return frame.pts * (float(frame.time_base) if frame.time_base else _tick(stream))


def _tick(stream: VideoStream) -> float:
    """Seconds that a step of the stream's time stamps stands for; a stream without a time base counts frames."""
    return float(stream.time_base) if stream.time_base else _interval(stream)


def _interval(stream: VideoStream) -> float:
    return 1 / float(stream.average_rate or stream.guessed_rate or 25)


def _promised_end(file: InputContainer, stream: VideoStream) -> float | None:
    """Until when, in seconds, the headers of a file say that it goes on; None where they don't, or only guess."""
    kind = file.format.name.split(",")[0]
    if kind not in _WITH_DURATION:
        return None
    if stream.duration:
        return ((stream.start_time or 0) + stream.duration) * _tick(stream)
    if stamp := re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", "")):
        return 3600 * int(stamp[1]) + 60 * int(stamp[2]) + float(stamp[3])
    if file.duration and len(file.streams) == 1:
        return ((file.start_time or 0) + file.duration) / 1e6
    return None


def _damage(reading: _Reading, times: list[float], plan: _Plan) -> str | None:
    """The sentence's end on what could not be read; None where all could."""
    faults, parts = reading.faults, []
    step = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 0.04
    if reading.end is not None and reading.end - plan.end > 0.75 * step:
        promised = max(reading.promised, round(len(times) * reading.end / max(plan.end, step)))
        parts.append(
            f"ends early: {len(times)} of {promised} frames, {plan.end:.3g} of {reading.end:.3g} s, could be read"
        )
    elif faults.gaps:
        parts.append(f"has a part that can't be read: {counted(len(times))} could")
    if faults.lost:
        parts.append(f"has {counted(faults.lost, 'damaged frame')} that can't be decoded, beside {len(times)} that can")
    if faults.marred:
        parts.append(f"has {counted(faults.marred, 'damaged frame')} that may look broken")
    return " and it ".join(parts) or None


def counted(number: int, what: str = "frame") -> str:
    """A number of things in words."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _decoder(stream: VideoStream, name: str) -> Any:
    """What decodes a stream: FFmpeg's choice, but a decoder that knows of alpha where the container has it."""
    from ..needed.pyav import av

    wanted = _ALPHA_DECODERS.get(stream.codec_context.name)
    tags = {key.lower(): value for key, value in stream.metadata.items()}
    if wanted and tags.get("alpha_mode") == "1":
        try:
            return av.CodecContext.create(wanted, "r")
        except (ValueError, av.FFmpegError):
            log.warning("%s may be transparent, and this PyAV lacks %s to decode that: it is ignored", name, wanted)
    stream.thread_type = "AUTO"
    return stream.codec_context


def _to_rgb(frame: VideoFrame, container: dict[str, int], name: str) -> tuple[np.ndarray, np.ndarray | None, ColorTags]:
    """Colours ``(H, W, 3)`` and straight alpha ``(H, W, 1)``, uint8, of a frame, and what the colours were."""
    from ..needed.pyav import ColorRange, Colorspace

    tags = _color_tags(frame, container)
    code, matrix = _tag(frame, container, "colorspace"), None  # None: the frame's own
    if not frame.format.is_rgb and int(frame.colorspace) == UNSPECIFIED:
        if code == UNSPECIFIED:
            high = max(frame.height, frame.width * 9 // 16) >= 720
            code = _MATRIX_2020 if tags.wide else _MATRIX_709 if high else _MATRIX_601
        matrix = Colorspace[_SWSCALE_MATRICES.get(code, "DEFAULT")]
    if code not in (0, UNSPECIFIED, *_SWSCALE_MATRICES):
        log.warning("%s has colours in a form (matrix %d of H.273) that is read as another: they are off", name, code)
    levels = None
    if not int(frame.color_range) and container["color_range"]:
        levels = ColorRange(container["color_range"])
    transparent = frame.format.name == "pal8" or any(c.is_alpha for c in frame.format.components)
    options: dict[str, Any] = {
        "interpolation": full_interpolation("BICUBIC"),
        "src_colorspace": matrix,
        "src_color_range": levels,
    }
    if tags.ordinary and not transparent:
        return frame.to_ndarray(format="rgb24", **options), None, tags
    alpha = None
    if transparent:
        rgba = frame.to_ndarray(format="rgba", **options)
        rgb, alpha = rgba[..., :3], rgba[..., 3:]
    if not tags.ordinary:
        rgb = to_bt709(frame.to_ndarray(format="rgb48le", **options), tags)
    return rgb, alpha, tags


def _color_tags(frame: VideoFrame, container: dict[str, int]) -> ColorTags:
    peak = HDR_PEAK
    for data in cast("Iterable[Any]", frame.side_data):  # its stubs say that it gives keys
        if data.type.name == "CONTENT_LIGHT_LEVEL":
            peak = float(struct.unpack_from("=I", bytes(data))[0]) or peak
            break
        if data.type.name == "MASTERING_DISPLAY_METADATA":
            *_, top, below = struct.unpack_from("=20i", bytes(data))  # rationals: primaries, white, least, most
            peak = top / below if below else peak
    if not 100 <= peak <= 10000:
        peak = HDR_PEAK
    return ColorTags(_tag(frame, container, "color_trc"), _tag(frame, container, "color_primaries"), peak)


def _tag(frame: VideoFrame, container: dict[str, int], name: str) -> int:
    """A colour tag of the frame, or of its container where it has none; older PyAV has two of them there only."""
    own = int(getattr(frame, name, UNSPECIFIED))
    return own if own not in (UNSPECIFIED, -1) else container[name] or UNSPECIFIED


def _unreadable(source: ClipSource, why: str) -> InputError:
    return InputError(
        f"{source.name} can't be read as a video ({why})",
        "a video file, an animated WebP or GIF, or a folder of images",
        "convert it to MP4 or choose another file",
    )
