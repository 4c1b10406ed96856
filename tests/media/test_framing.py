"""Pictures of one shape in frames of another: nothing is stretched that nobody asked to stretch, and it is said."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.media import read_clip, read_clip_pair, read_mask, read_pair, save_image
from fourreal_core.media.framing import place, shown_size

from .test_clips import folder_of


@pytest.fixture(autouse=True)
def _hear(caplog):
    caplog.set_level(logging.WARNING, "fourreal_core")


def targets(count: int, height: int, width: int) -> torch.Tensor:
    """Black frames with a white square of 8 pixels in the middle, red at the left edge, green at the top edge."""
    clip = torch.zeros(count, height, width, 3)
    clip[:, :, :2, 0] = clip[:, :2, :, 1] = 1
    clip[:, height // 2 - 4 : height // 2 + 4, width // 2 - 4 : width // 2 + 4] = 1
    return clip


def white_box(frame: torch.Tensor) -> tuple[int, int]:
    """Height and width of what is white."""
    white = frame.amin(-1) > 0.5
    return int(white.any(1).sum()), int(white.any(0).sum())


@pytest.mark.parametrize(("size", "frame"), [((64, 36), (36, 64)), ((36, 64), (64, 36)), ((48, 48), (36, 64))])
def test_a_crop_keeps_the_middle_and_its_proportions(tmp_path, caplog, size, frame):
    folder = folder_of(targets(2, *size), tmp_path / "a")
    read = read_clip(folder, frame)[0]
    height, width = white_box(read)
    assert read.shape == (*frame, 3) and abs(height - width) <= 1
    taller = size[0] / size[1] > frame[0] / frame[1]
    assert (read[..., 1] - read[..., 0]).max() < 0.5 if taller else (read[..., 0] - read[..., 1]).max() < 0.5
    assert "its centre is taken" in caplog.text and "'pad' keeps all of it" in caplog.text


@pytest.mark.parametrize(("size", "frame"), [((64, 36), (36, 64)), ((36, 64), (64, 36))])
def test_pads_keep_everything_between_bars(tmp_path, caplog, size, frame):
    folder = folder_of(targets(2, *size), tmp_path / "a")
    pair = read_pair(folder, folder, frame, fit="pad")
    read = pair.freeze_time[0]
    assert abs(np.subtract(*white_box(read))) <= 1 and "black bars" in caplog.text
    assert read[~pair.inside].max() == 0 and read[pair.inside][:, 1].max() > 0.3
    rows, columns = pair.inside.any(1).sum(), pair.inside.any(0).sum()
    assert abs(float(rows / columns) - size[0] / size[1]) < 0.06


def test_stretching_is_what_it_says(tmp_path, caplog):
    folder = folder_of(targets(2, 64, 36), tmp_path / "a")
    height, width = white_box(read_clip(folder, (36, 64), fit="stretch")[0])
    assert width > 2.5 * height and caplog.text == ""


def test_one_shape_is_resized_alike_by_all_fits_without_a_word(tmp_path, pictures, caplog):
    folder = folder_of(pictures(2, 36, 64), tmp_path / "a")
    reads = [read_clip(folder, (18, 32), fit=fit) for fit in ("crop", "pad", "stretch")]
    assert torch.equal(reads[0], reads[1]) and torch.equal(reads[0], reads[2])
    assert torch.equal(read_clip(folder, (18, 32)), read_clip(folder, (18, 32), fit="stretch"))
    read_clip(folder, (480, 854))  # 16:9 to the pixel that a codec has
    assert caplog.text == ""


def test_another_fit_is_named(tmp_path, pictures):
    with pytest.raises(InputError, match="the fit 'cover'; expected one of crop, pad, stretch"):
        read_clip(folder_of(pictures(2), tmp_path / "a"), fit="cover")


def test_a_pair_of_two_shapes_takes_the_first_one_s(tmp_path, caplog):
    paths = folder_of(targets(3, 36, 64), tmp_path / "a"), folder_of(targets(4, 48, 48), tmp_path / "b")
    freeze, fixed = read_clip_pair(*paths)
    assert torch.equal(freeze, read_clip(paths[0])) and fixed.shape == (4, 36, 64, 3)
    assert abs(np.subtract(*white_box(fixed[0]))) <= 1
    assert caplog.text.count("the fixed-view clip is cropped to its centre and resized (fit 'pad' keeps") == 1
    assert caplog.text.count("WARNING") == 1
    padded = read_pair(*paths, fit="pad")
    assert padded.inside.float().mean() == pytest.approx(36 / 64, abs=0.02)
    assert white_box(read_clip_pair(*paths, fit="stretch")[1][0])[1] > 8


def test_two_shapes_at_one_size_are_cropped_alike(tmp_path):
    paths = folder_of(targets(3, 64, 36), tmp_path / "a"), folder_of(targets(4, 36, 64), tmp_path / "b")
    for clip in read_clip_pair(*paths, size=(48, 48)):
        assert clip.shape[1:] == (48, 48, 3) and abs(np.subtract(*white_box(clip[0]))) <= 1


def test_a_mask_that_was_drawn_on_the_clip_goes_with_it(tmp_path):
    mask = torch.ones(64, 36, 3)
    mask[28:36, :] = 0  # a caption across the middle
    path = save_image(mask, tmp_path / "m.png")
    with pytest.raises(InputError, match="expected the aspect ratio of the frames, 64 x 36; draw it on"):
        read_mask(path, (36, 64))
    cropped = read_mask(path, (36, 64), "crop", shown=(64, 36))
    assert cropped[:8].all() and cropped[-8:].all() and not cropped[14:22].any()
    padded = read_mask(path, (36, 64), "pad", shown=(64, 36))
    assert padded[18, :20].all() and not padded[18, 24:40].any() and padded[2, 24:40].all()
    with pytest.raises(InputError, match="or of the clip, 36 x 64"):
        read_mask(save_image(torch.ones(20, 20, 3), tmp_path / "s.png"), (36, 64), "crop", shown=(64, 36))


@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize("aspect", [0.5, 1.0, 1.4])
@pytest.mark.parametrize(("size", "frame"), [((90, 160), (100, 100)), ((200, 90), (48, 64)), ((30, 40), (64, 16))])
def test_proportions_are_kept_to_the_pixel(size, frame, aspect, fit):
    placed = place(size, frame, fit, aspect)
    shown = shown_size(placed.taken[2:], aspect)
    assert abs(shown[1] / shown[0] / (placed.put[3] / placed.put[2]) - 1) < 2.2 / min(
        *placed.put[2:], *placed.taken[2:]
    )
    for inner, outer in ((placed.taken, size), (placed.put, frame)):
        assert all(inner[i] >= 0 and inner[i] + inner[i + 2] <= outer[i] for i in (0, 1))
        assert all(abs(2 * inner[i] + inner[i + 2] - outer[i]) <= 1 for i in (0, 1))  # in the middle
    full = placed.put[2:] == frame if fit == "crop" else placed.taken[2:] == size
    assert full
