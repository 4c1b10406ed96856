"""Flow of small pictures: in their own pixels, and nearer to the truth for thin things."""

from __future__ import annotations

import numpy as np

from fourreal_core.flow.engines import DisFlow
from fourreal_core.flow.upsampled import EnlargedFlow


class Kept:
    """An engine that says everything moves by its start, or by (4, -2)."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, a: np.ndarray, b: np.ndarray, init: np.ndarray | None = None) -> np.ndarray:
        self.shapes.append(a.shape)
        return np.full((*a.shape, 2), (4, -2), np.float32) if init is None else init


def test_flow_comes_back_in_the_pixels_of_the_pictures() -> None:
    engine, gray = Kept(), np.zeros((16, 24), np.uint8)
    flow = EnlargedFlow(engine)(gray, gray)
    assert engine.shapes == [(32, 48)] and flow.shape == (16, 24, 2)
    np.testing.assert_allclose(flow, np.full_like(flow, 1) * (2, -1))
    start = np.full((16, 24, 2), (0.5, 3), np.float32)
    np.testing.assert_allclose(EnlargedFlow(engine)(gray, gray, start), start, atol=1e-5)  # float32 resampling


def _bar(x: int) -> np.ndarray:
    """A bar three pixels wide over a texture, 48 pixels a side."""
    import cv2

    rng = np.random.default_rng(0)
    ground = cv2.GaussianBlur(rng.random((48, 48)).astype(np.float32), (0, 0), 1.2)
    ground = 120 * (ground - ground.min()) / (ground.max() - ground.min())
    bar = 200 + 55 * cv2.GaussianBlur(rng.random((48, 48)).astype(np.float32), (0, 0), 1.0)
    picture = ground.copy()
    picture[8:40, x : x + 3] = bar[8:40, :3]
    return picture.round().clip(0, 255).astype(np.uint8)


def test_a_thin_bar_is_followed_better() -> None:
    a, b = _bar(20), _bar(24)
    plain, enlarged = (engine(a, b)[12:36, 20:23, 0] for engine in (DisFlow(), EnlargedFlow()))
    assert np.abs(enlarged - 4).mean() < np.abs(plain - 4).mean()
