"""Line plots: curves stand where their values are, nonsense is refused, and nothing global is left behind."""

from __future__ import annotations

import sys

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.media.line_plot import line_plot

FIRST, SECOND = (0x1F, 0x77, 0xB4), (0xFF, 0x7F, 0x0E)
"""matplotlib's first two colours."""


def rows_of(picture: torch.Tensor, color: tuple[int, int, int], left: int, right: int) -> list[int]:
    inked = ((picture * 255).round() == torch.tensor(color)).all(-1)[:, left:right]
    return [int(row) for row in inked.any(1).nonzero().flatten()]


def test_a_rising_curve_rises_and_each_curve_has_its_colour():
    curves = {"up": ([0, 1, 2], [1.0, 2.0, 3.0]), "low": ([0, 1, 2], [1.0, 1.0, 1.0])}
    picture = line_plot(curves, "x", "y", "title", (320, 560))
    assert picture.shape == (320, 560, 3) and float(picture.min()) >= 0 and float(picture.max()) <= 1
    at_left, at_right = rows_of(picture, FIRST, 180, 220), rows_of(picture, FIRST, 420, 460)
    assert max(at_right) < min(at_left)  # pixel rows count downward
    low = rows_of(picture, SECOND, 180, 460)
    assert min(low) > max(at_left) and max(low) - min(low) <= 10  # a level line with a round point on it


def test_of_two_equal_curves_both_are_seen():
    picture = line_plot({"a": (range(60), [1.0] * 60), "b": (range(60), [1.0] * 60)}, "x", "y", size=(320, 560))
    assert len(rows_of(picture, FIRST, 100, 400)) and len(rows_of(picture, SECOND, 100, 400))


@pytest.mark.parametrize("curves", [{}, {"a": ([1, 2], [1.0])}, {"a": ([1], [float("nan")])}, {"a": ([], [])}])
def test_plots_of_nothing_are_refused(curves):
    with pytest.raises(InputError, match="0 of them"):
        line_plot(curves, "x", "y")


def test_a_single_value_is_a_point():
    picture = line_plot({"one": ([3], [2.5])}, "x", "y", size=(320, 560))
    assert rows_of(picture, FIRST, 200, 400)


def test_a_plot_leaves_no_global_state(monkeypatch):
    """It is drawn without pyplot, which keeps every figure and chooses a window system for the whole process."""
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    assert line_plot({"a": ([0, 1], [0.0, 1.0])}, "x", "y").ndim == 3


def test_without_matplotlib_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match="pip install matplotlib"):
        line_plot({"a": ([0, 1], [0.0, 1.0])}, "x", "y")
