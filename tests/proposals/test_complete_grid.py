"""Missing cells filled: known ones untouched, colours read from the view's own frames, holes closed smoothly."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.flow.flow_cache import FlowCache
from fourreal_core.grid import FrameGrid
from fourreal_core.media.hole_filling import fill_holes
from fourreal_core.proposals.complete_grid import (
    FAR_WEIGHT,
    GAP_PX,
    ProposalOptions,
    SourceReader,
    close_gaps,
    complete_grid,
    nearest_times,
)
from fourreal_core.scene.pixel_points import pixel_points
from fourreal_core.scene.render import render_cell
from fourreal_core.scene.scene4d import Scene4D

from ..cancelling import Cancelled
from ..scene.scenes import SIZE, known_cross, psnr, rendered_grid, sliding, wall_scene

VIEWS, TIMES = 2, 3
INNER = (slice(4, -4), slice(4, -4))


def completed(scene: Scene4D, grid: FrameGrid, *options: ProposalOptions, **more) -> FrameGrid:
    """The grid completed, with flows measured on it."""
    return complete_grid(scene, grid, *options, **more, flows=FlowCache(grid.frames, grid.known))


VERIFIED = ProposalOptions(choice="verified")


@pytest.fixture(scope="module")
def made() -> tuple[Scene4D, torch.Tensor]:
    """A wall that slides by whole pixels a step, and its grid, each view in a light of its own."""
    scene = wall_scene(VIEWS, TIMES, sliding(TIMES, (4.0, 2.0)))
    light = torch.tensor([1.0, 0.8])[:, None, None, None, None]
    return scene, rendered_grid(scene) * light


@pytest.mark.parametrize("colors", ["source", "splats"])
def test_known_cells_stay_bit_for_bit(made: tuple[Scene4D, torch.Tensor], colors: str, pictures) -> None:
    frames = pictures(VIEWS * TIMES, *SIZE).view(VIEWS, TIMES, *SIZE, 3)
    frames[0, 0] = 1.0
    grid = known_cross(frames)
    before = grid.frames.clone()
    done = completed(made[0], grid, ProposalOptions(colors=colors))
    assert torch.equal(done.frames[grid.known], frames[grid.known]) and torch.equal(grid.frames, before)
    assert torch.equal(done.known, grid.known)
    assert bool((done.frames[~grid.known] > 0).any()) and float(done.frames.amax()) <= 1


def test_the_truth_is_read_from_the_views_own_light(made: tuple[Scene4D, torch.Tensor]) -> None:
    scene, frames = made
    grid = known_cross(frames)
    own = completed(scene, grid).frames[1, 1:, 4:-4, 4:-4]
    painted = completed(scene, grid, ProposalOptions(colors="splats")).frames[1, 1:, 4:-4, 4:-4]
    expected = frames[1, 1:, 4:-4, 4:-4]
    # whole pixels: bilinear reading is exact but for the map's last digits; the splats are a fifth too bright
    assert psnr(own, expected) > 40
    assert psnr(painted, expected) < 25


def test_splat_colours_are_the_render(made: tuple[Scene4D, torch.Tensor]) -> None:
    scene, frames = made
    done = completed(scene, known_cross(frames), ProposalOptions(colors="splats"))
    with torch.no_grad():
        assert torch.equal(done.frames[1, 2], render_cell(scene, 1, 2).image.clamp(0, 1))


def test_a_view_that_nobody_gave_takes_splat_colours(made: tuple[Scene4D, torch.Tensor]) -> None:
    scene, frames = made
    grid = known_cross(frames)
    known = grid.known.clone()
    known[1] = False
    done = completed(scene, replace(grid, known=known))
    with torch.no_grad():
        assert torch.equal(done.frames[1, 1], render_cell(scene, 1, 1).image.clamp(0, 1))


@pytest.mark.parametrize(("choice", "least"), [("verified", 25), ("scored", 24)])
def test_captions_are_not_copied(made: tuple[Scene4D, torch.Tensor], choice, least: float) -> None:
    scene, frames = made
    valid = torch.ones(SIZE, dtype=torch.bool)
    valid[8:14, 6:26] = False
    captioned = torch.where(valid[..., None], frames, torch.tensor([1.0, 0.0, 1.0]))
    done = completed(scene, known_cross(captioned, valid), ProposalOptions(choice=choice))
    reader = SourceReader(known_cross(captioned, valid), pixel_points(scene, 1), None)
    _, shown, _ = reader.read((1, 2), 0, render_cell(scene, 1, 2))
    assert not shown[11:15, 11:29].any()  # the caption slid by (4, 2)
    # splat colours in the light of what is around: the fifth of difference is carried in, the painting is the same
    assert psnr(done.frames[1, 2][INNER], frames[1, 2][INNER]) > least


def test_two_sources_are_blended_by_nearness(made: tuple[Scene4D, torch.Tensor]) -> None:
    scene, frames = made
    grid = known_cross(frames).with_known({(1, 2): torch.full((*SIZE, 3), 0.5)})
    both = completed(scene, grid, VERIFIED).frames[1, 1][INNER]
    first = completed(scene, known_cross(frames), VERIFIED).frames[1, 1][INNER]
    torch.testing.assert_close(both, (first + 0.5) / 2, rtol=0, atol=1e-4)  # half way between: one half each


@pytest.mark.parametrize(
    ("known", "time", "expected"),
    [
        ([0], 3, {0: 1.0}),
        ([0, 4], 1, {0: 0.75, 4: 0.25}),
        ([0, 2, 6, 7], 3, {2: 0.75, 6: 0.25}),
        ([5], 1, {5: 1.0}),
        ([0, 3], 2, {0: 1 / 3, 3: 2 / 3}),
        ([0, 1, 3], 5, {3: 1.0, 1: FAR_WEIGHT}),
        ([5, 7], 2, {5: 1.0, 7: FAR_WEIGHT}),
    ],
)
def test_nearest_times_by_hand(known: list[int], time: int, expected: dict[int, float]) -> None:
    assert dict(nearest_times(known, time)) == pytest.approx(expected)


def test_gaps_up_to_a_width_are_closed() -> None:
    mask = torch.ones(20, 30, dtype=torch.bool)
    mask[:, 10 : 10 + GAP_PX] = False
    mask[8:16, 20:28] = False  # a hole as large as a limb stays, to the pixel
    closed = close_gaps(mask, GAP_PX)
    assert closed[:, 10 : 10 + GAP_PX].all() and not closed[8:16, 20:28].any()
    assert closed[:, :20].all() and closed[:8].all() and closed[16:].all()


def test_points_that_spread_apart_leave_no_hole(
    monkeypatch: pytest.MonkeyPatch, made: tuple[Scene4D, torch.Tensor]
) -> None:
    from fourreal_core.proposals import complete_grid as module

    def torn(points, time, source, options=None):
        alpha = torch.ones(SIZE)
        alpha[:, 10::8] = 0.0  # a pixel wide, as between points that spread apart
        return torch.zeros(*SIZE, 2), alpha

    monkeypatch.setattr(module, "render_source_map", torn)
    scene, frames = made
    reader, rendered = SourceReader(known_cross(frames), pixel_points(scene, 1), None), render_cell(scene, 1, 1)
    assert reader.read((1, 1), 0, rendered)[1].all()
    monkeypatch.setattr(module, "GAP_PX", 0)
    assert not reader.read((1, 1), 0, rendered)[1].all()


def test_what_explains_the_rows_badly_counts_little(
    monkeypatch: pytest.MonkeyPatch, made: tuple[Scene4D, torch.Tensor]
) -> None:
    from fourreal_core.proposals.complete_grid import SOURCE_DOUBT_GRAY, propose_cell

    scene, frames = made
    grid = known_cross(frames).with_known({(1, 2): torch.full((*SIZE, 3), 0.5)})
    reader = SourceReader(grid, pixel_points(scene, 1), None)
    doubts = {0: SOURCE_DOUBT_GRAY, 2: 0.0}

    def read(self, cell, source, rendered):
        color, error = np.full((*SIZE, 3), source / 4, np.float32), np.full(SIZE, doubts[source], np.float32)
        return color, np.ones(SIZE, bool), error

    monkeypatch.setattr(SourceReader, "read", read)
    with torch.no_grad():
        cell, error_gray = propose_cell(reader, (1, 1), ProposalOptions())
    share = 1 / (1 + math.exp(-1))  # of the sure one, half way between the two in time
    assert float(cell[5, 5, 0]) == pytest.approx(share / 2) and share > 0.7
    assert float(error_gray[5, 5]) == pytest.approx((1 - share) * SOURCE_DOUBT_GRAY)


def test_nothing_known_of_a_place_extends_the_sources(made: tuple[Scene4D, torch.Tensor]) -> None:
    scene, frames = made
    empty = scene.select(torch.zeros(len(scene.splats), dtype=torch.bool))
    valid = torch.ones(SIZE, dtype=torch.bool)
    valid[8:14, 6:26] = False
    done = complete_grid(empty, known_cross(frames, valid), flows=None)
    assert float(done.frames[1, 1].amin()) > 0.02  # not the background's colour, and no black hole


def slow_average(values: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """The averages of known values in boxes of 2 x 2, in float64."""
    value, weight = (values.double() * known[..., None]), known.double()
    h, w = (-(-n // 2) for n in known.shape)
    small, mass = torch.zeros(h, w, values.shape[-1], dtype=torch.float64), torch.zeros(h, w, dtype=torch.float64)
    for y in range(h):
        for x in range(w):
            box = (slice(2 * y, 2 * y + 2), slice(2 * x, 2 * x + 2))
            small[y, x], mass[y, x] = value[box].mean((0, 1)), weight[box].mean()
    return small / mass.clamp_min(1e-8)[..., None]


def test_one_level_of_holes_is_the_slow_average(generator: torch.Generator) -> None:
    values, known = torch.rand(4, 4, 2, generator=generator), torch.rand(4, 4, generator=generator) > 0.3
    known[:2, :2], known[0, 0] = False, True
    up = torch.nn.functional.interpolate(slow_average(values, known).permute(2, 0, 1)[None], (4, 4), mode="bilinear")
    expected = torch.where(known[..., None], values.double(), up[0].permute(1, 2, 0))
    torch.testing.assert_close(fill_holes(values, known).double(), expected, rtol=0, atol=1e-6)  # float32


def test_nothing_known_is_zero_and_finite() -> None:
    assert not fill_holes(torch.full((9, 9, 2), 5.0), torch.zeros(9, 9, dtype=torch.bool)).any()


def test_progress_counts_cells_and_stopping_passes_through(made: tuple[Scene4D, torch.Tensor]) -> None:
    scene, frames = made
    seen: list[tuple[int, int, tuple[int, ...]]] = []

    def note(done: int, total: int, preview: torch.Tensor | None = None) -> None:
        seen.append((done, total, tuple(preview.shape)))

    completed(scene, known_cross(frames), on_step=note)
    assert seen == [(1, 2, (*SIZE, 3)), (2, 2, (*SIZE, 3))]

    def stop(done: int, total: int, preview: torch.Tensor | None = None) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        completed(scene, known_cross(frames), on_step=stop)


def test_another_grid_is_refused(made: tuple[Scene4D, torch.Tensor]) -> None:
    other = FrameGrid.from_clips(torch.zeros(VIEWS, *SIZE, 3), torch.zeros(TIMES + 1, *SIZE, 3))
    with pytest.raises(InputError, match="complete the grid the scene was fitted to"):
        completed(made[0], other)


def test_options_are_checked() -> None:
    with pytest.raises(InputError, match="'source' or 'splats'"):
        ProposalOptions(colors="guess")


def test_a_choice_of_another_name_is_refused() -> None:
    with pytest.raises(InputError, match="'scored' or 'verified'"):
        ProposalOptions(choice="guess")  # type: ignore[arg-type]
