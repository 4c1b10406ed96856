"""Flows by layers: what counts as moving, how a flow is extended, and where a layer's flow leads."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fourreal_core.flow.flow_cache import MeasuredFlow
from fourreal_core.proposals.motion_layers import (
    LAYER_KINDS,
    MISS_PX,
    MOVES_PX,
    NEAR_PX,
    SIZE_PX,
    affine_flow,
    layer_candidates,
    layered_flow,
    motion_probability,
    normalized_convolution,
)

SIZE = (24, 32)


def still(dx: float = 0.0, dy: float = 0.0) -> np.ndarray:
    return np.broadcast_to(np.asarray([dx, dy], np.float32), (*SIZE, 2)).copy()


def box(value: float = 1.0, outside: float = 0.0) -> np.ndarray:
    share = np.full(SIZE, outside, np.float32)
    share[8:16, 10:22] = value
    return share


def measured(flow: np.ndarray, error: float = 0.0) -> MeasuredFlow:
    return MeasuredFlow(flow, np.full(SIZE, error, np.float32), (flow,))


def test_what_moves_at_any_time_moves() -> None:
    twice = still()
    twice[2, 3] = 0, 5 * MOVES_PX
    half = still()
    half[4, 5] = MOVES_PX, 0
    share = motion_probability([still(), twice, half])
    assert share[2, 3] > 0.99 and share[4, 5] == pytest.approx(0.5, abs=1e-6) and share[0, 0] < 0.01


def test_a_flow_that_is_the_same_wherever_it_counts_extends_everywhere() -> None:
    flow = np.where(box()[..., None] > 0, still(3, -2), still(50, 50))
    for sigma in (3.0, 8.0):
        assert np.abs(normalized_convolution(flow, box(), sigma) - still(3, -2)).max() < 1e-4  # float32
    assert np.abs(affine_flow(flow, box()) - still(3, -2)).max() < 0.03  # steadied a little towards no slope


def test_normalized_convolution_is_the_slow_loop() -> None:
    random = np.random.default_rng(0)
    flow, weight = random.normal(size=(*SIZE, 2)).astype(np.float32), random.random(SIZE).astype(np.float32)
    sigma = 2.0
    got = normalized_convolution(flow, weight, sigma)
    reach = round(sigma * 4) | 1  # what OpenCV takes for float pictures: 8 sigma + 1 wide, odd
    mean = (flow.astype(np.float64) * weight[..., None]).sum((0, 1)) / weight.sum()
    for y, x in ((0, 0), (10, 12), (23, 31), (5, 30)):
        above, below = np.zeros(2), 0.0
        for j in range(max(0, y - reach), min(SIZE[0], y + reach + 1)):
            for i in range(max(0, x - reach), min(SIZE[1], x + reach + 1)):
                near = math.exp(-((j - y) ** 2 + (i - x) ** 2) / (2 * sigma**2)) / (2 * math.pi * sigma**2)
                above += near * weight[j, i] * flow[j, i]
                below += near * weight[j, i]
        assert got[y, x] == pytest.approx((above + 0.02 * mean) / (below + 0.02), abs=2e-3)  # the window is cut off


def test_an_affine_motion_is_found_beside_outliers() -> None:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    truth = np.stack([0.1 * (x - 16) - 0.05 * (y - 12) + 2, 0.08 * (y - 12) - 1], -1).astype(np.float32)
    torn = truth.copy()
    torn[::3, ::4] += np.float32([15, -9])  # one pixel in twelve
    made = affine_flow(torn, np.ones(SIZE, np.float32))
    assert np.abs(made - truth).max() < 0.3  # steadying takes a tenth of slopes, which reach 1.6 pixels here
    nowhere = affine_flow(torn, np.zeros(SIZE, np.float32))  # where nothing counts, all counts alike
    assert nowhere == pytest.approx(made, abs=1e-5)


def test_a_flow_that_misses_its_start_counts_little() -> None:
    share = np.where(np.arange(SIZE[1]) < 16, 1.0, 0.25).astype(np.float32) * np.ones(SIZE, np.float32)
    flow = np.where(box()[..., None] > 0, still(5), still(1))
    missing = MeasuredFlow(flow, MISS_PX * box(), (flow,))
    found, sure = layered_flow(missing, share), np.where(box() > 0, 1 / math.e, 1.0).astype(np.float32)
    sigma = NEAR_PX * SIZE[1] / SIZE_PX
    assert found.near == pytest.approx(normalized_convolution(flow, share * sure, sigma), abs=1e-5)  # float32
    assert found.affine == pytest.approx(affine_flow(flow, share * sure), abs=1e-4)


def test_each_layer_goes_its_own_way() -> None:
    # in the reference the subject moves by 4, the ground stands; the view sees the subject by 6 more, the ground by 1
    moved = np.where(box()[..., None] > 0, still(-4), still())
    seen = np.where(box()[..., None] > 0, still(-6), still(-1))
    made = list(layer_candidates(layered_flow(measured(seen), box()), layered_flow(measured(moved), box())).values())
    assert len(made) == len(LAYER_KINDS)
    for flow in made[:3]:
        assert np.abs(flow - still(-4)).max() < 0.1
    assert np.abs(made[3][12, 2:]).max() < 0.1  # far from the subject and under it alike


def test_a_layers_flow_is_looked_up_where_the_reference_shows_it() -> None:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    slope = np.stack([0.1 * x, np.zeros_like(x)], -1).astype(np.float32)
    whole = np.ones(SIZE, np.float32)
    back = layered_flow(measured(slope), whole)
    straight, beside = (
        layer_candidates(layered_flow(measured(still(dx)), whole), back)["subject_affine"] for dx in (0, 5)
    )
    away = (beside - straight)[6:18, 8:20, 0]
    # 5 pixels on a slope of a tenth, less a tenth by steadying
    assert away == pytest.approx(np.full_like(away, 0.5), abs=0.06)


def test_inputs_stay_as_they_are() -> None:
    flow, weight = still(1), box()
    before = flow.copy(), weight.copy()
    affine_flow(flow, weight)
    normalized_convolution(flow, weight, 2.0)
    assert np.array_equal(flow, before[0]) and np.array_equal(weight, before[1])
