"""Optical flow and its algebra, against loops in float64 and motions known beforehand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.flow.flow_field import (
    DisFlow,
    chain,
    forward_backward_error,
    identity_map,
    pair_flows,
    to_gray,
    warp,
)

from ..cancelling import Cancelled
from ..geometry.worlds import World

SHAPE = (11, 14)
REMAP_PX = 1 / 64
"""OpenCV's bilinear remap places samples on a grid of 1/32 px: half a step off per axis at most."""


def random_flow(seed: int, scale: float = 2.0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(*SHAPE, 2)) * scale).astype(np.float32)


def slow_warp(image: np.ndarray, flow: np.ndarray) -> np.ndarray:
    h, w = flow.shape[:2]
    image = image.astype(np.float64)
    out = np.zeros((h, w, *image.shape[2:]))
    for y in range(h):
        for x in range(w):
            sx, sy = x + float(flow[y, x, 0]), y + float(flow[y, x, 1])
            x0, y0 = int(np.floor(sx)), int(np.floor(sy))
            for dy in (0, 1):
                for dx in (0, 1):
                    weight = abs(1 - dx - (sx - x0)) * abs(1 - dy - (sy - y0))
                    out[y, x] += weight * image[min(max(y0 + dy, 0), h - 1), min(max(x0 + dx, 0), w - 1)]
    return out


@pytest.mark.parametrize("channels", [(), (2,), (3,)])
def test_warp_is_the_slow_loop(channels: tuple[int, ...]) -> None:
    image = np.random.default_rng(1).random((*SHAPE, *channels)).astype(np.float32)
    flow = random_flow(2)
    # neighbours differ by less than 1, and the samples are off by REMAP_PX along x and along y
    np.testing.assert_allclose(warp(image, flow), slow_warp(image, flow), rtol=0, atol=2 * REMAP_PX)


def test_warp_reads_where_the_flow_points() -> None:
    image = np.arange(12, dtype=np.float32).reshape(3, 4)
    moved = warp(image, np.tile(np.float32([1, 0]), (3, 4, 1)))
    assert moved.tolist() == [[1, 2, 3, 3], [5, 6, 7, 7], [9, 10, 11, 11]]  # the border repeats
    half = warp(image, np.tile(np.float32([0.5, 0.5]), (3, 4, 1)))
    assert half[0, 0] == 2.5  # the mean of 0, 1, 4 and 5


def test_identity_map_counts_pixels_x_first() -> None:
    grid = identity_map((2, 3))
    assert grid.shape == (2, 3, 2) and grid[1, 2].tolist() == [2.0, 1.0] and grid.dtype == np.float32


def test_chain_is_the_slow_loop() -> None:
    ab, bc = random_flow(3), random_flow(4)
    # flows of a standard deviation of 2 differ by less than 16 between neighbours
    np.testing.assert_allclose(chain(ab, bc), ab + slow_warp(bc, ab), rtol=0, atol=2 * 16 * REMAP_PX)


def test_chained_translations_add_up() -> None:
    ab, bc = (np.tile(np.float32(d), (*SHAPE, 1)) for d in ([1.25, -2], [3, 0.5]))
    np.testing.assert_allclose(chain(ab, bc), np.tile([4.25, -1.5], (*SHAPE, 1)), rtol=0, atol=1e-5)


def test_forward_backward_error_is_the_slow_loop() -> None:
    ab, ba = random_flow(5), random_flow(6)
    got = forward_backward_error(ab, ba)
    at = identity_map(SHAPE) + ab
    expected = np.linalg.norm(ab + slow_warp(ba, ab), axis=-1)
    outside = (at < 0).any(-1) | (at[..., 0] > SHAPE[1] - 1) | (at[..., 1] > SHAPE[0] - 1)
    assert 0.1 < outside.mean() < 0.9  # both kinds are there
    assert np.array_equal(np.isinf(got), outside)
    np.testing.assert_allclose(got[~outside], expected[~outside], rtol=0, atol=2 * 16 * REMAP_PX)


def test_a_translation_and_its_inverse_return() -> None:
    forth = np.tile(np.float32([2, 1]), (*SHAPE, 1))
    error = forward_backward_error(forth, -forth)
    assert (error[:-1, :-2] == 0).all()
    assert np.isinf(error[-1]).all() and np.isinf(error[:, -2:]).all()  # these leave the picture


def test_grey_is_the_luma_of_television() -> None:
    frames = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1], [2, 2, 2]]).reshape(1, 1, 5, 3)
    (gray,) = to_gray(frames)
    assert gray.dtype == np.uint8 and gray.tolist() == [[76, 150, 29, 255, 255]]


@pytest.mark.parametrize("step", [(3, 0), (-2, 4), (0, 0)])
def test_dis_finds_a_translation(walk: World, step: tuple[int, int]) -> None:
    (gray,) = to_gray(walk.frames[:1])
    shifted = warp(gray, np.tile(np.float32([-step[0], -step[1]]), (*gray.shape, 1)))
    flow = DisFlow()(gray, shifted)
    inner = flow[12:-12, 12:-12].reshape(-1, 2)
    # the same picture moved by whole pixels; dense inverse search is good to a tenth of a pixel on such texture
    assert np.abs(np.median(inner, 0) - step).max() < 0.1


def test_the_start_is_not_written_to(walk: World) -> None:
    a, b = to_gray(walk.frames[:2])
    start = np.full((*a.shape, 2), 1.5, np.float32)
    flow = DisFlow()(a, b, start)
    assert (start == 1.5).all() and not np.array_equal(flow, start)


def test_frames_too_small_for_the_search_are_refused() -> None:
    tiny = np.zeros((8, 40), np.uint8)
    with pytest.raises(InputError, match="frames of 40 x 8 pixels; expected at least 16 x 16"):
        DisFlow()(tiny, tiny)


class Counting:
    """An engine that knows the truth: frame k is ``k`` pixels to the right."""

    def __init__(self) -> None:
        self.starts: list[tuple[int, int, float | None]] = []

    def __call__(self, a: np.ndarray, b: np.ndarray, init: np.ndarray | None = None) -> np.ndarray:
        i, j = int(a[0, 0]), int(b[0, 0])
        self.starts.append((i, j, None if init is None else float(init[0, 0, 0])))
        return np.tile(np.float32([j - i, 0]), (*a.shape, 1))


def test_far_pairs_start_from_the_chain_of_near_ones() -> None:
    engine, grays = Counting(), [np.full((4, 30), k, np.uint8) for k in range(5)]
    flows = pair_flows(grays, 3, engine)
    assert set(flows) == {(i, j) for i in range(5) for j in range(5) if 1 <= abs(i - j) <= 3}
    for i, j, start in engine.starts:
        assert start == (None if abs(i - j) == 1 else j - i)  # the chain of two exact flows is exact


def test_pairs_report_every_step_and_can_be_stopped() -> None:
    grays, seen = [np.full((4, 9), k, np.uint8) for k in range(3)], []

    def stop(done: int, total: int, preview: object = None) -> None:
        seen.append((done, total))
        if done == 4:
            raise Cancelled

    with pytest.raises(Cancelled):
        pair_flows(grays, 2, Counting(), stop)
    assert seen == [(k, 6) for k in (1, 2, 3, 4)]


def test_a_flow_does_not_depend_on_the_pairs_before() -> None:
    rng = np.random.default_rng(0)
    a, b, c = (rng.integers(0, 255, (24, 32), dtype=np.uint8) for _ in range(3))
    engine = DisFlow()
    first = engine(a, b)
    engine(b, c, first)  # OpenCV would take this start for the next pair too
    assert np.array_equal(engine(a, b), first)
