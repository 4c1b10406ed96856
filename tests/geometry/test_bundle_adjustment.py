"""Bundle adjustment: derivatives against finite differences, parts against loops, and cameras found again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fourreal_core.geometry.bundle_adjustment import (
    AdjustOptions,
    Bundle,
    Matches,
    Observations,
    _moved,
    adjust,
    flat_start,
    normalised,
    reproject,
)
from fourreal_core.geometry.rotations import cross_matrices, rotation_from_vector

VIEWS, POINTS, FOCAL = 4, 40, 110.0


def true_bundle(seed: int = 0) -> Bundle:
    """Cameras that walk and turn; the second one is the world, the median inverse depth is 1."""
    rng = np.random.default_rng(seed)
    steps = range(-1, VIEWS - 1)
    rotations = np.stack([rotation_from_vector(np.array([0.01 * k, -0.05 * k, 0.02 * k])) for k in steps])
    centres = np.array([[0.15 * k, 0.02 * k * k, 0.03 * k] for k in steps])
    translations = -np.einsum("vij,vj->vi", rotations, centres)
    inv_depth = 1 / rng.uniform(0.6, 2.5, VIEWS * POINTS)
    return normalised(Bundle(rotations, translations, inv_depth, FOCAL))


def observe(state: Bundle, seed: int = 1, outliers: float = 0.0) -> Observations:
    """Exact matches of every pair of views, a share of them put anywhere."""
    rng = np.random.default_rng(seed)
    obs = Observations(rng.uniform(-45, 45, (VIEWS * POINTS, 2)), np.repeat(np.arange(VIEWS), POINTS), {})
    for i in range(VIEWS):
        for j in range(VIEWS):
            if i == j:
                continue
            index = np.arange(i * POINTS, (i + 1) * POINTS)
            nothing = np.zeros((POINTS, 2))
            obs.pairs[i, j] = (index, nothing, np.ones(POINTS))
            seen = reproject(state, obs, (i, j))[2]
            wrong = rng.random(POINTS) < outliers
            seen[wrong] = rng.uniform(-45, 45, (int(wrong.sum()), 2))
            obs.pairs[i, j] = (index, seen, rng.uniform(0.5, 1.0, POINTS))
    return obs


def pose_errors(got: Bundle, true: Bundle) -> tuple[float, float]:
    """Largest turn in degrees, and largest displacement over the baseline, both in units of median depth."""
    trace = np.einsum("vij,vij->v", got.rotations, true.rotations)
    turn = np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))
    shift = np.linalg.norm(got.translations - true.translations, axis=1)
    return float(turn.max()), float(shift.max() / np.linalg.norm(true.translations, axis=1).max())


def huber_weight(residual: np.ndarray, delta: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights ``(M,)`` and costs ``(M,)`` of residuals ``(M, 2)`` under Huber's loss, plainly."""
    norm = np.linalg.norm(residual, axis=1)
    weight = np.where(norm <= delta, 1.0, delta / np.maximum(norm, 1e-12))
    return weight, np.where(norm <= delta, norm**2, 2 * delta * norm - delta**2)


def jacobians(
    state: Bundle, obs: Observations, pair: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Residual ``(M, 2)``, its derivative by (pose i, pose j, log f) ``(M, 2, 13)`` and by rho ``(M, 2)``, index."""
    i, j = pair
    y, rays, residual, rho = reproject(state, obs, pair)
    rot = state.rotations[j] @ state.rotations[i].T
    z = np.maximum(y[:, 2], 1e-3)
    f = state.focal_px
    dp = np.zeros((len(y), 2, 3))
    dp[:, 0, 0] = dp[:, 1, 1] = f / z
    dp[:, :, 2] = -f * y[:, :2] / z[:, None] ** 2
    turn_i = rot[None] @ cross_matrices(rays - rho[:, None] * state.translations[i])
    moved = y - rho[:, None] * state.translations[j]
    dy = np.concatenate(
        [turn_i, -rho[:, None, None] * rot[None], -cross_matrices(moved), rho[:, None, None] * np.eye(3)[None]], 2
    )
    by_focal = dp @ (rot @ (rays * [-1.0, -1.0, 0.0]).T).T[:, :, None] + (f * y[:, :2] / z[:, None])[:, :, None]
    by_rho = dp @ (state.translations[j] - rot @ state.translations[i])
    return residual, np.concatenate([dp @ dy, by_focal], 2), by_rho, obs.pairs[pair][0]


def test_huber_is_quadratic_then_linear() -> None:
    weight, cost = huber_weight(np.array([[0.0, 0.0], [0.3, 0.4], [3.0, 4.0]]), 1.0)
    assert weight == pytest.approx([1, 1, 1 / 5])
    assert cost == pytest.approx([0, 0.25, 2 * 5 - 1])


def test_hubers_weight_is_the_slope_of_its_cost() -> None:
    radii = np.array([0.2, 0.9, 1.3, 4.0, 50.0])
    direction = np.array([0.6, -0.8])
    step = 1e-6
    up, down = (huber_weight((radii + s)[:, None] * direction, 1.0)[1] for s in (step, -step))
    weight = huber_weight(radii[:, None] * direction, 1.0)[0]
    # d cost / d r = 2 weight r; central differences of step 1e-6 keep 9 digits in float64
    assert (up - down) / (2 * step) == pytest.approx(2 * weight * radii, rel=1e-6)


def test_reprojection_by_hand() -> None:
    # a point straight ahead at distance 2; the other camera stands 0.5 to the right: it is seen 0.5 / 2 * f to the left
    obs = Observations(np.zeros((1, 2)), np.zeros(1, int), {(0, 1): (np.array([0]), np.zeros((1, 2)), np.ones(1))})
    state = Bundle(np.tile(np.eye(3), (2, 1, 1)), np.array([[0.0, 0, 0], [-0.5, 0, 0]]), np.array([0.5]), 100.0)
    assert reproject(state, obs, (0, 1))[2].tolist() == [[-25.0, 0.0]]


@pytest.mark.parametrize("pair", [(0, 1), (3, 1), (2, 0)])
def test_derivatives_are_finite_differences(pair: tuple[int, int]) -> None:
    obs = observe(true_bundle(2), 3)
    state = true_bundle(0)
    _, by_camera, by_rho, index = jacobians(state, obs, pair)
    columns = np.r_[6 * pair[0] : 6 * pair[0] + 6, 6 * pair[1] : 6 * pair[1] + 6, 6 * VIEWS]
    step = 1e-6

    def residual(camera: np.ndarray, rho: np.ndarray) -> np.ndarray:
        return reproject(_moved(state, camera, rho), obs, pair)[2]

    no_camera, no_rho = np.zeros(6 * VIEWS + 1), np.zeros(len(state.inv_depth))
    for k, column in enumerate(columns):
        move = no_camera.copy()
        move[column] = step
        slope = (residual(move, no_rho) - residual(-move, no_rho)) / (2 * step)
        # slopes reach some hundred pixels; rounding of 1e-14 * 100 / 1e-6 and curvature leave 1e-5 at most
        np.testing.assert_allclose(by_camera[:, :, k], slope, rtol=1e-6, atol=1e-5)
    move = no_rho.copy()
    move[index] = step
    slope = (residual(no_camera, move) - residual(no_camera, -move)) / (2 * step)
    np.testing.assert_allclose(by_rho, slope, rtol=1e-6, atol=1e-5)


def test_normal_equations_are_sums_over_dense_rows() -> None:
    state, obs = true_bundle(0), observe(true_bundle(2), 3)
    hcc, gc, hpp, gp, hpc = Matches.of(obs).normal_equations(state, 2.0)
    cameras, points = 6 * VIEWS + 1, len(state.inv_depth)
    dense, gradient = np.zeros((cameras + points,) * 2), np.zeros(cameras + points)
    for (i, j), (index, _, trust) in obs.pairs.items():
        residual, by_camera, by_rho, _ = jacobians(state, obs, (i, j))
        weight = trust * huber_weight(residual, 2.0)[0]
        columns = [*range(6 * i, 6 * i + 6), *range(6 * j, 6 * j + 6), cameras - 1]
        for m in range(len(index)):
            for axis in (0, 1):
                row = np.zeros(cameras + points)
                row[columns], row[cameras + index[m]] = by_camera[m, axis], by_rho[m, axis]
                dense += weight[m] * np.outer(row, row)
                gradient += weight[m] * row * residual[m, axis]
    scale = np.abs(dense).max()  # float64 sums in another order
    np.testing.assert_allclose(hcc, dense[:cameras, :cameras], rtol=0, atol=1e-12 * scale)
    np.testing.assert_allclose(hpc, dense[cameras:, :cameras], rtol=0, atol=1e-12 * scale)
    np.testing.assert_allclose(np.diag(hpp), dense[cameras:, cameras:], rtol=0, atol=1e-12 * scale)
    np.testing.assert_allclose(np.r_[gc, gp], gradient, rtol=0, atol=1e-12 * np.abs(gradient).max())


def test_cost_is_the_weighted_mean_of_a_loop() -> None:
    state, obs = true_bundle(0), observe(true_bundle(2), 3)
    cost = mass = 0.0
    for pair, (_, _, weight) in obs.pairs.items():
        for w, (dx, dy) in zip(weight, reproject(state, obs, pair)[2], strict=True):
            r = float(np.hypot(dx, dy))
            cost, mass = cost + w * (r * r if r <= 1.5 else 3 * r - 2.25), mass + w
    assert Matches.of(obs).cost(state, 1.5) == pytest.approx(cost / mass, rel=1e-12)


def test_exact_matches_give_exact_cameras_and_focal_length() -> None:
    true = true_bundle()
    found = adjust(flat_start(observe(true), VIEWS, 1.25 * FOCAL), observe(true), AdjustOptions(1, 40, 4.0))
    turn, shift = pose_errors(found, true)
    # nothing but convergence is in the way: the last step gained less than 1e-5 of a cost that falls to zero
    assert turn < 1e-3 and shift < 1e-3 and found.cost < 1e-8
    assert found.focal_px == pytest.approx(FOCAL, rel=1e-3)
    np.testing.assert_allclose(found.inv_depth, true.inv_depth, rtol=1e-2)


def test_a_tenth_of_wrong_matches_is_outvoted() -> None:
    true = true_bundle()
    obs = observe(true, outliers=0.1)
    start = adjust(flat_start(obs, VIEWS, FOCAL), obs, AdjustOptions(1, 20, 6.0, fix_focal=True))
    turn, shift = pose_errors(adjust(start, obs, AdjustOptions(1, 30, 0.5, fix_focal=True)), true)
    # Huber's pull of a wrong match is bounded by 0.5 px, a hundredth of what it is off by; without it, it is degrees
    assert turn < 0.3 and shift < 0.05


def test_the_fixed_view_and_a_fixed_focal_length_stay() -> None:
    obs = observe(true_bundle())
    found = adjust(flat_start(obs, VIEWS, 90.0), obs, AdjustOptions(2, 5, fix_focal=True))
    assert np.array_equal(found.rotations[2], np.eye(3)) and np.array_equal(found.translations[2], np.zeros(3))
    assert found.focal_px == 90.0


def test_a_strong_prior_holds_the_focal_length() -> None:
    obs = observe(true_bundle())
    free = adjust(flat_start(obs, VIEWS, 90.0), obs, AdjustOptions(1, 25, 4.0))
    held = adjust(flat_start(obs, VIEWS, 90.0), obs, AdjustOptions(1, 25, 4.0, focal_prior=(90.0, 1e6)))
    assert abs(held.focal_px - 90.0) < 0.5 < abs(free.focal_px - 90.0)


def test_a_prior_is_reached_from_another_start() -> None:
    obs = observe(true_bundle())
    found = adjust(flat_start(obs, VIEWS, 70.0), obs, AdjustOptions(1, 25, 4.0, focal_prior=(90.0, 1e6)))
    assert found.focal_px == pytest.approx(90, abs=0.5)


@pytest.mark.parametrize("focal_px", [40.0, 400.0])
def test_a_step_that_fails_is_damped_more(focal_px: float) -> None:
    """So far from the truth the undamped step overshoots."""
    true = true_bundle()
    found = adjust(flat_start(observe(true), VIEWS, focal_px), observe(true), AdjustOptions(1, 60, 6.0))
    assert pose_errors(found, true)[0] < 0.01 and found.focal_px == pytest.approx(FOCAL, rel=1e-3)


def test_steps_stay_within_bounds() -> None:
    state = true_bundle()
    step = np.zeros(6 * VIEWS + 1)
    step[-1] = 3.0
    far, near = (_moved(state, step, np.full(len(state.inv_depth), by)) for by in (-1e6, 1e6))
    assert (far.inv_depth == 1e-3).all() and (near.inv_depth == 1e3).all()
    assert far.focal_px == pytest.approx(FOCAL * np.exp(0.2))


def test_a_step_is_never_worse_than_the_start() -> None:
    obs = observe(true_bundle(), outliers=0.5)
    start = flat_start(obs, VIEWS, FOCAL)
    assert adjust(start, obs, AdjustOptions(1, 1)).cost <= Matches.of(obs).cost(start, 1.0)


def test_adjusting_leaves_the_start_alone() -> None:
    obs = observe(true_bundle())
    start = flat_start(obs, VIEWS, FOCAL)
    adjust(start, obs, AdjustOptions(1, 3))
    assert np.array_equal(start.rotations, np.tile(np.eye(3), (VIEWS, 1, 1))) and not start.translations.any()
    assert (start.inv_depth == 1).all()


def test_normalising_changes_units_only() -> None:
    state, obs = true_bundle(), observe(true_bundle())
    other = replace(state, inv_depth=state.inv_depth * 3, translations=state.translations / 3)
    assert Matches.of(obs).cost(other, 1.0) < 1e-18
    back = normalised(other)
    assert np.median(back.inv_depth) == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(back.translations, state.translations, rtol=0, atol=1e-12)


def test_world_to_cam_is_rotation_and_translation() -> None:
    state = true_bundle()
    assert state.world_to_cam.shape == (VIEWS, 4, 4)
    assert (state.world_to_cam[:, 3] == [0, 0, 0, 1]).all()
    assert np.array_equal(state.world_to_cam[2, :3], np.c_[state.rotations[2], state.translations[2]])
