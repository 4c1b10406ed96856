"""The camera's motion between two frames, from points of which many move by themselves."""

from __future__ import annotations

import numpy as np
import pytest

from fourreal_core.geometry.camera_fit import FrameMotion, PointMatches, errors_px, fit_motion, support
from fourreal_core.geometry.rotations import rotation_from_vector

WIDTH, FOCAL = 200, 160.0
Array = np.ndarray


def points(seed: int = 0, count: int = 400) -> tuple[Array, Array, np.random.Generator]:
    """Pixels all over a picture of 200 x 120, and inverse depths about 1."""
    rng = np.random.default_rng(seed)
    return rng.uniform([-100, -60], [100, 60], (count, 2)), rng.uniform(0.4, 1.6, count), rng


def matches(pixels: Array, seen: Array, inv_depth: Array | None = None, weight: Array | None = None) -> PointMatches:
    weight = np.ones(len(pixels)) if weight is None else weight
    return PointMatches(pixels, seen, weight, inv_depth, WIDTH, None if inv_depth is None else FOCAL)


def pose(rotation: Array, walk: Array | None = None, zoom: float = 1.0) -> FrameMotion:
    """A camera that turns, walks and zooms, written out."""
    before, after = np.diag([FOCAL, FOCAL, 1.0]), np.diag([zoom * FOCAL, zoom * FOCAL, 1.0])
    return FrameMotion(after @ rotation @ np.linalg.inv(before), np.zeros(3) if walk is None else after @ walk)


def test_motions_by_hand() -> None:
    shift = FrameMotion(np.array([[1, 0, 3.0], [0, 1, -2.0], [0, 0, 1]]), np.zeros(3))
    np.testing.assert_allclose(shift.apply(np.array([[10.0, 5.0]])), [[13.0, 3.0]])
    walk = FrameMotion(np.eye(3), np.array([4.0, 0, 0]))  # to the left by 4 px of what is at distance 1
    np.testing.assert_allclose(walk.apply(np.array([[10.0, 5.0]] * 2), np.array([1.0, 0.5])), [[14, 5], [12, 5]])
    ahead = FrameMotion(np.eye(3), np.array([0, 0, -0.5]))  # half way to what is at distance 1: twice as large
    np.testing.assert_allclose(ahead.apply(np.array([[10.0, 5.0]]), np.array([1.0])), [[20.0, 10.0]])
    assert walk.walks and not shift.walks
    quarter = FrameMotion(np.array([[0, -2.0, 0], [2.0, 0, 0], [0, 0, 1]]), np.zeros(3))
    assert quarter.roll_degrees == pytest.approx(90) and quarter.scale == pytest.approx(2)


def test_one_motion_after_another() -> None:
    first = FrameMotion(np.array([[1, 0, 3.0], [0, 1, 0], [0, 0, 1]]), np.array([2.0, 0, 0]))
    then = FrameMotion(np.diag([2.0, 2.0, 1.0]), np.zeros(3))
    pixels, depth, _ = points(count=20)
    np.testing.assert_allclose(then.after(first).apply(pixels, depth), then.apply(first.apply(pixels, depth)))


@pytest.mark.parametrize(
    ("motion", "model"),
    [
        (FrameMotion(np.array([[0.99, -0.02, 5.0], [0.02, 0.99, -3.0], [0, 0, 1]]), np.zeros(3)), "shift"),
        (pose(rotation_from_vector(np.array([0.02, 0.12, 0.01]))), "turn"),
        (pose(rotation_from_vector(np.array([0.02, 0.1, 0.01])), zoom=1.08), "turn"),
        (FrameMotion(np.array([[1.1, 0, 0], [0, 0.9, 0], [0.0006, 0, 1]]), np.zeros(3)), "homography"),
        (pose(rotation_from_vector(np.array([0.0, 0.01, 0.0])), np.array([0.06, 0.01, 0.05])), "walk"),
    ],
)
def test_the_simplest_motion_that_explains_is_found_among_much_that_moves(motion: FrameMotion, model: str) -> None:
    pixels, depth, rng = points()
    seen = motion.apply(pixels, depth) + rng.normal(0, 0.05, pixels.shape)
    seen[:150] += rng.uniform(-12, 12, (150, 2))  # three in eight move anyhow
    found = fit_motion(matches(pixels, seen, depth), [])
    assert found.model == model
    error = np.linalg.norm(found.apply(pixels, depth) - motion.apply(pixels, depth), axis=-1)
    assert error.max() < 0.15  # of motions of 5 to 20 px; noise of 0.05 px in 250 points


def test_what_moves_together_is_no_camera_where_it_has_less_of_the_picture() -> None:
    """A body with more than half of the points moves as one; its weight is a third, since it fills a third."""
    pixels, _, rng = points()
    seen = pixels + rng.normal(0, 0.05, pixels.shape)
    seen[:240] += [6.0, 1.0]
    weight = np.where(np.arange(400) < 240, 1 / 240, 2 / 160)
    still = fit_motion(matches(pixels, seen, weight=weight), [])
    assert np.linalg.norm(still.apply(pixels) - pixels, axis=-1).max() < 0.1
    # points that count alike would say the opposite
    alike = fit_motion(matches(pixels, seen), [])
    np.testing.assert_allclose(alike.apply(pixels) - pixels, np.broadcast_to([6.0, 1.0], pixels.shape), atol=0.2)


def test_support_by_hand() -> None:
    pixels, seen = np.zeros((2, 2)), np.array([[0.0, 0.0], [3.0, 4.0]])
    both = matches(pixels, seen, weight=np.array([1.0, 3.0]))
    np.testing.assert_allclose(errors_px(FrameMotion.still(), both), [0, 5])
    assert support(FrameMotion.still(), both, 5.0) == pytest.approx((1 + 3 / 2) / 4)


def test_the_same_matches_give_the_same_motion() -> None:
    pixels, _, rng = points()
    seen = pixels + [3.0, 1.0] + rng.normal(0, 0.3, pixels.shape)
    first, again = (fit_motion(matches(pixels, seen), []) for _ in range(2))
    np.testing.assert_array_equal(first.homography, again.homography)


def test_a_start_is_believed_only_where_it_explains_more() -> None:
    pixels, _, _ = points()
    wrong = FrameMotion(np.array([[1, 0, 30.0], [0, 1, 0], [0, 0, 1]]), np.zeros(3))
    found = fit_motion(matches(pixels, pixels + [2.0, 0.0]), [wrong])
    np.testing.assert_allclose(found.apply(pixels), pixels + [2.0, 0.0], atol=1e-3)
