"""Plots of a report, drawn by matplotlib as SVG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .comparison import mean_of, scene_values
from .figures import Figure, SceneFigures

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

COLORS = ("#2f6fb5", "#d9822b", "#3f9d5f", "#b5487b", "#7b63c2", "#8a8a2e")
"""Of the methods in their order."""
_MUTED = "#8a919c"
_COLUMNS = 3


def bars_of_figures(methods: Mapping[str, Sequence[SceneFigures]], figures: Sequence[Figure], seed: int = 0) -> str:
    """One small plot a figure: the mean of every method with its interval, and every scene as a dot."""
    rows = -(-len(figures) // _COLUMNS)
    canvas = _canvas(10.2, 0.5 + (0.75 + 0.28 * len(methods)) * rows)
    for k, figure in enumerate(figures, start=1):
        axes = canvas.add_subplot(rows, _COLUMNS, k)
        reference = [s.reference[figure.name] for s in next(iter(methods.values())) if figure.name in s.reference]
        if reference:
            axes.axvline(sum(reference) / len(reference), color=_MUTED, linestyle=":", linewidth=1.2)
        for place, scenes in enumerate(methods.values()):
            values = list(scene_values(scenes, figure.name).values())
            if not values:
                continue
            mean = mean_of(values, seed)
            color = COLORS[place % len(COLORS)]
            axes.scatter(values, [place] * len(values), s=9, color=color, alpha=0.35, linewidths=0)
            axes.plot([mean.low, mean.high], [place, place], color=color, linewidth=2.2, solid_capstyle="butt")
            axes.plot([mean.value], [place], "o", color=color, markersize=6)
        axes.set_yticks(range(len(methods)), list(methods) if (k - 1) % _COLUMNS == 0 else [""] * len(methods))
        axes.set_ylim(len(methods) - 0.4, -0.6)
        unit = f" ({figure.unit})" if figure.unit else ""
        way = {"higher": "\u2192 better", "lower": "\u2190 better", "one": "1 is best"}[figure.better]
        axes.set_title(f"{figure.label}{unit}  {way}", fontsize=8.5, loc="left")
        _plain(axes)
    return _svg(canvas)


def differences_by_scene(methods: Mapping[str, Sequence[SceneFigures]], figure: Figure, scenes: Sequence[str]) -> str:
    """A figure by scene: the first method less every other, one bar each."""
    (first, own), *others = methods.items()
    mine = scene_values(own, figure.name)
    canvas = _canvas(10.2, 1.0 + 0.2 * len(scenes) * max(1, len(others)))
    axes = canvas.add_subplot()
    height = 0.8 / max(1, len(others))
    for k, (name, found) in enumerate(others):
        theirs = scene_values(found, figure.name)
        both = [(row, mine[s] - theirs[s]) for row, s in enumerate(scenes) if s in mine and s in theirs]
        axes.barh(
            [row - 0.4 + height * (k + 0.5) for row, _ in both],
            [apart for _, apart in both],
            height=height * 0.9,
            color=COLORS[(k + 1) % len(COLORS)],
            label=f"{first} less {name}",
        )
    axes.axvline(0, color=_MUTED, linewidth=1)
    axes.set_yticks(range(len(scenes)), list(scenes))
    axes.set_ylim(len(scenes) - 0.4, -0.6)
    axes.set_xlabel(f"{figure.label}, difference" + (f" in {figure.unit}" if figure.unit else ""), fontsize=9)
    axes.legend(fontsize=8, frameon=False)
    _plain(axes)
    return _svg(canvas)


def cells_map(scenes: Sequence[SceneFigures], figure: Figure) -> str | None:
    """Mean of a figure over scenes in every cell of the grid; None where no cell has it."""
    import numpy as np

    found: dict[tuple[int, int], list[float]] = {}
    for scene in scenes:
        for cell, value in scene.cells.get(figure.name, {}).items():
            found.setdefault(cell, []).append(value)
    if not found:
        return None
    views, times = (1 + max(cell[axis] for cell in found) for axis in (0, 1))
    means = np.full((views, times), np.nan)
    for cell, values in found.items():
        means[cell] = np.mean(values)
    canvas = _canvas(5.0, 0.9 + 0.36 * views)
    axes = canvas.add_subplot()
    shown = axes.imshow(means, cmap="viridis" if figure.better == "higher" else "viridis_r", aspect="auto")
    for (v, t), value in np.ndenumerate(means):
        if np.isfinite(value):
            axes.text(
                t, v, f"{value:.1f}", ha="center", va="center", fontsize=7, color="white", path_effects=_outlined()
            )
    axes.set(xlabel="time", ylabel="view")
    axes.set_title(f"{figure.label}" + (f" ({figure.unit})" if figure.unit else ""), fontsize=9, loc="left")
    canvas.colorbar(shown)
    return _svg(canvas)


def _canvas(width: float, height: float) -> Canvas:
    from matplotlib.figure import Figure as Canvas

    return Canvas(figsize=(width, height), layout="constrained")


def _outlined() -> list[Any]:
    """A dark rim for numbers on any colour."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=1.5, foreground="#222")]


def _plain(axes: Any) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.grid(axis="x", alpha=0.25)


def _svg(canvas: Canvas) -> str:
    buffer = io.StringIO()
    canvas.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
