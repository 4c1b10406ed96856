"""The edge-aware smoother against dense linear solves in float64, and the completion it carries."""

from __future__ import annotations

import numpy as np
import pytest

from fourreal_core.flow.edge_aware_filter import ROUNDS, complete, edge_weights, smooth
from fourreal_core.flow.edge_aware_kernel import solve_columns, solve_rows

SHAPE = (9, 13)


def picture(seed: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).random((*SHAPE, channels)).astype(np.float32)


def laplacian(weights: np.ndarray) -> np.ndarray:
    """``L_w`` of a chain of ``n`` values joined by ``weights[:n - 1]``."""
    n = len(weights)
    out = np.zeros((n, n))
    for k in range(n - 1):
        out[k, k] += weights[k]
        out[k + 1, k + 1] += weights[k]
        out[k, k + 1] -= weights[k]
        out[k + 1, k] -= weights[k]
    return out


def dense_rows(values: np.ndarray, weights: np.ndarray, strength: float) -> np.ndarray:
    rows = [
        np.linalg.solve(np.eye(len(w)) + strength * laplacian(w.astype(np.float64)), v.astype(np.float64))
        for v, w in zip(values, weights, strict=True)
    ]
    return np.stack(rows)


@pytest.mark.parametrize("strength", [0.0, 0.7, 30.0, 1000.0])
def test_rows_are_solved_as_a_dense_system(strength: float) -> None:
    values, weights = picture(0), picture(1, 1)[..., 0]
    expected = dense_rows(values, weights, strength)
    # float32 with a condition number of up to 1 + 4 * 1000
    np.testing.assert_allclose(solve_rows(values, weights, np.float32(strength)), expected, rtol=0, atol=2e-4)


@pytest.mark.parametrize("strength", [0.0, 0.7, 30.0, 1000.0])
def test_columns_are_rows_of_the_transposed_picture(strength: float) -> None:
    values, weights = picture(0), picture(1, 1)[..., 0]
    expected = dense_rows(values.transpose(1, 0, 2), weights.T, strength).transpose(1, 0, 2)
    np.testing.assert_allclose(solve_columns(values, weights, np.float32(strength)), expected, rtol=0, atol=2e-4)


def test_two_pixels_by_hand() -> None:
    values = np.float32([[[0.0], [3.0]]])
    # (1 + s) a - s b = 0 and (1 + s) b - s a = 3 with s = 1: a = 1, b = 2
    got = solve_rows(values, np.ones((1, 2), np.float32), np.float32(1.0))
    np.testing.assert_allclose(got[0, :, 0], [1.0, 2.0], rtol=0, atol=1e-6)


def test_affinities_by_hand() -> None:
    guide = np.zeros((2, 2, 3), np.float32)
    guide[0, 1] = 0.1
    right, down = edge_weights(guide, 0.3)
    np.testing.assert_allclose(right, [[np.exp(-1), 0], [1, 0]], rtol=1e-5)
    np.testing.assert_allclose(down, [[1, np.exp(-1)], [0, 0]], rtol=1e-5)


def test_smoothing_is_dense_solves_of_rows_and_columns_in_turn() -> None:
    values, guide, strength = picture(2, 2), picture(3), 40.0
    right, down = edge_weights(guide, 0.5)
    out = values.astype(np.float64)
    for k in range(ROUNDS):
        part = 1.5 * strength * 4.0 ** (ROUNDS - 1 - k) / (4.0**ROUNDS - 1)
        out = dense_rows(out, right, part)
        out = dense_rows(out.transpose(1, 0, 2), down.T, part).transpose(1, 0, 2)
    np.testing.assert_allclose(smooth(values, guide, strength, 0.5), out, rtol=0, atol=1e-5)  # float32


def test_smoothing_keeps_the_sum_and_the_bounds() -> None:
    values, guide = picture(4, 1), picture(5)
    out = smooth(values, guide, 100.0, 0.5)
    assert out.sum() == pytest.approx(values.sum(), rel=1e-5)  # the Laplacian's rows add to zero
    assert values.min() <= out.min() and out.max() <= values.max()
    assert out.std() < 0.3 * values.std()


def test_inputs_stay_as_they_are() -> None:
    values, guide = picture(6), picture(7)
    before = values.copy(), guide.copy()
    smooth(values, guide, 10.0, 0.3)
    complete(values[..., 0], guide[..., 0], guide, 10.0, 0.3)
    assert np.array_equal(values, before[0]) and np.array_equal(guide, before[1])


def test_completion_fills_each_region_from_its_own_measurements() -> None:
    guide = np.zeros((*SHAPE, 3), np.float32)
    guide[:, 7:] = 1.0
    values, confidence = np.full(SHAPE, np.nan, np.float32), np.zeros(SHAPE, np.float32)
    values[4, 2], values[1, 10] = 2.0, 5.0
    confidence[4, 2] = confidence[1, 10] = 1.0
    filled, reached = complete(values, confidence, guide, 400.0, 0.05)
    # across the edge the coupling is exp(-3 / 0.05), nothing at all in float32
    np.testing.assert_allclose(filled[:, :7], 2.0, rtol=1e-5)
    np.testing.assert_allclose(filled[:, 7:], 5.0, rtol=1e-5)
    assert (reached > 0).all() and reached[4, 2] > reached[0, 6]


def test_completion_of_nothing_says_that_nothing_reached() -> None:
    filled, reached = complete(np.full(SHAPE, np.nan, np.float32), np.zeros(SHAPE, np.float32), picture(8), 10.0, 0.1)
    assert (filled == 0).all() and (reached == 0).all()


def test_more_trusted_measurements_weigh_more() -> None:
    guide = np.zeros((1, 2, 3), np.float32)
    filled, _ = complete(np.float32([[0, 1]]), np.float32([[1, 3]]), guide, 1e4, 1.0)
    assert filled[0, 0] == pytest.approx(0.75, abs=1e-3)  # so strong that it is one mean: 3 * 1 / (1 + 3)
