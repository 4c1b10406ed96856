"""Clips into a frame grid and cells out of it."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
import torch

Node = Any
TO_GRID, TO_IMAGES = "FourRealGridFromVideos", "FourRealGridToImages"


def clips(views: int = 4, times: int = 3, size: tuple[int, int] = (16, 24)) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    freeze, fixed = (torch.rand(n, *size, 3, generator=rng) for n in (views, times))
    fixed[0] = freeze[0]
    return freeze, fixed


def inputs(**changes: Any) -> dict[str, Any]:
    freeze, fixed = clips()
    return {"freeze_time": freeze, "fixed_view": fixed, "views": 8, "times": 8, "longest_side": 0} | changes


def test_clips_become_the_first_column_and_row(run: Node) -> None:
    freeze, fixed = clips()
    (grid,) = run(TO_GRID, **inputs())
    assert torch.equal(grid.frames[:, 0], freeze) and torch.equal(grid.frames[0], fixed)
    assert grid.known.sum() == 4 + 3 - 1
    assert not grid.frames.is_inference()


def test_a_video_is_taken_like_a_batch(run: Node) -> None:
    freeze, fixed = clips()
    video = SimpleNamespace(get_components=lambda: SimpleNamespace(images=freeze))
    (grid,) = run(TO_GRID, **inputs(freeze_time=video))
    assert torch.equal(grid.freeze_time, freeze)


def test_long_clips_are_sampled_with_first_and_last(run: Node) -> None:
    freeze, fixed = clips(views=11)
    (grid,) = run(TO_GRID, **inputs(freeze_time=freeze, views=3))
    assert torch.equal(grid.freeze_time, freeze[[0, 5, 10]])


def test_transparency_is_dropped_and_grey_spread(run: Node) -> None:
    freeze, fixed = clips()
    (grid,) = run(
        TO_GRID,
        **inputs(freeze_time=torch.cat([freeze, torch.ones_like(freeze[..., :1])], -1), fixed_view=freeze[:3, ..., :1]),
    )
    assert torch.equal(grid.frames[1:, 0], freeze[1:])
    assert torch.equal(grid.fixed_view, freeze[:3, ..., :1].expand(3, 16, 24, 3))


def test_inputs_stay_as_they_were(run: Node) -> None:
    given = inputs(ignore=torch.zeros(1, 16, 24), more_cells=torch.rand(1, 16, 24, 3), more_cells_at="v3_t2")
    before = {k: v.clone() for k, v in given.items() if isinstance(v, torch.Tensor)}
    (grid,) = run(TO_GRID, **given)
    (images,) = run(TO_IMAGES, grid=grid, mode="row", view=0, time=0)
    images.zero_()
    assert grid.fixed_view.any()
    assert all(torch.equal(given[k], v) for k, v in before.items())


def drifting(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A soft picture from two places, and drifting to the side by whole pixels a frame."""
    noise = torch.rand(1, 3, 16, 40, generator=torch.Generator().manual_seed(0))
    wide = torch.nn.functional.interpolate(noise, (64, 160), mode="bicubic").clamp(0, 1)[0].permute(1, 2, 0)
    fixed = torch.stack([wide[:, 20 - step * t : 116 - step * t] for t in range(3)])
    return torch.stack([wide[:, 20:116], wide[:, 24:120]]), fixed


@pytest.mark.parametrize("camera", ["auto", "own", "still"])
def test_a_fixed_view_that_drifts_is_held(run: Node, caplog: pytest.LogCaptureFixture, camera: str) -> None:
    freeze, fixed = drifting(4)
    with caplog.at_level(logging.WARNING):
        (grid,) = run(TO_GRID, **inputs(freeze_time=freeze, fixed_view=fixed, camera=camera))
    held = camera != "still"
    assert ("the camera of the fixed-view clip does not stand" in caplog.text) == held
    error = (grid.frames[0, 2] - fixed[0])[4:-4, 12:-12].abs().mean()
    assert (float(error) < 0.01) == held
    assert getattr(grid, "own", False) == (camera == "own") and torch.equal(grid.freeze_time, freeze)


def test_a_fixed_view_that_stands_is_taken_as_it_is(run: Node) -> None:
    freeze, fixed = drifting(0)
    (grid,) = run(TO_GRID, **inputs(freeze_time=freeze, fixed_view=fixed))
    assert torch.equal(grid.fixed_view, fixed) and not hasattr(grid, "motion")


def test_a_size_is_reached_by_scaling(run: Node) -> None:
    (grid,) = run(TO_GRID, **inputs(longest_side=12))
    assert grid.size == (8, 12)
    assert abs(float(grid.freeze_time.mean() - clips()[0].mean())) < 0.01


@pytest.mark.parametrize(
    ("longest", "size"), [(512, (308, 512)), (511, (306, 512)), (2, (2, 2)), (160, (96, 160)), (0, (96, 160))]
)
def test_a_scaled_size_is_even_as_videos_want_it(part: Any, longest: int, size: tuple[int, int]) -> None:
    assert part("nodes.clips").scaled_size((96, 160), longest) == size


def test_a_slightly_different_size_is_resized_with_a_warning(run: Node, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        (grid,) = run(TO_GRID, **inputs(fixed_view=torch.rand(3, 32, 48, 3)))
    assert grid.size == (16, 24)
    assert "the fixed-view clip is 48 x 32 pixels and the freeze-time clip 24 x 16" in caplog.text


def test_a_mask_hides_pixels_at_its_own_size_too(run: Node) -> None:
    ignore = torch.zeros(2, 32, 48)
    ignore[1, :4] = 1
    (grid,) = run(TO_GRID, **inputs(ignore=ignore))
    assert not grid.valid[:2].any() and grid.valid[3:].all()


def test_further_cells_land_where_they_are_named(run: Node) -> None:
    more = torch.rand(2, 16, 24, 3)
    (grid,) = run(TO_GRID, **inputs(more_cells=more, more_cells_at="V3_T2,\n v1_t1"))
    assert torch.equal(grid.frames[3, 2], more[0]) and torch.equal(grid.frames[1, 1], more[1])
    assert grid.known.sum() == 6 + 2


NAN = torch.full((4, 16, 24, 3), float("nan"))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"freeze_time": NAN}, "the freeze-time clip has NaN or infinite pixels"),
        ({"fixed_view": clips()[1] * 255}, "expected [0, 1]; divide 8-bit images by 255"),
        ({"freeze_time": clips()[0][:1]}, "clip has 1 frame (one view has no parallax); expected at least 2"),
        ({"freeze_time": torch.rand(16, 24, 3)}, "the freeze-time clip has shape (16, 24, 3)"),
        ({"freeze_time": "clip.mp4"}, "the freeze-time clip has type str"),
        ({"ignore": torch.ones(1, 16, 24)}, "a mask that ignores every pixel"),
        ({"more_cells": torch.rand(1, 16, 24, 3)}, "1 further cells and 0 names for them"),
        ({"more_cells": torch.rand(1, 16, 24, 3), "more_cells_at": "3,5"}, "the cell name '3'"),
        ({"more_cells": torch.rand(1, 16, 24, 3), "more_cells_at": "v9_t0"}, "a known cell v9_t0"),
        ({"more_cells": torch.rand(2, 16, 24, 3), "more_cells_at": "v1_t1 v1_t1"}, "2 cell names of which 1 differ"),
    ],
)
def test_bad_input_is_named(fails: Node, changes: dict[str, Any], sentence: str) -> None:
    assert sentence in fails(TO_GRID, **inputs(**changes))


def test_every_mode_gives_its_cells(run: Node) -> None:
    (grid,) = run(TO_GRID, **inputs())

    def images(mode: str) -> torch.Tensor:
        return run(TO_IMAGES, grid=grid, mode=mode, view=2, time=1)[0]

    assert torch.equal(images("all cells"), grid.frames.reshape(12, 16, 24, 3))
    assert torch.equal(images("row"), grid.frames[2])
    assert torch.equal(images("column"), grid.frames[:, 1])
    assert torch.equal(images("cell"), grid.frames[2:3, 1])
    wall, sheet = images("wall"), images("contact sheet")
    assert wall.shape[0] == 3 and wall.shape[1] * wall.shape[2] > 4 * 16 * 24
    assert sheet.shape[0] == 1 and sheet.shape[1] > 4 * 16 and sheet.shape[2] > 3 * 24


@pytest.mark.parametrize(
    ("mode", "sentence"), [("row", "view 9; expected 0 to 3"), ("column", "time 7; expected 0 to 2")]
)
def test_a_cell_outside_the_grid_is_named(run: Node, fails: Node, mode: str, sentence: str) -> None:
    (grid,) = run(TO_GRID, **inputs())
    assert sentence in fails(TO_IMAGES, grid=grid, mode=mode, view=9, time=7)
