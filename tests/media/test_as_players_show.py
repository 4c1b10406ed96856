"""Videos are read as a player shows them: transparency, turns, shapes of pixels, fields, frame rates, names."""

from __future__ import annotations

import io
import logging
import shutil
import tracemalloc
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.media import read_clip
from fourreal_core.media.display_matrix import turn_of_matrix
from fourreal_core.media.framing import shown_size

from .encoding import encode, numbered, numbers

CUT_OUT = np.zeros((32, 48, 4), np.uint8)
CUT_OUT[..., [0, 2]] = 255  # magenta under the transparency
CUT_OUT[:, :24] = (0, 200, 0, 255)

QUARTERS = np.zeros((32, 64, 3), np.uint8)
QUARTERS[:16, :32, 0] = QUARTERS[:16, 32:, 1] = QUARTERS[16:, :32, 2] = 255


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "options"),
    [
        ("a.webm", "libvpx-vp9", "yuva420p", {"crf": "4", "b": "0"}),
        ("a8.webm", "libvpx", "yuva420p", {"auto-alt-ref": "0", "b": "2000000"}),
        ("a.mkv", "libvpx-vp9", "yuva420p", {"crf": "4", "b": "0"}),
        ("a.mov", "prores_ks", "yuva444p10le", {}),
        ("b.mov", "qtrle", "argb", {}),
        ("c.mov", "png", "rgba", {}),
        ("c.mkv", "ffv1", "bgra", {}),
        ("d.mkv", "ffv1", "yuva420p", {}),
        ("e.avi", "ffv1", "bgra", {}),
        ("f.avi", "utvideo", "gbrap", {}),
        ("g.nut", "rawvideo", "rgba", {}),
        ("h.apng", "apng", "rgba", {}),
    ],
)
def test_transparency_is_laid_over_black_in_every_container(tmp_path, name, codec, pix_fmt, options):
    path = encode(tmp_path / name, [CUT_OUT] * 3, codec, pix_fmt, options)
    frame = read_clip(path)[1] * 255
    assert (frame[4:28, 4:20] - torch.tensor([0.0, 200, 0])).abs().max() <= 4
    assert frame[4:28, 28:44].max() <= 2


def test_half_transparent_is_half_as_bright(tmp_path):
    half = np.full((32, 48, 4), 128, np.uint8)
    half[..., :3] = 200
    clip = read_clip(encode(tmp_path / "a.mkv", [half] * 2, "ffv1", "bgra"))
    assert ((clip * 255).round() - 100).abs().max() <= 1


def test_alpha_that_hides_everything_is_taken_for_none(tmp_path, caplog):
    none = CUT_OUT.copy()
    none[..., 3] = 0
    path = encode(tmp_path / "a.avi", [none] * 3, "rawvideo", "bgra")
    assert (read_clip(path)[0, 16, 8] * 255).tolist() == [0, 200, 0]
    assert "transparent everywhere; its transparency is ignored" in caplog.text
    read = read_clip(encode(tmp_path / "b.avi", [none, CUT_OUT], "rawvideo", "bgra"))  # a cut-out that fades in is none
    assert read[0].max() == 0 and read[1].max() > 0


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_all_eight_display_matrices_are_applied(tmp_path, degrees, mirrored):
    if not hasattr(av.VideoStream, "set_display_rotation"):
        pytest.skip("this PyAV can't write display matrices")
    path = encode(
        tmp_path / "a.mp4",
        [QUARTERS] * 3,
        options={"crf": "1"},
        prepare=lambda stream: stream.set_display_rotation(degrees, hflip=mirrored),
    )
    shown = np.rot90(QUARTERS, degrees // 90)
    shown = shown[:, ::-1] if mirrored else shown
    read = read_clip(path)[1].numpy()
    assert read.shape == shown.shape
    assert np.abs(read[4::8, 4::8] * 255 - shown[4::8, 4::8]).max() < 12


@pytest.mark.parametrize("matrix", [(1, 0, 0, 1), (-1, 0, 0, 1), (1, 0, 0, -1), (-1, 0, 0, -1)])
@pytest.mark.parametrize("swapped", [False, True])
def test_a_display_matrix_moves_pixels_where_it_says(matrix, swapped):
    a, b, c, d = (matrix[1], matrix[0], matrix[3], matrix[2]) if swapped else matrix
    picture = np.arange(6).reshape(2, 3)
    shown = turn_of_matrix(*(65536 * k for k in (a, b, c, d))).apply(picture)
    places = {(a * x + c * y, b * x + d * y): picture[y, x] for y in range(2) for x in range(3)}
    left, top = min(x for x, _ in places), min(y for _, y in places)
    for (x, y), value in places.items():
        assert shown[y - top, x - left] == value


def test_a_turn_by_no_right_angle_is_told():
    assert turn_of_matrix(56756, 32768, -32768, 56756).exact is False  # 30 degrees
    assert turn_of_matrix(131072, 0, 0, 131072).exact is True  # twice as large, upright


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4")])
@pytest.mark.parametrize(
    ("aspect", "size"), [(Fraction(3, 2), (32, 96)), (Fraction(3, 4), (43, 64)), (Fraction(1001, 1000), (32, 64))]
)
def test_pixels_that_are_not_square_become_so(tmp_path, name, codec, aspect, size):
    path = encode(tmp_path / name, [QUARTERS] * 3, codec, tags={"sample_aspect_ratio": aspect})
    clip = read_clip(path)
    assert clip.shape == (3, *size, 3)
    assert clip[1, 4, size[1] // 2 - 6].argmax() == 0 and clip[1, 4, size[1] // 2 + 6].argmax() == 1


def test_pixels_are_turned_with_the_picture(tmp_path):
    if not hasattr(av.VideoStream, "set_display_rotation"):
        pytest.skip("this PyAV can't write display matrices")
    path = encode(
        tmp_path / "a.mp4",
        [QUARTERS] * 3,
        tags={"sample_aspect_ratio": Fraction(3, 2)},
        prepare=lambda stream: stream.set_display_rotation(90),
    )
    assert read_clip(path).shape == (3, 96, 32, 3)


def test_an_aspect_that_no_screen_has_is_a_mistake(tmp_path, caplog):
    path = encode(tmp_path / "a.mkv", [QUARTERS] * 2, tags={"sample_aspect_ratio": Fraction(20, 1)})
    assert read_clip(path).shape == (2, 32, 64, 3) and "taken for a mistake" in caplog.text
    assert shown_size((100, 100), 0.5) == (200, 100)


TIMES = [0, 33, 66, 100, 133, 166, 200, 233, 266, 300, 333, 366, 900, 1400, 1900, 2400]


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.mov", "mpeg4"), ("a.mkv", "ffv1"), ("a.webm", "libvpx-vp9"), ("a.ts", "libx264")],
)
def test_frames_of_a_varying_rate_are_spread_in_time(tmp_path, name, codec, caplog):
    path = encode(tmp_path / name, numbered(16), codec, times=TIMES)
    assert numbers(read_clip(path, frames=5)) == [0, 11, 13, 14, 15]
    assert "the frame rate of" in caplog.text and "0.23 s beside evenly spaced moments" in caplog.text
    assert numbers(read_clip(path)) == list(range(16))


def test_a_constant_rate_is_picked_by_number_without_a_word(tmp_path, caplog):
    ticks = [round(k * 1000 / 30) for k in range(16)]  # 33, 34, 33: a container that counts milliseconds
    path = encode(tmp_path / "a.mkv", numbered(16), "ffv1", times=ticks)
    assert numbers(read_clip(path, frames=5)) == [0, 4, 8, 11, 15]
    assert caplog.text == ""


def test_only_the_span_is_read(tmp_path):
    path = encode(tmp_path / "a.mkv", numbered(20), "ffv1", rate=10)
    assert numbers(read_clip(path, span=(0.5, 1.5))) == list(range(5, 15))
    assert numbers(read_clip(path, frames=3, span=(0.5, 1.6))) == [5, 10, 15]
    with pytest.raises(InputError, match="has no frames"):
        read_clip(path, span=(5, 6))


def woven(count: int, height: int = 64, width: int = 96) -> list[np.ndarray]:
    """A bar that moves between the two fields of each frame."""

    def field(moment: int) -> np.ndarray:
        picture = np.full((height, width, 3), 40, np.uint8)
        picture[16:48, 8 + 6 * moment : 28 + 6 * moment] = 220
        return picture

    frames = [field(2 * k) for k in range(count)]
    for k, frame in enumerate(frames):
        frame[1::2] = field(2 * k + 1)[1::2]
    return frames


def combs(clip: torch.Tensor) -> float:
    """By how much lines differ from the mean of their neighbours, out of 255."""
    light = clip.mean(-1) * 255
    return float((light[:, 1:-1] - (light[:, :-2] + light[:, 2:]) / 2).abs().mean())


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "options"),
    [
        ("a.mp4", "libx264", "yuv420p", {"flags": "+ilme+ildct", "x264-params": "tff=1", "crf": "5"}),
        ("a.mpg", "mpeg2video", "yuv420p", {"flags": "+ilme+ildct", "b": "4000000"}),
        ("a.mov", "prores_ks", "yuv422p10le", {"flags": "+ildct"}),
    ],
)
def test_fields_are_made_whole(tmp_path, caplog, name, codec, pix_fmt, options):
    frames = [av.VideoFrame.from_ndarray(p, format="rgb24").reformat(format=pix_fmt) for p in woven(6)]
    path = encode(tmp_path / name, frames, codec, pix_fmt, options)
    with av.open(str(path)) as file:
        if not next(file.decode(video=0)).interlaced_frame:
            pytest.skip("this PyAV can't mark frames as interlaced")
    clip = read_clip(path)
    given = torch.from_numpy(np.stack(woven(6))).float() / 255
    assert len(clip) == 6 and combs(clip[1:-1]) < 0.15 * combs(given[1:-1])
    assert "is interlaced; it was deinterlaced" in caplog.text
    left = (clip[:, 32].mean(-1) > 0.5).float().argmax(-1)  # in the order of time, none of them twice
    assert (left.diff() > 6).all() and numbers_of(clip, path) == 3


def numbers_of(clip: torch.Tensor, path: Path) -> int:
    some = read_clip(path, frames=3)
    return sum(bool(torch.equal(frame, clip[k])) for frame, k in zip(some, (0, 2, 5), strict=True))


def test_fields_that_are_not_marked_are_named(tmp_path, caplog):
    path = encode(tmp_path / "a.mkv", woven(6), "ffv1")
    read_clip(path)
    assert "looks interlaced and does not say so" in caplog.text


@pytest.mark.parametrize(
    "name",
    [
        "2024-05-01T10:20:30.mp4",
        "file:a.mp4",
        "http:a.mp4",
        "concat:a|b.mp4",
        "%03d.mp4",
        "-.mp4",
        "a?b*[1].mp4",
        "ü€.mp4",
    ]
    + ["a'\"b.mp4", "new\nline.mp4", "without", "film.gif", "film.png", "film.webp"],
)
def test_any_name_is_a_name(tmp_path, monkeypatch, name):
    source = encode(tmp_path / "source.mp4", numbered(3))
    try:
        shutil.copy(source, tmp_path / name)
    except OSError:
        pytest.skip("this system has no such names")
    monkeypatch.chdir(tmp_path)
    assert numbers(read_clip(name)) == [0, 1, 2]
    assert numbers(read_clip(tmp_path / name)) == [0, 1, 2]


def test_bytes_are_read_like_files_and_left_where_they_were(tmp_path):
    path = encode(tmp_path / "a.mp4", numbered(5))
    data = io.BytesIO(path.read_bytes())
    data.seek(7)
    assert torch.equal(read_clip(data), read_clip(path)) and data.tell() == 7
    with pytest.raises(InputError, match="the freeze-time clip has 0 bytes"):
        read_clip(io.BytesIO(), name="the freeze-time clip")


def test_a_cover_picture_is_not_the_film(tmp_path):
    path = encode(tmp_path / "a.mkv", numbered(4), "ffv1")
    with av.open(str(path)) as file:
        assert len(file.streams.video) == 1
    assert numbers(read_clip(path)) == [0, 1, 2, 3]


@pytest.fixture(autouse=True)
def _hear(caplog):
    caplog.set_level(logging.WARNING, "fourreal_core")


def test_only_the_frames_that_are_kept_are_in_memory(tmp_path):
    flat = [np.full((120, 160, 3), k, np.uint8) for k in range(120)]
    path = encode(tmp_path / "a.mp4", flat, options={"preset": "ultrafast"})

    def most(path: Path, frames: int) -> int:
        tracemalloc.start()
        try:
            read_clip(path, frames=frames)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    read_clip(path, frames=2)  # what is imported on the way does not count
    short = encode(tmp_path / "b.mp4", flat[:4], options={"preset": "ultrafast"})
    assert most(path, 4) < 1.25 * most(short, 4) < 16 * flat[0].nbytes
