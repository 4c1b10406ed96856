"""Colours beyond BT.709: against values written down by the standards, a slow loop, and files."""

from __future__ import annotations

import math

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from fourreal_core.media import read_clip
from fourreal_core.media.color import (
    BT2020,
    HLG,
    LINEAR,
    PQ,
    ColorTags,
    hlg_decode,
    pq_decode,
    pq_encode,
    primaries_matrix,
    to_bt709,
    tone_curve,
)

from .encoding import encode

LIGHTS = (0.005, 1.0, 10.0, 50.0, 100.0, 203.0, 400.0, 1000.0)


def pq_of(light: float) -> float:
    """The inverse EOTF of SMPTE ST 2084, in plain numbers."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    y = (light / 10000) ** m1
    return float(((c1 + c2 * y) / (1 + c3 * y)) ** m2)


def light_of(signal: float) -> float:
    low, high = 0.0, 10000.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if pq_of(middle) < signal else (low, middle)
    return low


def hlg_of(light: float) -> float:
    """HLG's signal of light on a display of 1000 cd/m2, for grey."""
    scene = (light / 1000) ** (1 / 1.2)
    a, b = 0.17883277, 0.28466892
    return math.sqrt(3 * scene) if scene <= 1 / 12 else a * math.log(12 * scene - b) + 0.5 - a * math.log(4 * a)


def shown(light: float, peak: float = 1000.0, white: float = 203.0) -> float:
    """The 8-bit value of grey light: BT.2390's curve, then BT.1886, step by step."""
    e, ceiling = pq_of(light) / pq_of(peak), pq_of(white) / pq_of(peak)
    knee = 1.5 * ceiling - 0.5
    if e >= knee:
        t = (e - knee) / (1 - knee)
        e = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * ceiling
    return 255 * (light_of(e * pq_of(peak)) / white) ** (1 / 2.4)


def test_transfer_functions_are_the_standards():
    assert pq_encode(np.array(100.0)) == pytest.approx(0.5081, abs=1e-4)  # BT.2408, table 1
    assert pq_encode(np.array(203.0)) == pytest.approx(0.5807, abs=1e-4)
    assert hlg_decode(np.array([0.5, 1.0])) == pytest.approx([1 / 12, 1.0], abs=1e-4)
    assert pq_decode(pq_encode(np.array(LIGHTS))) == pytest.approx(LIGHTS, rel=1e-6)
    # BT.2087, table 4, to its four places
    expected = [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
    assert np.allclose(primaries_matrix(BT2020), expected, atol=1e-4)


def test_the_tone_curve_keeps_what_is_dark_and_never_turns_back():
    light = np.linspace(0, 1000, 2001)
    curve = tone_curve(light, 1000)
    assert np.abs(curve - light)[light < 85].max() == 0
    assert (np.diff(curve) > 0).all() and curve[-1] == pytest.approx(203, rel=1e-4)
    assert (tone_curve(np.array([10.0, 150.0, 400.0]), 150) == [10, 150, 203]).all()


@pytest.mark.parametrize(("transfer", "code"), [(PQ, pq_of), (HLG, hlg_of)])
def test_grey_light_is_shown_as_a_slow_loop_says(transfer, code):
    signal = np.array([[[round(65535 * code(light))] * 3 for light in LIGHTS]], np.uint16)
    read = to_bt709(signal, ColorTags(transfer, BT2020))
    assert np.abs(read[0, :, 1] - [shown(light) for light in LIGHTS]).max() <= 1
    assert (read.max(-1) - read.min(-1)).max() <= 1


def test_hdr_colours_keep_their_hue():
    light = np.array([300.0, 150.0, 60.0])  # BT.709 light, taken to BT.2020 and back
    wide = np.linalg.inv(np.array(primaries_matrix(BT2020))) @ light
    signal = np.array([[[round(65535 * pq_of(x)) for x in wide]]], np.uint16)
    read = (to_bt709(signal, ColorTags(PQ, BT2020))[0, 0] / 255.0) ** 2.4
    assert read / read[0] == pytest.approx(light / light[0], abs=0.02)


def test_what_is_outside_the_gamut_is_cut_off():
    green = np.array([[[0, 65535, 0]]], np.uint16)
    assert to_bt709(green, ColorTags(1, BT2020)).tolist() == [[[0, 255, 0]]]


def test_the_peak_that_pq_claims_is_used():
    signal = np.array([[[round(65535 * pq_of(1000))] * 3]], np.uint16)
    dim, bright = (int(to_bt709(signal, ColorTags(PQ, BT2020, peak))[0, 0, 0]) for peak in (1000, 4000))
    assert dim == 255 and abs(bright - shown(1000, 4000)) <= 1 and bright < 253


def test_linear_light_is_encoded():
    signal = np.array([[[round(65535 * 0.18)] * 3]], np.uint16)
    assert int(to_bt709(signal, ColorTags(LINEAR, 1))[0, 0, 0]) == round(255 * 0.18 ** (1 / 2.4))


def strips(values: list[tuple[float, float, float]]) -> np.ndarray:
    picture = np.zeros((32, 16 * len(values), 3), np.uint16)
    for k, value in enumerate(values):
        picture[:, 16 * k : 16 * k + 16] = np.round(np.array(value) * 65535)
    return picture


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "options"),
    [
        ("a.mp4", "libx265", "yuv420p10le", {"x265-params": "log-level=none:lossless=1:bframes=0"}),
        ("a.mkv", "libx265", "yuv444p10le", {"x265-params": "log-level=none:lossless=1:bframes=0"}),
        ("a.mov", "prores_ks", "yuv422p10le", {}),
        ("b.mkv", "ffv1", "yuv420p10le", {}),
    ],
)
@pytest.mark.parametrize(("transfer", "code"), [(PQ, pq_of), (HLG, hlg_of)])
def test_high_dynamic_range_files_are_shown_on_an_ordinary_screen(
    tmp_path, name, codec, pix_fmt, options, transfer, code, full
):
    if full and codec == "prores_ks":
        pytest.skip("ProRes has no full range")
    levels = ColorRange.JPEG if full else ColorRange.MPEG
    picture = av.VideoFrame.from_ndarray(strips([(code(x),) * 3 for x in LIGHTS]), format="rgb48le")
    frames = [
        picture.reformat(format=pix_fmt, dst_colorspace=Colorspace.BT2020, dst_color_range=levels) for _ in range(2)
    ]
    tags = {"color_trc": transfer, "color_primaries": 9, "colorspace": 9, "color_range": int(levels)}
    read = (read_clip(encode(tmp_path / name, frames, codec, pix_fmt, options, tags))[1, 16, 8::16] * 255).numpy()
    assert np.abs(read[:, 1] - [shown(x) for x in LIGHTS]).max() <= 2
    assert np.ptp(read, axis=-1).max() <= (
        4 if full else 2
    )  # swscale's grey of full range is half a step of ten bits off


@pytest.mark.parametrize("primaries", [9, 12])
def test_wide_primaries_become_those_of_bt709(tmp_path, primaries):
    picture = (strips([(0.6, 0.3, 0.2), (0.2, 0.5, 0.3), (0.5, 0.5, 0.5)]) / 257).astype(np.uint8)
    frames = [
        av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
            format="yuv444p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        for _ in range(2)
    ]
    tags = {"color_trc": 1, "color_primaries": primaries, "colorspace": 1, "color_range": 1}
    path = encode(tmp_path / "a.mp4", frames, "libx264", "yuv444p", {"crf": "0"}, tags)
    read = (read_clip(path)[1, 16, 8::16] * 255).numpy()
    light = (picture[16, 8::16] / 255.0) ** 2.4 @ np.array(primaries_matrix(primaries)).T
    assert np.abs(read - 255 * np.clip(light, 0, 1) ** (1 / 2.4)).max() <= 4
    assert np.abs(read[:2] - picture[16, 8:40:16]).max() > 8  # it makes a difference
