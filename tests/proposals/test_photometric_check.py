"""The photometric check: a right flow shows the same colour at both times; colours are transferred to the view's."""

from __future__ import annotations

import numpy as np
import pytest

from fourreal_core.flow.flow_field import on_picture
from fourreal_core.proposals.candidate_selection import SelectionOptions, best_candidate, disocclusion_probability
from fourreal_core.proposals.image_filters import gaussian_blur, median_flow, open_regions
from fourreal_core.proposals.photometric_check import PhotometricCheck, mean_photometric_error

SIZE = (16, 24)
AT_30 = SelectionOptions(disocclusion_gray=30.0, disocclusion_soft_gray=3.0, region_px=0)


def constant(dx: float, dy: float) -> np.ndarray:
    return np.broadcast_to(np.asarray([dx, dy], np.float32), (*SIZE, 2)).copy()


def slow_sample(image: np.ndarray, x: float, y: float) -> np.ndarray:
    """Bilinear in float64; the border repeats."""
    x, y = min(max(x, 0), image.shape[1] - 1), min(max(y, 0), image.shape[0] - 1)
    x0, y0 = min(int(x), image.shape[1] - 2), min(int(y), image.shape[0] - 2)
    fx, fy = x - x0, y - y0
    top = (1 - fx) * image[y0, x0] + fx * image[y0, x0 + 1]
    return (1 - fy) * top + fy * ((1 - fx) * image[y0 + 1, x0] + fx * image[y0 + 1, x0 + 1])


def test_the_error_is_the_slow_loop() -> None:
    rng = np.random.default_rng(0)
    now, then = rng.random((2, *SIZE, 3))
    flow, match = constant(1.5, -0.5), constant(-2.25, 0.75)
    got = PhotometricCheck(match, now.astype(np.float32), then.astype(np.float32)).photometric_error(flow)
    for y in range(3, 12):
        for x in range(4, 20):
            a = slow_sample(now, x - 2.25, y + 0.75)  # the match is read where the flow leads; it is the same all over
            b = slow_sample(then, x + 1.5 - 2.25, y - 0.5 + 0.75)
            # OpenCV reads at 32nds of a pixel, which these are, in float32
            assert got[y, x] == pytest.approx(255 * np.abs(a - b).mean(), abs=1e-3)


def test_a_right_flow_costs_nothing() -> None:
    wide = np.random.default_rng(1).random((SIZE[0], 60, 3)).astype(np.float32)
    then, now = wide[:, 10:34], wide[:, 7:31]  # moved 3 pixels to the right
    check = PhotometricCheck(constant(2, 0), now, then)
    right, wrong = check.photometric_error(constant(-3, 0)), check.photometric_error(constant(0, 0))
    assert right[:, 5:-5].max() < 1e-3 < wrong[:, 5:-5].mean()
    flow, cost, choice = best_candidate(
        [constant(0, 0), constant(-3, 0)], [gaussian_blur(wrong, 1), gaussian_blur(right, 1)]
    )
    assert (choice[:, 8:-8] == 1).all() and (flow[:, 8:-8] == [-3, 0]).all()
    assert np.array_equal(cost, np.minimum(gaussian_blur(wrong, 1), gaussian_blur(right, 1)))


def test_tone_is_the_views_own_by_hand() -> None:
    then, now = np.full((*SIZE, 3), 0.4, np.float32), np.full((*SIZE, 3), 0.7, np.float32)
    color = np.full((*SIZE, 3), 0.3, np.float32)  # the view is darker by 0.1
    new, across = PhotometricCheck(constant(1, 0), now, then).transfer_color(constant(0, 0), color, 2.0)
    assert new == pytest.approx(np.full((*SIZE, 3), 0.6), abs=1e-5) and (across == [1, 0]).all()


def test_new_is_half_at_the_threshold_and_monotone() -> None:
    shares = disocclusion_probability(np.asarray([0.0, 27.0, 30.0, 33.0, 1e9], np.float32), AT_30)
    assert shares[2] == 0.5 and (np.diff(shares) > 0).all() and shares[0] < 1e-4 and shares[-1] > 0.9999
    assert shares[1] + shares[3] == pytest.approx(1, abs=1e-6)


def test_what_leaves_the_picture_is_found() -> None:
    assert on_picture(constant(0, 0)).all()
    assert not on_picture(constant(1, 0))[:, -1].any() and on_picture(constant(1, 0))[:, :-1].all()


def test_single_pixels_are_no_choice() -> None:
    flow = constant(2, -1)
    flow[8, 10] = [9, 9]
    assert np.array_equal(median_flow(flow, 5), constant(2, -1))
    flow[:, 12:] = [5, 5]  # an outline stays where it is
    assert (median_flow(flow, 5)[:, :12] == [2, -1]).all() and (median_flow(flow, 5)[:, 12:] == [5, 5]).all()


def test_only_whole_regions_are_new() -> None:
    share = np.zeros(SIZE, np.float32)
    share[2:4, 2:4] = 1
    assert not open_regions(share, 5).any()
    share[6:16, 10:22] = 1
    kept = open_regions(share, 5)
    assert kept[11, 16] > 0.99 and not kept[:1, :4].any() and (np.diff(kept[11, 3:12]) >= 0).all()


def test_one_reference_votes_alone_and_several_by_how_surely_they_match() -> None:
    rng = np.random.default_rng(3)
    then, good, bad = rng.random((3, *SIZE, 3)).astype(np.float32)
    flow, error = constant(0, 0), np.zeros(SIZE, np.float32)
    sure = PhotometricCheck(flow, good, then, error)
    unsure = PhotometricCheck(flow, bad, then, error + 4)
    alone = mean_photometric_error([PhotometricCheck(flow, good, then)], flow, 2.0)
    assert np.array_equal(alone, gaussian_blur(sure.photometric_error(flow), 2.0))
    both = mean_photometric_error([sure, unsure], flow, 2.0)
    other = gaussian_blur(unsure.photometric_error(flow), 2.0)
    weights = np.exp(0.0) + 1e-3, np.exp(-4.0) + 1e-3
    expected = (weights[0] * alone + weights[1] * other) / sum(weights)
    assert both == pytest.approx(expected, rel=1e-5)
    lost = [PhotometricCheck(flow, picture, then, error + 50) for picture in (good, bad)]
    # matches that all miss count alike, and no sum of weights is zero
    assert mean_photometric_error(lost, flow, 2.0) == pytest.approx((alone + other) / 2, rel=1e-4)


@pytest.mark.parametrize("off", [median_flow, open_regions])
def test_a_window_of_nothing_leaves_all_as_it_is(off) -> None:
    values = np.random.default_rng(4).random((*SIZE, 2)).astype(np.float32)
    assert np.array_equal(off(values, 0), values) and not np.array_equal(off(values, 5), values)
