"""Plots of a study's report, drawn by matplotlib as SVG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .statistics import Share

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MUTED = "#c3c8d0"
COLORS = ("#2f6fb5", "#d9822b", "#3f9d5f", "#b5487b", "#7b63c2")


def share_plot(mine: Sequence[Share], first: str, second: str, methods: Sequence[str]) -> str:
    """Bars of all answers by question, and the share without junk with its interval; a method keeps its colour."""
    colors = color_of(methods)
    canvas = _canvas(9.4, 0.9 + 0.42 * len(mine))
    axes = canvas.add_subplot()
    for row, share in enumerate(mine):
        won, junk, lost = share.with_junk
        axes.barh(row, won, color=colors[first], height=0.62)
        axes.barh(row, junk, left=won, color=MUTED, height=0.62)
        axes.barh(row, lost, left=won + junk, color=colors[second], height=0.62)
        low, high = share.interval
        axes.plot([low, high], [row, row], color="black", linewidth=1.6)
        axes.plot([share.without_junk], [row], "o", color="white", markeredgecolor="black", markersize=6)
    axes.axvline(50, color="black", linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(mine)), [share.question for share in mine])
    axes.set_ylim(len(mine) - 0.4, -0.6)
    axes.set_xlim(0, 100)
    axes.set_title(
        f"{first} (left), no difference (grey), {second} (right), % of answers; dot: {first}, % without junk",
        fontsize=9,
        loc="left",
    )
    return _svg(canvas)


def score_plot(scores: Mapping[str, Mapping[str, float]], methods: Sequence[str]) -> str:
    """Bradley-Terry scores of every method by question."""
    canvas = _canvas(9.4, 0.9 + 0.42 * len(scores))
    axes = canvas.add_subplot()
    for method, color in color_of(methods).items():
        axes.plot([found[method] for found in scores.values()], range(len(scores)), "o", color=color, label=method)
    axes.axvline(0, color=MUTED, linewidth=1)
    axes.set_yticks(range(len(scores)), list(scores))
    axes.set_ylim(len(scores) - 0.4, -0.6)
    axes.grid(axis="x", alpha=0.3)
    axes.legend(fontsize=8, frameon=False)
    return _svg(canvas)


def color_of(methods: Sequence[str]) -> dict[str, str]:
    """Every method's colour in all plots of a report."""
    return {method: COLORS[k % len(COLORS)] for k, method in enumerate(methods)}


def _canvas(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _svg(canvas: Figure) -> str:
    for axes in canvas.axes:
        axes.tick_params(labelsize=8)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    buffer = io.StringIO()
    canvas.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
