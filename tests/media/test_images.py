"""Pictures in and out: exact values, every mode as RGB, and files that are no pictures."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from PIL import Image

from fourreal_core.errors import InputError
from fourreal_core.media import natural_key, read_image, read_mask, save_image


def test_every_8_bit_value_survives(tmp_path):
    values = torch.arange(256).float() / 255
    picture = torch.stack([values, values.flip(0), values.roll(7)], -1).reshape(16, 16, 3)
    assert torch.equal(read_image(save_image(picture, tmp_path / "a.png")), picture)


def test_values_between_steps_are_rounded_and_held(tmp_path):
    picture = torch.tensor([[[0.6 / 255, 1.4 / 255, 254.6 / 255], [-0.3, 1.3, 0.5]]])
    stored = (read_image(save_image(picture, tmp_path / "a.png")) * 255).round().int()
    assert stored.tolist() == [[[1, 1, 255], [0, 255, 128]]]


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [
        ("L", 100, (100, 100, 100)),
        ("LA", (100, 255), (100, 100, 100)),
        ("RGBA", (200, 100, 50, 255), (200, 100, 50)),
        ("RGBA", (200, 100, 50, 128), (100, 50, 25)),
        ("RGBA", (200, 100, 50, 0), (0, 0, 0)),
        ("1", 1, (255, 255, 255)),
        ("I;16", 0x8000, (128, 128, 128)),
    ],
)
def test_every_mode_becomes_rgb(tmp_path, mode, value, expected):
    Image.new(mode, (5, 4), value).save(tmp_path / "a.png")
    picture = read_image(tmp_path / "a.png")
    assert picture.shape == (4, 5, 3)
    assert (picture[0, 0] * 255).round().int().tolist() == list(expected)


def test_a_palette_becomes_rgb(tmp_path):
    Image.new("RGB", (5, 4), (200, 40, 10)).quantize(4).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png")[0, 0] * 255).round().int().tolist() == [200, 40, 10]


def test_exif_orientation_is_applied(tmp_path):
    upright = np.zeros((4, 6, 3), np.uint8)
    upright[0, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn 90 degrees clockwise to view"
    Image.fromarray(upright).save(tmp_path / "a.png", exif=exif)
    picture = read_image(tmp_path / "a.png")
    assert picture.shape == (6, 4, 3)
    assert picture[0, 3].min() == 1 and float(picture.sum()) == 3


def test_resizing_keeps_flat_colours(tmp_path):
    Image.new("RGB", (40, 30), (10, 200, 90)).save(tmp_path / "a.png")
    for size in ((15, 20), (60, 80)):
        picture = read_image(tmp_path / "a.png", size)
        assert picture.shape == (*size, 3)
        assert (picture * 255).round().int().unique(dim=0).reshape(-1, 3).unique(dim=0).tolist() == [[10, 200, 90]]


def test_float_pictures_must_be_pictures(tmp_path):
    for value, good in ((0.5, True), (1.5, False), (float("nan"), False)):
        path = tmp_path / f"{value}.tiff"
        Image.fromarray(np.full((4, 5), value, np.float32)).save(path)
        if good:
            assert (read_image(path)[0, 0] * 255).round().int().tolist() == [128] * 3
        else:
            with pytest.raises(InputError, match=r"finite values in \[0, 1\]"):
                read_image(path)


def spoil(path: Path, how: str) -> Path:
    iio.imwrite(path, np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8), quality=90)
    data = path.read_bytes()
    path.write_bytes({"empty": b"", "text": b"this is no picture", "cut": data[: len(data) // 2]}[how])
    return path


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("empty", "has 0 bytes; expected a complete file"),
        ("text", "can't be read as a picture"),
        ("cut", "can't be read as a picture"),
    ],
)
def test_files_that_are_no_pictures(tmp_path, how, words):
    with pytest.raises(InputError, match=words):
        read_image(spoil(tmp_path / "a.jpg", how))


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_image(tmp_path / "none.png")
    with pytest.raises(InputError, match="is not a file"):
        read_image(tmp_path)


def test_a_mask_is_true_where_it_is_not_black(tmp_path):
    picture = np.full((4, 6, 3), 255, np.uint8)
    picture[1, 2] = 0
    picture[0, 0] = (0, 0, 1)
    iio.imwrite(tmp_path / "m.png", picture)
    valid = read_mask(tmp_path / "m.png", (4, 6))
    assert valid.dtype == torch.bool and (~valid).nonzero().tolist() == [[1, 2]]


def test_a_mask_of_another_size_hides_every_pixel_it_touches(tmp_path):
    picture = np.full((8, 12), 255, np.uint8)
    picture[2:5, 4:6] = 0
    iio.imwrite(tmp_path / "m.png", picture)
    hidden = (~read_mask(tmp_path / "m.png", (4, 6))).nonzero().tolist()
    assert hidden == [[1, 2], [2, 2]]


def test_masks_that_fit_nothing_are_refused(tmp_path):
    iio.imwrite(tmp_path / "black.png", np.zeros((4, 6), np.uint8))
    with pytest.raises(InputError, match="hides every pixel"):
        read_mask(tmp_path / "black.png", (4, 6))
    iio.imwrite(tmp_path / "square.png", np.full((6, 6), 255, np.uint8))
    with pytest.raises(InputError, match="mask .* of 6 x 6 pixels; expected the aspect ratio of the frames, 6 x 4"):
        read_mask(tmp_path / "square.png", (4, 6))


def test_natural_order():
    names = ["f10.png", "f2.png", "F1.png", "f2b.png", "a.png", "7.png"]
    assert [p.name for p in sorted(map(Path, names), key=natural_key)] == [
        "7.png",
        "a.png",
        "F1.png",
        "f2.png",
        "f2b.png",
        "f10.png",
    ]
