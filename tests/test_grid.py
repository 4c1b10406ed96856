"""Frame grids: how clips are laid into them, what stays untouched, and what is refused."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.grid import FrameGrid, check_frame, first_frames_psnr


def test_clips_lie_in_column_and_row(pictures):
    freeze, fixed = pictures(3), pictures(4)
    freeze[0] = fixed[0]
    grid = FrameGrid.from_clips(freeze, fixed)
    assert (grid.views, grid.times, grid.size) == (3, 4, (32, 48))
    assert torch.equal(grid.freeze_time, freeze) and torch.equal(grid.fixed_view, fixed)
    assert grid.known.tolist() == [[True] * 4, [True, False, False, False], [True, False, False, False]]
    assert not grid.frames[~grid.known].any() and grid.valid.all()


def test_corner_is_the_fixed_views_and_a_mismatch_is_measured(pictures, caplog):
    freeze, fixed = pictures(2), pictures(2)
    freeze[0] = (fixed[0] + 0.1).clamp(0, 1)
    with caplog.at_level(logging.WARNING, "fourreal_core"):
        grid = FrameGrid.from_clips(freeze, fixed)
    assert torch.equal(grid.frames[0, 0], fixed[0])
    assert f"{first_frames_psnr(freeze[0], fixed[0], grid.valid):.1f} dB" in caplog.text


def test_first_frames_that_match_are_no_warning(pictures, caplog):
    fixed = pictures(2)
    freeze = torch.stack([(fixed[0] + 0.01).clamp(0, 1), fixed[1]])
    FrameGrid.from_clips(freeze, fixed)
    assert caplog.text == ""


def test_mismatch_counts_only_valid_pixels(pictures, caplog):
    fixed = pictures(2)
    freeze = fixed.clone()
    freeze[0, :8] = 1 - freeze[0, :8]
    valid = torch.ones(32, 48, dtype=torch.bool)
    valid[:8] = False
    FrameGrid.from_clips(freeze, fixed, valid)
    assert caplog.text == ""


def test_first_frames_psnr_by_hand():
    a, valid = torch.full((2, 2, 3), 0.5), torch.ones(2, 2, dtype=torch.bool)
    assert first_frames_psnr(a, a + 0.1, valid) == pytest.approx(20.0, abs=1e-4)
    assert first_frames_psnr(a, a, valid) == float("inf")


def test_filled_keeps_known_cells_bit_for_bit(small_grid, pictures):
    made = pictures(12).reshape(3, 4, 32, 48, 3) * 1.5 - 0.2
    full = small_grid.filled(made)
    assert torch.equal(full.frames[full.known], small_grid.frames[small_grid.known])
    assert torch.equal(full.frames[~full.known], made[~full.known].clamp(0, 1))


def test_with_known_adds_cells_and_leaves_the_old_grid(small_grid, pictures):
    frame = pictures(1)[0]
    more = small_grid.with_known({(2, 3): frame})
    assert torch.equal(more.frames[2, 3], frame) and bool(more.known[2, 3])
    assert not bool(small_grid.known[2, 3]) and not small_grid.frames[2, 3].any()


@pytest.mark.parametrize("cell", [(3, 0), (0, 4), (-1, 0)])
def test_cells_outside_the_grid_are_refused(small_grid, pictures, cell):
    with pytest.raises(InputError, match=r"views 0 to 2 and times 0 to 3"):
        small_grid.with_known({cell: pictures(1)[0]})


def test_cells_of_another_size_are_refused(small_grid, pictures):
    with pytest.raises(InputError, match="32 x 24 pixels; expected 48 x 32 pixels"):
        small_grid.with_known({(1, 1): pictures(1, 24, 32)[0]})


def test_clips_of_two_sizes_are_refused(pictures):
    with pytest.raises(InputError, match="48 x 32 pixels and a fixed-view clip of 32 x 24 pixels"):
        FrameGrid.from_clips(pictures(2), pictures(2, 24, 32))


@pytest.mark.parametrize(
    ("value", "words"),
    [(float("nan"), "NaN or infinite"), (float("inf"), "NaN or infinite"), (-0.2, "values from -0.2"), (1.7, "to 1.7")],
)
def test_values_that_are_no_pictures_are_refused(pictures, value, words):
    freeze, fixed = pictures(2), pictures(2)
    freeze[1, 3, 4, 0] = value
    with pytest.raises(InputError, match="freeze-time clip.*" + words):
        FrameGrid.from_clips(freeze, fixed)


def test_rounding_overshoot_is_accepted():
    check_frame(torch.tensor([-0.0005, 1.0005]), "a frame")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("frames", torch.zeros(3, 4, 32, 48)),
        ("frames", torch.zeros(3, 4, 32, 48, 3, dtype=torch.float64)),
        ("known", torch.zeros(4, 3, dtype=torch.bool)),
        ("known", torch.zeros(3, 4)),
        ("valid", torch.ones(48, 32, dtype=torch.bool)),
        ("valid", torch.ones(32, 48)),
    ],
)
def test_wrong_shapes_and_types_are_refused(small_grid, field, value):
    with pytest.raises(InputError):
        replace(small_grid, **{field: value})


def test_filling_with_another_shape_is_refused(small_grid):
    with pytest.raises(InputError, match="predict every cell"):
        small_grid.filled(torch.zeros(3, 3, 32, 48, 3))
