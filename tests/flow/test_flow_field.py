"""The algebra on flow fields, against loops in float64 and motions known beforehand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fourreal_core.flow.flow_field import chain, forward_backward_error, identity_map, invert_flow, to_gray, warp

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


def test_an_inverted_flow_leads_back() -> None:
    """Waves of 1.5 pixels that steepen by at most 0.35 a pixel: a step leaves so much of the error."""
    at = identity_map((30, 40))
    flow = 1.5 * np.stack([np.sin(at[..., 0] * 0.23), np.cos(at[..., 1] * 0.23)], -1).astype(np.float32)
    back = invert_flow(flow)
    error = forward_backward_error(back, flow)[4:-4, 4:-4]
    assert error.max() < 1.5 * 0.35**7 + 1.5 * 0.35 * 2 * REMAP_PX
    assert forward_backward_error(invert_flow(flow, 1), flow)[4:-4, 4:-4].max() > 0.05


def test_grey_is_the_luma_of_television() -> None:
    frames = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1], [2, 2, 2]]).reshape(1, 1, 5, 3)
    (gray,) = to_gray(frames)
    assert gray.dtype == np.uint8 and gray.tolist() == [[76, 150, 29, 255, 255]]
