"""What moved frames don't show: limbs at the rim go on, what stands stays, nothing out of date is taken for now."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fourreal_core.flow.clip_flows import ClipFlows
from fourreal_core.geometry import steady_rims as module
from fourreal_core.geometry.camera_fit import FrameMotion
from fourreal_core.geometry.camera_motion import CameraMotion
from fourreal_core.geometry.steady_grid import steadied_row

H, W = 72, 120
MARGIN = 40
EVERYWHERE = torch.ones(H, W, dtype=torch.bool)
Picture = NDArray[np.float32]


def texture(seed: int, height: int, width: int) -> Picture:
    """Smooth noise ``(height, width, 3)`` of wavelengths that flow can follow."""
    from fourreal_core.needed.opencv import cv2

    noise = np.random.default_rng(seed).uniform(0, 1, (height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 1.5)
    picture: Picture = np.clip(0.5 + 1.6 * (smooth - smooth.mean()), 0, 1).astype(np.float32)
    return picture


def scene(bar_at: int | None) -> Picture:
    """A wide picture of a wall, and before it a bar from top to middle whose left edge is at a column of the view."""
    wide = texture(0, H + 2 * MARGIN, W + 2 * MARGIN) * 0.5
    if bar_at is not None:
        wide[: MARGIN + 40, MARGIN + bar_at : MARGIN + bar_at + 14] = 0.4 + 0.6 * texture(1, MARGIN + 40, 14)
    return wide


def view(wide: Picture, x: int = 0, y: int = 0) -> Picture:
    """What a camera that is off by so many pixels sees of it."""
    return wide[MARGIN + y : MARGIN + y + H, MARGIN + x : MARGIN + x + W]


def moved(offsets: list[tuple[int, int]]) -> CameraMotion:
    """The motion of a camera that is off by so many pixels at every time."""
    motions = [FrameMotion(np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1.0]]), np.zeros(3)) for x, y in offsets]
    shifts = tuple(float(np.hypot(x, y)) for x, y in offsets)
    return CameraMotion(tuple(motions), shifts, tuple(range(1, len(offsets))), (H, W))


def steadied(
    scenes: list[Picture], offsets: list[tuple[int, int]], valid: torch.Tensor = EVERYWHERE
) -> tuple[Picture, Picture]:
    """The steadied row and what a camera that stands sees, ``(T, H, W, 3)`` each."""
    clip = ClipFlows(torch.from_numpy(np.stack([view(s, *at) for s, at in zip(scenes, offsets, strict=True)])))
    return steadied_row(clip, moved(offsets), valid).numpy(), np.stack([view(s) for s in scenes])


def psnr(a: Picture, b: Picture) -> float:
    return float(-10 * np.log10(((a - b) ** 2).mean() + 1e-12))


LIMB = [scene(40 + 4 * t) for t in range(5)]
SHAKE = [(0, 0), (0, 5), (1, -1), (-1, 5), (0, 0)]
"""Times 1 and 3 miss the upper 5 rows; the bar goes 4 pixels a time."""


def test_a_limb_at_the_rim_goes_on() -> None:
    row, truth = steadied(LIMB, SHAKE)
    for t in (1, 3):
        limb = (slice(0, 5), slice(34 + 4 * t, 60 + 4 * t))
        assert psnr(row[t][limb], truth[t][limb]) > 24  # where it was at the nearest time: 13


def test_a_limb_at_the_rim_is_lost_without_the_motion(monkeypatch: pytest.MonkeyPatch) -> None:
    """That the test above is not easy."""
    monkeypatch.setattr(module._Ways, "step", lambda self, i, j: np.zeros((H, W, 2), np.float32))
    row, truth = steadied(LIMB, SHAKE)
    limb = (slice(0, 5), slice(38, 64))
    assert psnr(row[1][limb], truth[1][limb]) < 18


def test_a_wide_rim_that_stands_stays_as_it_is() -> None:
    """A pan that uncovers a quarter of the picture; flow at the edge of what leaves is not extended over it."""
    row, truth = steadied([scene(None)] * 6, [(6 * t, 0) for t in range(6)])
    for t in range(1, 6):
        assert psnr(row[t][:, : 6 * t], truth[t][:, : 6 * t]) > 35


def test_the_first_frame_and_what_is_hidden_everywhere_stay_as_given() -> None:
    """A caption is not filled: next to it flow does better with what it hides than with other times."""
    valid = EVERYWHERE.clone()
    valid[:12, 30:70] = False
    row, truth = steadied(LIMB, SHAKE, valid)
    np.testing.assert_array_equal(row[0], truth[0])
    np.testing.assert_array_equal(row[4], truth[4])
    inside = (slice(6, 12), slice(36, 64))  # on the frame at every time, and hidden at every time
    assert psnr(row[1][inside], truth[1][inside]) > 60


def test_a_place_that_no_other_time_is_sure_of_repeats_what_is_beside_it() -> None:
    """The bar stands before the place at time 0 and has gone at time 1, which doesn't show the upper rows."""
    scenes = [scene(40), scene(50)]
    row, _ = steadied(scenes, [(0, 0), (0, 2)])
    gone = (slice(0, 2), slice(41, 48))
    bar, wall = view(scenes[0])[gone].mean(), view(scenes[1])[gone].mean()
    assert abs(row[1][gone].mean() - wall) < 0.3 * abs(bar - wall)


def test_one_time_that_two_others_contradict_is_not_taken() -> None:
    values = np.array([[0.9, 0.9, 0.9], [0.2, 0.2, 0.2], [0.2, 0.2, 0.15]], np.float32)[:, None]
    for weights, agreed in (([1, 1, 1], 1), ([1, 1, 0.5], 1), ([1, 0.5, 0.25], 0)):
        weight = np.array(weights, np.float32)[:, None]
        np.testing.assert_array_equal(module._agreed(values, weight), values[agreed])


def test_maps_are_extended_from_the_nearest_known_pixel() -> None:
    values, known = np.zeros((3, 5, 1), np.float32), np.zeros((3, 5), bool)
    known[1, 0] = known[0, 4] = True
    values[1, 0], values[0, 4] = 1, 2
    np.testing.assert_array_equal(module._extended(values, known)[1, :, 0], [1, 1, 1, 2, 2])
    assert not module._extended(values, np.zeros_like(known)).any()
    assert module._within(known, 1.5).sum() == 10 and not module._within(np.zeros_like(known), 9).any()


def test_what_one_time_shows_for_a_moment_is_not_taken() -> None:
    """A patch of the wall is lit at time 1 only; time 2 doesn't show it, and the others agree that it's dark."""
    dark = scene(None)
    lit = dark.copy()
    lit[MARGIN + 20 : MARGIN + 50, MARGIN + 1 : MARGIN + 6] += 0.15
    row, truth = steadied([dark, lit, dark, dark, dark], [(0, 0), (0, 0), (8, 0), (0, 0), (0, 0)])
    assert np.abs(row[2] - truth[2])[22:48, :6].mean() < 0.01  # with the patch it is 0.1
