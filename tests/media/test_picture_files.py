"""Animated pictures: their own times, transparency over black, and what browsers make of odd durations."""

from __future__ import annotations

import io
import logging

import numpy as np
import pytest
from PIL import Image

from fourreal_core.media import read_clip
from fourreal_core.media.picture_files import read_animation

from .encoding import numbered, numbers

ENDINGS = ["gif", "webp", "png", "apng"]


def animation(ending: str, pictures: list[np.ndarray], durations: list[int] | int) -> bytes:
    file, kind = io.BytesIO(), {"apng": "PNG"}.get(ending, ending.upper())
    first, *rest = [Image.fromarray(p) for p in pictures]
    more = {"lossless": True} if ending == "webp" else {}
    first.save(file, kind, save_all=True, append_images=rest, duration=durations, **more)
    return file.getvalue()


@pytest.mark.parametrize("ending", ENDINGS)
def test_frames_are_spread_by_their_durations(tmp_path, ending, caplog):
    durations = [100] * 12 + [1000, 1000, 1060, 500]
    (tmp_path / f"a.{ending}").write_bytes(animation(ending, numbered(16), durations))
    with caplog.at_level(logging.WARNING, "fourreal_core"):
        read = numbers(read_clip(tmp_path / f"a.{ending}", frames=5))
    assert read == [0, 11, 13, 14, 15]  # at 0, 1.1, 2.2, 3.2 and 4.26 s, beside moments 1.065 s apart


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("durations", [0, 5, 10, 40])
def test_durations_that_are_none_are_even(tmp_path, ending, durations):
    (tmp_path / f"a.{ending}").write_bytes(animation(ending, numbered(9), durations))
    assert numbers(read_clip(tmp_path / f"a.{ending}", frames=5)) == [0, 2, 4, 6, 8]


def test_no_duration_beside_real_ones_is_a_tenth_of_a_second():
    data = io.BytesIO(animation("webp", numbered(4), [0, 40, 7, 200]))
    _, times, damage = read_animation("a.webp", data, lambda times: [])
    assert times == pytest.approx([0, 0.1, 0.14, 0.24]) and damage is None


@pytest.mark.parametrize("ending", ENDINGS)
def test_transparency_of_animations_is_laid_over_black(tmp_path, ending):
    frames = []
    for k in range(3):
        picture = np.zeros((32, 48, 4), np.uint8)
        picture[..., [0, 2]] = 255
        picture[:, : 16 + 8 * k] = (0, 200, 0, 255)
        frames.append(picture)
    (tmp_path / f"a.{ending}").write_bytes(animation(ending, frames, 100))
    clip = read_clip(tmp_path / f"a.{ending}") * 255
    for k, frame in enumerate(clip):
        assert frame[:, : 16 + 8 * k].round().unique().tolist() == [0, 200] and frame[:, 16 + 8 * k :].max() == 0


def test_only_the_frames_that_are_kept_are_in_memory():
    data = io.BytesIO(animation("gif", numbered(9), 100))
    kept, times, _ = read_animation("a.gif", data, lambda times: [1, 7])
    assert len(times) == 9 and [round((int(p.mean()) - 16) / 8) for p in kept] == [1, 7]


def test_a_picture_that_stands_for_an_animation_is_not_one_of_its_frames(tmp_path):
    file = io.BytesIO()
    still, *rest = [Image.fromarray(p) for p in numbered(4)]
    still.save(file, "PNG", save_all=True, append_images=rest, duration=100, default_image=True)
    (tmp_path / "a.png").write_bytes(file.getvalue())
    assert numbers(read_clip(tmp_path / "a.png")) == [1, 2, 3]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_camera_that_was_held_otherwise_is_turned(tmp_path, orientation):
    picture = np.zeros((16, 32, 3), np.uint8)
    picture[:8, :16, 0] = picture[:8, 16:, 1] = picture[8:, :16, 2] = 255
    image = Image.fromarray(picture)
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(tmp_path / "a.png", exif=exif)
    straight = {1: picture, 2: picture[:, ::-1], 3: picture[::-1, ::-1], 4: picture[::-1]}
    turned = {5: picture, 6: picture[::-1], 7: picture[::-1, ::-1], 8: picture[:, ::-1]}
    shown = straight.get(orientation)
    shown = turned[orientation].swapaxes(0, 1) if shown is None else shown
    assert ((read_clip(tmp_path / "a.png")[0] * 255).numpy() == shown).all()
