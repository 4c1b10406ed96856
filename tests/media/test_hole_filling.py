"""Holes filled from all around: never beyond what is known, never from nothing."""

from __future__ import annotations

import pytest
import torch

from fourreal_core.media.hole_filling import fill_holes


@pytest.mark.parametrize("size", [(24, 32), (17, 5), (2, 2), (1, 7), (130, 9)])
def test_holes_are_filled_within_what_is_known(generator: torch.Generator, size: tuple[int, int]) -> None:
    values = torch.rand(*size, 3, generator=generator)
    known = torch.rand(size, generator=generator) > 0.8
    known[0, 0] = True
    values[~known] = 99.0  # never to be seen
    got = fill_holes(values, known)
    torch.testing.assert_close(got[known], values[known], rtol=1e-6, atol=0)
    low, high = values[known].amin(0), values[known].amax(0)
    assert bool((got >= low - 1e-5).all()) and bool((got <= high + 1e-5).all())  # means, in float32


def test_one_known_pixel_fills_everything() -> None:
    values, known = torch.zeros(40, 60, 1), torch.zeros(40, 60, dtype=torch.bool)
    values[31, 7], known[31, 7] = 3.0, True
    got = fill_holes(values, known)
    torch.testing.assert_close(got, torch.full_like(got, 3.0), rtol=1e-6, atol=0)  # float32
