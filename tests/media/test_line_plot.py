"""Line plots: curves stand where their values are, and nonsense is refused."""

from __future__ import annotations

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.media.line_plot import COLORS, line_plot


def rows_of(picture: torch.Tensor, color: tuple[int, int, int], left: int, right: int) -> list[int]:
    inked = ((picture * 255).round() == torch.tensor(color)).all(-1)[40:-50, left:right]  # inside of the axes
    return [40 + int(row) for row in inked.any(1).nonzero().flatten()]


def test_a_rising_curve_rises_and_each_curve_has_its_colour():
    picture = line_plot({"up": ([0, 1, 2], [1.0, 2.0, 3.0]), "low": ([0, 1, 2], [1.0, 1.0, 1.0])}, "x", "y", (320, 560))
    assert picture.shape == (320, 560, 3) and float(picture.min()) >= 0 and float(picture.max()) <= 1
    at_left, at_right = rows_of(picture, COLORS[0], 180, 200), rows_of(picture, COLORS[0], 380, 400)
    assert max(at_right) < min(at_left)  # pixel rows count downward
    low = rows_of(picture, COLORS[1], 180, 400)
    assert min(low) > max(at_left) and max(low) - min(low) <= 6  # a level line, two pixels thick with its edges


@pytest.mark.parametrize(
    "curves", [{}, {"a": ([1, 2], [1.0])}, {"a": ([1], [float("nan")])}, {str(k): ([1], [1.0]) for k in range(6)}]
)
def test_plots_of_nothing_are_refused(curves):
    with pytest.raises(InputError):
        line_plot(curves, "x", "y")


def test_a_single_value_has_a_range():
    assert line_plot({"one": ([3], [2.5])}, "x", "y").shape == (320, 560, 3)
