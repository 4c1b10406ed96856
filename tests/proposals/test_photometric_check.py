"""Witnesses: a flow that is right looks the same at both times, and what is new comes in the view's own tone."""

from __future__ import annotations

import numpy as np
import pytest

from fourreal_core.proposals.photometric_check import (
    Witness,
    best_candidate,
    blurred,
    disocclusion_probability,
    on_picture,
    whole_regions,
    without_specks,
)

SIZE = (16, 24)


def constant(dx: float, dy: float) -> np.ndarray:
    return np.broadcast_to(np.asarray([dx, dy], np.float32), (*SIZE, 2)).copy()


def slow_sample(image: np.ndarray, x: float, y: float) -> np.ndarray:
    """Bilinear in float64; the border repeats."""
    x, y = min(max(x, 0), image.shape[1] - 1), min(max(y, 0), image.shape[0] - 1)
    x0, y0 = min(int(x), image.shape[1] - 2), min(int(y), image.shape[0] - 2)
    fx, fy = x - x0, y - y0
    top = (1 - fx) * image[y0, x0] + fx * image[y0, x0 + 1]
    return (1 - fy) * top + fy * ((1 - fx) * image[y0 + 1, x0] + fx * image[y0 + 1, x0 + 1])


def test_apart_is_the_slow_loop() -> None:
    rng = np.random.default_rng(0)
    now, then = rng.random((2, *SIZE, 3))
    flow, match = constant(1.5, -0.5), constant(-2.25, 0.75)
    got = Witness(match, now.astype(np.float32), then.astype(np.float32)).apart(flow)
    for y in range(3, 12):
        for x in range(4, 20):
            a = slow_sample(now, x - 2.25, y + 0.75)  # the match is read where the flow leads; it is the same all over
            b = slow_sample(then, x + 1.5 - 2.25, y - 0.5 + 0.75)
            # OpenCV reads at 32nds of a pixel, which these are, in float32
            assert got[y, x] == pytest.approx(255 * np.abs(a - b).mean(), abs=1e-3)


def test_a_right_flow_costs_nothing() -> None:
    wide = np.random.default_rng(1).random((SIZE[0], 60, 3)).astype(np.float32)
    then, now = wide[:, 10:34], wide[:, 7:31]  # moved 3 pixels to the right
    witness = Witness(constant(2, 0), now, then)
    right, wrong = witness.apart(constant(-3, 0)), witness.apart(constant(0, 0))
    assert right[:, 5:-5].max() < 1e-3 < wrong[:, 5:-5].mean()
    flow, cost, choice = best_candidate([constant(0, 0), constant(-3, 0)], [blurred(wrong, 1), blurred(right, 1)])
    assert (choice[:, 8:-8] == 1).all() and (flow[:, 8:-8] == [-3, 0]).all()
    assert np.array_equal(cost, np.minimum(blurred(wrong, 1), blurred(right, 1)))


def test_tone_is_the_views_own_by_hand() -> None:
    then, now = np.full((*SIZE, 3), 0.4, np.float32), np.full((*SIZE, 3), 0.7, np.float32)
    color = np.full((*SIZE, 3), 0.3, np.float32)  # the view is darker by 0.1
    new, across = Witness(constant(1, 0), now, then).toned(constant(0, 0), color, 2.0)
    assert new == pytest.approx(np.full((*SIZE, 3), 0.6), abs=1e-5) and (across == [1, 0]).all()


def test_new_is_half_at_the_threshold_and_monotone() -> None:
    shares = disocclusion_probability(np.asarray([0.0, 27.0, 30.0, 33.0, 1e9], np.float32), 30.0, 3.0)
    assert shares[2] == 0.5 and (np.diff(shares) > 0).all() and shares[0] < 1e-4 and shares[-1] > 0.9999
    assert shares[1] + shares[3] == pytest.approx(1, abs=1e-6)


def test_what_leaves_the_picture_is_told() -> None:
    assert on_picture(constant(0, 0)).all()
    assert not on_picture(constant(1, 0))[:, -1].any() and on_picture(constant(1, 0))[:, :-1].all()


def test_single_pixels_are_no_choice() -> None:
    flow = constant(2, -1)
    flow[8, 10] = [9, 9]
    assert np.array_equal(without_specks(flow), constant(2, -1))
    flow[:, 12:] = [5, 5]  # an outline stays where it is
    assert (without_specks(flow)[:, :12] == [2, -1]).all() and (without_specks(flow)[:, 12:] == [5, 5]).all()


def test_only_whole_regions_are_new() -> None:
    share = np.zeros(SIZE, np.float32)
    share[2:4, 2:4] = 1
    assert not whole_regions(share).any()
    share[6:16, 10:22] = 1
    kept = whole_regions(share)
    assert kept[11, 16] > 0.99 and not kept[:1, :4].any() and (np.diff(kept[11, 3:12]) >= 0).all()
