"""Dense depth from flows and cameras that are known: walls in front of cameras that step sideways or ahead."""

from __future__ import annotations

import numpy as np
import pytest

from fourreal_core.flow.flow_field import Flow, forward_backward_error, identity_map, invert_flow, warp
from fourreal_core.geometry.bundle_adjustment import Bundle
from fourreal_core.geometry.dense_depth import PairTerms, dense_depth, measure_inverse_depth, pair_terms
from fourreal_core.geometry.rotations import rotation_from_vector
from fourreal_core.geometry.structure_from_motion import ParallaxOptions, match_views

from .worlds import FOCAL_PX, SIZE, World

F = 100.0
SHAPE = (40, 48)
BOUNDS = (0.05, 2.0)
Flows = dict[tuple[int, int], Flow]


def cameras(steps: list[tuple[float, float, float]], turns: list[tuple[float, float, float]] | None = None) -> Bundle:
    """Cameras by their translations and rotation vectors; sparse points between 1.25 and 3.3 away."""
    turned = turns or [(0.0, 0.0, 0.0)] * len(steps)
    rotations = np.stack([rotation_from_vector(np.array(turn)) for turn in turned])
    return Bundle(rotations, np.array(steps), np.linspace(0.3, 0.8, 50), F)


def sideways(count: int, step: float = 0.2) -> Bundle:
    """View 0 in the middle, the others to its left and right in turn."""
    places = [0.0, *(step * (k // 2 + 1) * (-1) ** k for k in range(count - 1))]
    return cameras([(x, 0.0, 0.0) for x in places])


def flows_of(state: Bundle, rho: np.ndarray) -> Flows:
    """Exact flows from view 0, which sees inverse depths ``(H, W)``, and flows that lead back."""
    h, w = rho.shape
    centre = np.array([(w - 1) / 2, (h - 1) / 2])
    rays = np.concatenate([(identity_map((h, w)) - centre) / F, np.ones((h, w, 1))], -1)
    points = rays / rho[..., None]
    flows = {}
    for j in range(1, len(state.rotations)):
        rot = state.rotations[j] @ state.rotations[0].T
        there = points @ rot.T + state.translations[j] - rot @ state.translations[0]
        flow = (F * there[..., :2] / there[..., 2:] + centre - identity_map((h, w))).astype(np.float32)
        flows[0, j], flows[j, 0] = flow, -flow
    return flows


def terms_of(state: Bundle, flows: Flows, valid: np.ndarray | None = None) -> PairTerms:
    valid = np.ones(next(iter(flows.values())).shape[:2], bool) if valid is None else valid
    return pair_terms(state, flows, 0, valid)


def residuals(terms: PairTerms, rho: np.ndarray) -> np.ndarray:
    """By how many pixels ``(H, W, K, 2)`` an inverse depth misses what each flow says."""
    a, b, az = terms.values[..., :2], terms.values[..., 2:4], terms.values[..., 4]
    z = np.maximum(az + rho[..., None] * terms.bz, 1e-3)
    return (a + rho[..., None, None] * b) / z[..., None]


def flat(shape: tuple[int, int] = SHAPE) -> np.ndarray:
    return np.full((*shape, 3), 0.5, np.float32)


INNER = (slice(12, -12), slice(14, -14))


def test_a_constraint_is_the_reprojection_of_a_pixel() -> None:
    state = cameras([(0.1, 0.0, 0.2), (-0.2, 0.1, -0.3)], [(0.02, -0.05, 0.1), (-0.04, 0.08, 0.03)])
    rng = np.random.default_rng(0)
    flow = rng.normal(0, 3, (6, 7, 2)).astype(np.float32)
    rho = rng.uniform(0.3, 1.0, (6, 7)).astype(np.float32)
    got = residuals(terms_of(state, {(0, 1): flow, (1, 0): -flow}), rho)[:, :, 0]
    for y in range(6):
        for x in range(7):
            u = np.array([x - 3.0, y - 2.5])
            world = state.rotations[0].T @ (np.array([*(u / F), 1.0]) / rho[y, x] - state.translations[0])
            there = state.rotations[1] @ world + state.translations[1]
            seen = F * there[:2] / there[2]
            np.testing.assert_allclose(got[y, x], seen - (u + flow[y, x]), rtol=0, atol=1e-3)  # float32 of some 30 px


def tumbling(seed: int) -> tuple[Bundle, Flows, np.ndarray]:
    """Cameras about one place, flows that hardly agree, and a caption."""
    rng = np.random.default_rng(seed)
    state = cameras(list(rng.normal(0, 0.06, (4, 3))), list(rng.normal(0, 0.01, (4, 3))))
    flows = flows_of(state, 0.5 + 0.2 * rng.random(SHAPE))
    for j in (1, 2, 3):
        flows[0, j] += rng.normal(0, 0.5, (*SHAPE, 2)).astype(np.float32)
        flows[j, 0] = invert_flow(flows[0, j])
    valid = np.ones(SHAPE, bool)
    valid[25:32, 10:30] = False
    return state, flows, valid


def test_trust_is_by_forward_backward_error_within_what_is_valid() -> None:
    state, flows, valid = tumbling(3)
    trust = pair_terms(state, flows, 0, valid).values[..., 5]
    for k, j in enumerate((1, 2, 3)):
        expected = 1 / (1 + forward_backward_error(flows[0, j], flows[j, 0]) ** 2)
        shown = warp(valid.astype(np.float32), flows[0, j])
        expected *= valid & (shown > 0.99)
        clear = (shown < 0.95) | (shown == 1)  # the other way of sampling rounds to 1/32 px
        assert clear.mean() > 0.9 and 0.2 < (expected > 0).mean() < 0.95
        np.testing.assert_allclose(trust[..., k][clear], expected[clear], rtol=0, atol=0.06)


def test_the_search_is_that_over_whole_maps() -> None:
    """The plain way, in float64: all candidates scored against all flows, the best refined by reweighting."""
    terms = pair_terms(*tumbling(4)[:2], 0, tumbling(4)[2])
    values = terms.values.astype(np.float64)
    a, b, az, trust = values[..., :2], values[..., 2:4], values[..., 4], values[..., 5]

    def robust(rho: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
        r2 = (residuals(PairTerms(values, terms.bz), rho) ** 2).sum(-1) / width**2
        return 1 / (1 + r2) ** 2, r2 / (1 + r2)

    candidates = np.clip(-(a * b).sum(-1) / np.maximum((b**2).sum(-1), 1e-9), *BOUNDS)
    costs = np.stack([(trust * robust(candidates[..., k], 2.0)[1]).sum(-1) for k in range(3)], -1)
    rho = np.take_along_axis(candidates, costs.argmin(-1)[..., None], -1)[..., 0]
    for _ in range(6):
        weight = trust * robust(rho, 1.0)[0] / np.maximum(az + rho[..., None] * terms.bz, 1e-3) ** 2
        den = 1e-6 + (weight * (b**2).sum(-1)).sum(-1)
        rho = np.clip(-(weight * (a * b).sum(-1)).sum(-1) / den, *BOUNDS)
    agree = (trust * robust(rho, 1.0)[0]).sum(-1) / np.maximum(trust.sum(-1), 1e-3)

    got = measure_inverse_depth(terms, BOUNDS)
    first, second = np.sort(costs, -1)[..., :2].transpose(2, 0, 1)
    clear = (second - first > 1e-4) & (trust.sum(-1) > 0.1)
    assert clear.mean() > 0.5
    for value, expected in zip(got, (rho, 1 / np.sqrt(den), agree, trust.sum(-1)), strict=True):
        np.testing.assert_allclose(value[clear], expected[clear], rtol=2e-3, atol=2e-4)


def test_wrong_flows_are_outvoted() -> None:
    state = sideways(7)
    flows = flows_of(state, np.full(SHAPE, 0.5))
    for j, off in ((1, 4.0), (2, -5.0)):  # they return, and would be believed
        flows[0, j] = flows[0, j] + np.float32(off)
        flows[j, 0] = -flows[0, j]
    rho, _, agree, _ = measure_inverse_depth(terms_of(state, flows), BOUNDS)
    np.testing.assert_allclose(rho[INNER], 0.5, rtol=0.02)
    assert agree[INNER].max() < 0.75  # four of six


def test_flows_that_do_not_return_count_less() -> None:
    """Three of four say 0.3, but miss their start by ten pixels; the one that returns says 0.5."""
    state = sideways(5)
    flows, wrong = flows_of(state, np.full(SHAPE, 0.5)), flows_of(state, np.full(SHAPE, 0.3))
    for j in (1, 2, 3):
        flows[0, j], flows[j, 0] = wrong[0, j], -wrong[0, j] + np.float32([0, 10])
    rho = measure_inverse_depth(terms_of(state, flows), BOUNDS).rho
    np.testing.assert_allclose(rho[:, 20:-20], 0.5, rtol=0.02)


def test_noise_is_averaged_over_the_flows() -> None:
    state, rng = sideways(9, 0.1), np.random.default_rng(1)
    flows = flows_of(state, np.full(SHAPE, 0.5))
    noisy = {pair: flow + rng.normal(0, 0.3, flow.shape).astype(np.float32) for pair, flow in flows.items()}
    rho = measure_inverse_depth(terms_of(state, noisy), BOUNDS).rho
    # 0.3 px over the root of the sum of squared baselines, 100 px times 0.1 to 0.4, both ways: 77 px in all
    assert rho[INNER].std() == pytest.approx(0.3 / 77, rel=0.35)


@pytest.mark.parametrize("others", [1, 2, 4])
def test_confidence_of_exact_flows_by_hand(others: int) -> None:
    """Baselines of 0.1 and 0.2 are 10 and 20 px per unit of inverse depth; one flow is half of the support, two all."""
    state = sideways(others + 1, 0.1)
    _, confidence = dense_depth(state, flows_of(state, np.full(SHAPE, 0.5)), 0, flat(), np.ones(SHAPE, bool))
    squares = sum((F * x) ** 2 for x in state.translations[1:, 0])
    relative = 1 / np.sqrt(squares) / 0.5
    expected = min(others / 2, 1) / (1 + (relative / 0.03) ** 2)
    np.testing.assert_allclose(confidence[INNER], expected, rtol=2e-3)


def test_confidence_falls_with_the_square_of_agreement() -> None:
    state = cameras([(0.0, 0.0, 0.0), *[(0.2, 0.0, 0.0), (-0.2, 0.0, 0.0)] * 2])
    flows = flows_of(state, np.full(SHAPE, 0.5))
    for j in (3, 4):
        flows[0, j] = flows[0, j] + np.float32([0, 30])
        flows[j, 0] = -flows[0, j]
    tall = {pair: np.tile(flow[:1], (160, 1, 1)) for pair, flow in flows.items()}  # so that they stay on the picture
    _, confidence = dense_depth(state, tall, 0, flat((160, 48)), np.ones((160, 48), bool))
    relative = 1 / np.sqrt(2 * 20.0**2) / 0.5
    expected = 0.5**2 / (1 + (relative / 0.03) ** 2)
    np.testing.assert_allclose(confidence[60:100, 14:-14], expected, rtol=0.02)


def test_the_standard_error_is_one_pixel_over_the_slope() -> None:
    """A camera that steps ahead: its pixels move less when they are near the middle, and depth there is less sure."""
    state = cameras([(0.0, 0.0, 0.0), (0.05, 0.0, -0.6)])
    flows = flows_of(state, np.full(SHAPE, 0.5))
    flows[1, 0] = invert_flow(flows[0, 1], 20)
    terms = terms_of(state, flows)
    rho, sigma, _, trust = measure_inverse_depth(terms, BOUNDS)
    step = np.float32(1e-2)
    slope = np.linalg.norm(residuals(terms, rho + step) - residuals(terms, rho - step), axis=-1)[..., 0] / (2 * step)
    trusted, stays = np.sqrt(trust), trust > 0.9
    assert stays.sum() > 200
    np.testing.assert_allclose((sigma * slope * trusted)[stays], 1, rtol=0.03)


def test_noise_of_confident_pixels_is_smoothed_and_their_relief_kept() -> None:
    state, rng, shape = sideways(9, 0.1), np.random.default_rng(2), (40, 120)
    wave = np.tile(np.sin(2 * np.pi * np.arange(shape[1]) / 16), (shape[0], 1))
    truth = 0.5 + 0.03 * wave
    noisy = {
        pair: flow + rng.normal(0, 0.3, flow.shape).astype(np.float32) for pair, flow in flows_of(state, truth).items()
    }
    inner = (slice(8, -8), slice(28, -28))
    measured = measure_inverse_depth(terms_of(state, noisy), BOUNDS).rho
    smoothed, _ = dense_depth(state, noisy, 0, flat(shape), np.ones(shape, bool))
    noise, left = (measured - truth)[inner], (smoothed - smoothed[8:-8].mean(0))[inner]
    assert left.std() < 0.6 * noise.std()
    kept = (smoothed * wave)[inner].sum() / (0.03 * wave**2)[inner].sum()
    assert kept > 0.55  # a reach of two pixels leaves 1 / (1 + 4 (2 pi / 16)^2) of it, 0.62


def two_walls(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A far wall on the left and a near one on the right, of two colours."""
    right = np.arange(shape[1])[None] >= shape[1] // 2
    right = np.repeat(right, shape[0], 0)
    return np.where(right, 0.7, 0.4), np.where(right[..., None], 0.8, 0.2).astype(np.float32).repeat(3, -1)


def test_smoothing_stops_at_edges_of_the_picture() -> None:
    state = sideways(9, 0.1)
    rho, picture = two_walls(SHAPE)
    depth, _ = dense_depth(state, flows_of(state, rho), 0, picture, np.ones(SHAPE, bool))
    plain, _ = dense_depth(state, flows_of(state, rho), 0, flat(), np.ones(SHAPE, bool))
    assert np.abs(depth - rho)[INNER].max() < 0.02 < np.abs(plain - rho)[INNER].max()


def test_a_hole_takes_the_depth_of_its_region() -> None:
    """Seventy pixels across, more than its surroundings measure; the median of all would be another depth."""
    shape = (40, 200)
    state = sideways(5)
    rho, picture = two_walls(shape)
    flows = flows_of(state, rho)
    valid = np.ones(shape, bool)
    valid[:, 115:185] = False
    depth, confidence = dense_depth(state, flows, 0, picture, valid)
    assert not confidence[:, 115:185].any()
    np.testing.assert_allclose(depth[:, 120:180], 0.7, rtol=0.03)


def test_a_region_that_nothing_reaches_takes_the_median() -> None:
    """Black beside white couples by exp(-3 / 0.08): too little to count."""
    state, shape = sideways(5, 0.1), (40, 120)
    valid = np.ones(shape, bool)
    valid[:, 90:] = False
    picture = np.zeros((*shape, 3), np.float32)
    picture[:, 90:] = 1.0
    depth, _ = dense_depth(state, flows_of(state, np.full(shape, 0.7)), 0, picture, valid)
    np.testing.assert_allclose(depth[:, 100:], 0.7, rtol=0.02)


def test_flow_into_what_is_hidden_is_not_believed() -> None:
    """A caption in the other views, ten pixels to the side, where every flow ends."""
    state = cameras([(0.0, 0.0, 0.0), (0.2, 0.0, 0.0), (0.2, 0.0, 0.0)])
    flows = flows_of(state, np.full(SHAPE, 0.5))
    valid = np.ones(SHAPE, bool)
    valid[:, 30:] = False
    _, confidence = dense_depth(state, flows, 0, flat(), valid)
    assert not confidence[:, 20:].any() and confidence[:, 5:18].min() > 0.1


def test_depth_stays_within_the_sparse_points_reach() -> None:
    state = sideways(5, 0.05)
    near, _ = dense_depth(state, flows_of(state, np.full(SHAPE, 1.9)), 0, flat(), np.ones(SHAPE, bool))
    far, _ = dense_depth(state, flows_of(state, np.full(SHAPE, 0.01)), 0, flat(), np.ones(SHAPE, bool))
    assert near.max() <= 2 * 0.8 + 1e-6 and far.min() >= 0.3 / 4 - 1e-6  # twice as near, a quarter as far


def test_where_flows_disagree_confidence_is_low() -> None:
    """Exact flows of a wall at distance 2, but for one corner in which one of the two flows is wrong."""
    w2c = [np.array([x, 0.0, 0.0]) for x in (0.0, -0.2, 0.2)]
    state = Bundle(np.tile(np.eye(3), (3, 1, 1)), np.stack(w2c), np.linspace(0.3, 0.8, 50), 100.0)
    shape, flows = (40, 48), {}
    for i in range(3):
        for j in range(3):
            if i != j:
                flows[i, j] = np.tile(np.float32([(w2c[j][0] - w2c[i][0]) * 100.0 / 2, 0]), (*shape, 1))
    flows[0, 1][:12, 12:24] += 4
    flows[1, 0][:12, :24] -= 4
    flat = np.full((*shape, 3), 0.5, np.float32)
    inverse, confidence = dense_depth(state, flows, 0, flat, np.ones(shape, bool))
    np.testing.assert_allclose(inverse[20:, 12:36], 0.5, rtol=1e-3)  # float32, and smoothing of what is flat
    # two flows of 10 px, weights 1 and 1: error of 0.5 / 14 of the inverse depth, 7 %; 1 / (1 + (7 / 3)^2) = 0.15
    assert confidence[20:, 12:36].min() > 0.1
    assert confidence[2:10, 14:22].max() < 0.5 * confidence[20:, 12:36].min()


def test_depth_with_known_cameras(walk: World) -> None:
    flows = walk.clip.pairs(4)
    obs = match_views(flows, np.ones(SIZE, bool), 5, ParallaxOptions())
    at = np.round(obs.pixels + [(SIZE[1] - 1) / 2, (SIZE[0] - 1) / 2]).astype(int)
    w2c = walk.cameras.world_to_cam.double().numpy()
    rho = 1 / walk.depth.double().numpy()[obs.anchor, at[:, 1], at[:, 0]]
    state = Bundle(w2c[:, :3, :3], w2c[:, :3, 3], rho, FOCAL_PX)
    frame = walk.frames[2].numpy()
    inverse, confidence = dense_depth(state, flows, 2, frame, np.ones(SIZE, bool))
    error = np.abs(1 / inverse / walk.depth[2].numpy() - 1)
    # scale included: 0.1 px of the 6 px and more that the wall moves by over two views
    assert np.median(error) < 0.03
    assert inverse.dtype == np.float32 and confidence.shape == SIZE
