"""One cell from one known cell: the verified candidate is chosen, what none explains is disoccluded or hidden."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fourreal_core.errors import InputError
from fourreal_core.flow.flow_field import warp
from fourreal_core.proposals.blending import blend_by_error
from fourreal_core.proposals.candidate_selection import (
    Candidates,
    SelectionOptions,
    disocclusion_probability,
    occluded_in_reference,
    propose_from_source,
)
from fourreal_core.proposals.photometric_check import PhotometricCheck

SIZE = (40, 64)
INNER = (slice(6, -6), slice(12, -12))
PATCH = (slice(14, 26), slice(24, 38))
# windows of 1 and 2 pixels for pictures 64 wide
OPTIONS = SelectionOptions(window_px=8.0, tone_px=16.0)


def constant(dx: float, dy: float = 0.0) -> np.ndarray:
    return np.broadcast_to(np.asarray([dx, dy], np.float32), (*SIZE, 2)).copy()


@pytest.fixture(scope="module")
def world() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A texture that moves 3 pixels to the right; a view sees it 2 farther right, darker: source, truth, then, now."""
    import cv2

    wide = cv2.GaussianBlur(np.random.default_rng(0).random((SIZE[0], 120, 3)).astype(np.float32), (0, 0), 1.0)
    wide = (wide - wide.min()) / (wide.max() - wide.min())
    then, now = wide[:, 30:94], wide[:, 27:91]
    return 0.7 * wide[:, 28:92], 0.7 * wide[:, 25:89], then, now


def check(world, **changes) -> PhotometricCheck:
    return replace(PhotometricCheck(constant(-2), world[3], world[2]), **changes)


def error(made: np.ndarray, truth: np.ndarray, where=INNER) -> float:
    return float(np.abs(made - truth)[where].mean())


def test_the_verified_candidate_wins_wherever_it_stands(world) -> None:
    source, truth = world[:2]
    for flows in (
        [constant(0), constant(-3)],
        [constant(-3), constant(0)],
        [constant(2), constant(-3), constant(5, 1)],
    ):
        made = propose_from_source(source, Candidates(flows), [check(world)], OPTIONS)
        assert error(made.color, truth) < 2e-3 and made.seen.all()
        assert (made.flow[INNER] == [-3, 0]).all() and made.error[INNER].max() < 0.5


def test_without_references_the_first_is_believed(world) -> None:
    made = propose_from_source(world[0], Candidates([constant(5), constant(-3)]), [], OPTIONS)
    assert np.array_equal(made.color, warp(world[0], constant(5))) and not made.error.any() and made.seen.all()


def test_a_handicap_lets_the_first_win_a_near_tie(world) -> None:
    flows = [constant(-2.9), constant(-3)]
    free, held = (
        propose_from_source(world[0], Candidates(flows, handicap), [check(world)], OPTIONS)
        for handicap in ((0.0, 0.0), (0.0, 30.0))
    )
    assert (free.flow[INNER] == np.float32([-3, 0])).all() and (held.flow[INNER] == np.float32([-2.9, 0])).all()


def test_what_cannot_be_read_is_not_chosen_and_not_seen(world) -> None:
    nowhere = np.zeros(SIZE, bool)
    unread = Candidates([constant(0), constant(-3)], readable=lambda flow: nowhere, first_seen=~nowhere)
    made = propose_from_source(world[0], unread, [check(world)], OPTIONS)
    assert (made.flow == 0).all() and made.seen.all()
    left = np.zeros(SIZE, bool)
    left[:, :32] = True
    half = Candidates([constant(0), constant(-3)], readable=lambda flow: left, first_seen=nowhere)
    made = propose_from_source(world[0], half, [check(world)], OPTIONS)
    assert made.seen[INNER][:, :14].all() and not made.seen[INNER][:, 26:].any()


def test_single_pixels_of_another_choice_are_removed(world) -> None:
    source, truth, then, now = world
    speckled = now.copy()
    speckled[20:22, 30:32] = then[23:25, 34:36]  # what the other candidate would show
    flows = [constant(-3), constant(4, 3)]
    made = [
        propose_from_source(
            source, Candidates(flows), [check(world, now=speckled)], replace(OPTIONS, median_px=side, window_px=4.0)
        )
        for side in (0, 5)
    ]
    assert (made[1].flow[INNER] == [-3, 0]).all() and not (made[0].flow[INNER] == [-3, 0]).all()


@pytest.mark.parametrize("width", [16, 2])
def test_what_nothing_explains_is_revealed_in_the_views_light(world, width: int) -> None:
    source, truth, then, now = world
    strange = now.copy()
    strange[14:30, 24 : 24 + width] = [1.0, 0.0, 1.0]
    flows, options = Candidates([constant(-3)]), replace(OPTIONS, window_px=4.0)
    made = propose_from_source(source, flows, [check(world, now=strange)], options)
    at = made.color[18:26, 24 + 2 + width // 2]  # the reference's pixels are 2 farther left
    if width == 2:  # narrower than a region: chance
        assert np.abs(at - truth[18:26, 27]).mean() < 0.02
        return
    light = 0.7 * truth.mean() / 0.7 - now.mean()  # by how much the view is darker
    assert np.abs(at - np.clip(np.float32([1.0, 0.0, 1.0]) + light, 0, 1)).mean() < 0.1
    kept = propose_from_source(source, flows, [check(world, now=strange)], replace(OPTIONS, disocclusion_gray=1e6))
    assert error(kept.color, truth, (slice(18, 26), slice(30, 36))) < 0.02


def test_tone_is_compared_over_its_window(world) -> None:
    source, truth, then, now = world
    strange = now.copy()
    strange[8:32, 16:48] = 0.5  # flat: what is revealed shows the window in which light is compared
    flows = Candidates([constant(-3)])
    all_new = replace(OPTIONS, disocclusion_gray=0.1, disocclusion_soft_gray=0.01)
    narrow, wide = (
        propose_from_source(source, flows, [check(world, now=strange)], replace(all_new, tone_px=tone)).color
        for tone in (8.0, 64.0)
    )
    narrow, wide = narrow[14:26, 26:42], wide[14:26, 26:42]
    assert narrow.std() > 2 * wide.std()


def test_windows_scale_with_the_width() -> None:
    rng = np.random.default_rng(1)
    small = rng.random((20, 64, 3)).astype(np.float32)
    flow = np.zeros((20, 64, 2), np.float32)
    made = [
        propose_from_source(small, Candidates([flow]), [PhotometricCheck(flow, small[::-1], small)], o).error
        for o in (OPTIONS, replace(OPTIONS, window_px=32.0))
    ]
    assert made[1].std() < 0.5 * made[0].std()


def test_a_point_that_something_near_hides_is_not_revealed(world) -> None:
    source, truth, then, now = world
    strange = now.copy()
    strange[PATCH] = [1.0, 0.0, 1.0]
    quiet, loud = np.zeros(SIZE, np.float32), np.full(SIZE, 99.0, np.float32)
    for self_error, hidden in ((quiet, True), (loud, False)):
        found = Candidates([constant(-3), constant(0)], self_error=self_error)
        made = propose_from_source(source, found, [check(world, now=strange)], OPTIONS)
        there = (slice(16, 24), slice(28, 36))
        assert (error(made.color, truth, there) < 0.02) == hidden
        assert bool((made.error[there] == 0).all()) == hidden and made.seen[there].all()


def test_hiding_is_asked_where_the_reference_shows_the_point() -> None:
    self_error, large = np.full(SIZE, 99.0, np.float32), np.full(SIZE, 50.0, np.float32)
    self_error[:, :20] = 0.0
    look = PhotometricCheck(constant(-6), np.zeros((*SIZE, 3), np.float32), np.zeros((*SIZE, 3), np.float32))
    found = occluded_in_reference(constant(0), large, look, self_error, 20.0)
    assert found[:, :25].all() and not found[:, 27:].any()
    assert not occluded_in_reference(constant(0), large * 0, look, self_error, 20.0).any()


def test_probability_is_half_at_the_threshold_in_whole_regions() -> None:
    large = np.full(SIZE, 20.0, np.float32)
    assert disocclusion_probability(large, SelectionOptions()) == pytest.approx(np.full(SIZE, 0.5), abs=1e-5)


def test_a_blend_is_the_slow_loop() -> None:
    rng = np.random.default_rng(2)
    pictures, errors = rng.random((3, 4, 5, 3)).astype(np.float32), 20 * rng.random((3, 4, 5)).astype(np.float32)
    counts = rng.random((3, 4, 5)).astype(np.float32)
    for beside in (None, list(counts)):
        got, mass = blend_by_error(list(pictures), list(errors), 5.0, beside)
        for y, x in np.ndindex(4, 5):
            weights = np.exp(-errors[:, y, x].astype(np.float64) / 5) * (1 if beside is None else counts[:, y, x])
            expected = (weights[:, None] * pictures[:, y, x]).sum(0) / weights.sum()
            assert got[y, x] == pytest.approx(expected, abs=1e-5) and mass[y, x] == pytest.approx(
                weights.sum(), rel=1e-5
            )
    nothing, none = blend_by_error(list(pictures), list(errors), 5.0, [0 * c for c in counts])
    assert not nothing.any() and not none.any()
    far, _ = blend_by_error(list(pictures), [e + 1e6 for e in errors], 5.0)
    assert np.isfinite(far).all() and far == pytest.approx(pictures.mean(0), abs=1e-5)


@pytest.mark.parametrize("wrong", [{"window_px": 0}, {"disocclusion_gray": -1}, {"median_px": -1}])
def test_options_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="leave them at their defaults"):
        SelectionOptions(**wrong)
