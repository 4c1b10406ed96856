"""A line plot as a picture, drawn by matplotlib."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from ..errors import InputError
from .images import to_float

Curve = tuple[Sequence[float], Sequence[float]]
"""Places along x and values, of one length."""

_DPI = 100


def line_plot(
    curves: Mapping[str, Curve], x_label: str, y_label: str, title: str = "", size: tuple[int, int] = (480, 800)
) -> Tensor:
    """Draws curves with a grid and a legend.

    Args:
        curves: By name; where two are equal, the later one is dashed and both are seen.
        x_label: Below the axis.
        y_label: Beside the axis.
        title: Above the plot.
        size: ``(height, width)`` in pixels.

    Returns:
        ``(H, W, 3)`` in ``[0, 1]``.

    Raises:
        InputError: No curves, values that are not finite, lengths that differ, or no matplotlib.
    """
    require_matplotlib()
    # figures of their own instead of pyplot's, which are global and may ask for a window
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    whole = [len(x) == len(y) > 0 and all(map(math.isfinite, (*x, *y))) for x, y in curves.values()]
    if not whole or not all(whole):
        raise InputError(
            f"{len(curves)} curves, {sum(whole)} of them with as many places as values, all finite",
            "at least one, and all of them so",
            "leave out what could not be measured",
        )
    figure = Figure(figsize=(size[1] / _DPI, size[0] / _DPI), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    for number, (name, (x, y)) in enumerate(curves.items()):
        axes.plot(x, y, label=name, marker="o" if len(x) <= 40 else "", linestyle="--" if number else "-")
    axes.set(xlabel=x_label, ylabel=y_label, title=title)
    axes.grid(alpha=0.3)
    axes.legend()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return to_float(np.asarray(canvas.buffer_rgba())[..., :3])


def require_matplotlib() -> None:
    """Raises InputError where matplotlib is not installed; for callers who plot what takes long to measure."""
    try:
        import matplotlib  # noqa: F401
    except Exception as err:  # missing, or one that doesn't fit NumPy
        raise InputError(
            "no package matplotlib", "what plots are drawn with", "install it: python -m pip install matplotlib"
        ) from err
