"""Files that end early or have bad bytes: what can be read is, one sentence says how much, and ``strict`` refuses."""

from __future__ import annotations

import io
import logging
import re
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from fourreal_core.errors import InputError
from fourreal_core.media import read_clip

from .encoding import encode, numbers


@pytest.fixture(autouse=True)
def _hear(caplog):
    caplog.set_level(logging.WARNING, "fourreal_core")


def grainy(count: int, height: int = 64, width: int = 96) -> list[np.ndarray]:
    """Numbered pictures that no encoder makes small."""
    rng = np.random.default_rng(0)
    flat = (np.full((height, width, 3), 16 + 8 * k) for k in range(count))
    return [np.clip(p + rng.integers(-6, 7, p.shape), 0, 255).astype(np.uint8) for p in flat]


def film(path: Path, codec: str) -> Path:
    """24 frames; an MP4's table of contents comes first, so that a cut leaves it."""
    made = encode(path, grainy(24), codec, options={"g": "6"})
    if path.suffix not in (".mp4", ".mov"):
        return made
    first = path.with_name(f"first_{path.name}")
    with av.open(str(made)) as source, av.open(str(first), "w", options={"movflags": "faststart"}) as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
    return first


def packets(path: Path) -> list[tuple[int, int]]:
    """Where the packets of a file lie, and how many bytes each has."""
    with av.open(str(path)) as file:
        return [(packet.pos, packet.size) for packet in file.demux(file.streams.video[0]) if packet.size]


KINDS = [("a.mp4", "libx264"), ("a.mov", "mpeg4"), ("a.mkv", "libx264"), ("a.webm", "libvpx-vp9"), ("a.flv", "flv1")]


@pytest.mark.parametrize(("name", "codec"), KINDS)
def test_a_file_that_ends_early_says_how_much_was_read(tmp_path, caplog, name, codec):
    path = film(tmp_path / name, codec)
    assert len(read_clip(path, strict=True)) == 24 and caplog.text == ""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 9 // 10])
    read = numbers(read_clip(path))
    assert 12 <= len(read) < 24 and read == list(range(len(read)))  # no frame from the stump of a packet
    told = re.search(r"ends early: (\d+) of 24 frames, [\d.]+ of 0.96 s, could be read", caplog.text)
    assert told and int(told[1]) == len(read)
    with pytest.raises(InputError, match="ends early: .* expected a whole file"):
        read_clip(path, strict=True)
    with pytest.raises(InputError, match="ends early: .* expected the 24 that were asked for"):
        read_clip(path, frames=24)


@pytest.mark.parametrize(("name", "codec"), [*KINDS[:3], ("a.ts", "libx264")])
def test_bad_bytes_are_told_and_what_is_whole_is_read(tmp_path, caplog, name, codec):
    path = film(tmp_path / name, codec)
    data = bytearray(path.read_bytes())
    for start, size in packets(path)[8:12]:
        for place in range(start + size // 4, start + size, max(1, size // 8)):
            data[place] ^= 0xFF
    path.write_bytes(bytes(data))
    assert len(read_clip(path)) > 12
    assert re.search(r"has \d+ damaged frames?", caplog.text)
    with pytest.raises(InputError, match="damaged frame.*expected a whole file"):
        read_clip(path, strict=True)


def test_nothing_readable_says_so(tmp_path):
    path = film(tmp_path / "a.mp4", "libx264")
    start, size = packets(path)[0]
    path.write_bytes(path.read_bytes()[: start + size // 2])
    with pytest.raises(InputError, match="ends early: 0 of 24 frames"):
        read_clip(path)


def test_sound_that_is_longer_is_no_early_end(tmp_path, caplog):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as file:
        video, sound = file.add_stream("ffv1", rate=25), file.add_stream("pcm_s16le", rate=8000, layout="mono")
        video.height, video.width, video.pix_fmt = 64, 96, "yuv420p"
        for k, picture in enumerate(grainy(5)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = k
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
        frame = av.AudioFrame(format="s16", layout="mono", samples=16000)
        frame.sample_rate, frame.pts = 8000, 0
        frame.planes[0].update(bytes(32000))
        file.mux(sound.encode(frame))
        file.mux(sound.encode(None))
    assert len(read_clip(path, strict=True)) == 5 and caplog.text == ""


def gif(count: int) -> bytes:
    file = io.BytesIO()
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 255, (32, 48, 3), np.uint8)) for _ in range(count)]
    pictures[0].save(file, "GIF", save_all=True, append_images=pictures[1:], duration=100)
    return file.getvalue()


def test_a_gif_that_ends_early_is_told(tmp_path, caplog):
    path, data = tmp_path / "a.gif", gif(6)
    path.write_bytes(data)
    assert len(read_clip(path, strict=True)) == 6 and caplog.text == ""
    for end in (len(data) - 1, len(data) - 700, len(data) * 2 // 3):
        caplog.clear()
        path.write_bytes(data[:end])
        assert 3 <= len(read_clip(path)) <= 6
        assert "ends early" in caplog.text
        with pytest.raises(InputError, match="ends early"):
            read_clip(path, strict=True)


def test_a_png_that_ends_early_is_refused(tmp_path):
    Image.fromarray(grainy(1)[0]).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="a.png can't be read as a picture"):
        read_clip(tmp_path)
