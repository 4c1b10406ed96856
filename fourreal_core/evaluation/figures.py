"""What every figure is: its unit, which way is better, and what makes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Better = Literal["higher", "lower", "one"]
"""``one``: the nearer to 1 the better."""


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        name: Its key in ``figures.json``.
        label: In tables and plots.
        unit: ``""`` where it has none.
        better: Which way is better.
        what: One sentence.
        maker: The function, or the package and the file of its weights.
        digits: After the point, in tables.
    """

    name: str
    label: str
    unit: str
    better: Better
    what: str
    maker: str
    digits: int = 2


@dataclass(frozen=True)
class SceneFigures:
    """The figures of one grid.

    Attributes:
        scene: Its name.
        values: By the figure's name.
        cells: By the figure's name, of those that have a value a cell: ``(view, time)`` to value.
        reference: The same figures of the cells that were given, where they can be had: what real clips give.
    """

    scene: str
    values: dict[str, float]
    cells: dict[str, dict[tuple[int, int], float]] = field(default_factory=dict)
    reference: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class WholeFigure:
    """A figure of all scenes together, which no scene has alone.

    Attributes:
        figure: What it is.
        values: By method.
    """

    figure: Figure
    values: dict[str, float]


_TRUTH = "fourreal_core.metrics"
_FLOW = "fourreal_core.evaluation.flow_figures"

PLAIN_FIGURES: dict[str, Figure] = {
    figure.name: figure
    for figure in (
        Figure("psnr", "PSNR", "dB", "higher", "Against the truth, mean over the scored cells.", f"{_TRUTH}.psnr"),
        Figure("ssim", "SSIM", "", "higher", "Against the truth, of the luma.", f"{_TRUTH}.ssim", 3),
        Figure(
            "temporal_psnr",
            "PSNR of change in time",
            "dB",
            "higher",
            "The change from the cell of the time before, against the true change.",
            f"{_TRUTH}.consistency.change_psnr",
        ),
        Figure(
            "view_psnr",
            "PSNR of change across views",
            "dB",
            "higher",
            "The change from the cell of the view before, against the true change.",
            f"{_TRUTH}.consistency.change_psnr",
        ),
        Figure(
            "warp_time",
            "warping error in time",
            "grey levels",
            "lower",
            "Mean absolute difference between a cell and the one of the next time, moved onto it by their own flow, "
            "where flow leads there and back. A scene that stands still has none.",
            f"{_FLOW}.warp_figures",
        ),
        Figure(
            "warp_view",
            "warping error across views",
            "grey levels",
            "lower",
            "The same between a view and the next.",
            f"{_FLOW}.warp_figures",
        ),
        Figure(
            "motion",
            "motion against view 0",
            "",
            "one",
            "Mean flow from one time to the next, over that of the same times in row 0. A scene that stands still has "
            "0, one that jitters more than 1.",
            f"{_FLOW}.warp_figures",
        ),
        Figure(
            "reprojection",
            "reprojection error",
            "px",
            "lower",
            "How far matches between the views of one time are from one scene seen by the cameras of the freeze-time "
            "clip: median over matched points, mean over times.",
            "fourreal_core.evaluation.scene_agreement.scene_agreement",
        ),
        Figure(
            "match_share",
            "matches that fit",
            "%",
            "higher",
            "Share of the points of a regular grid that flow finds in a neighbouring view, there and back, within 1.5 "
            "pixels of one scene.",
            "fourreal_core.evaluation.scene_agreement.scene_agreement",
            1,
        ),
        Figure(
            "flicker",
            "flicker",
            "grey levels",
            "lower",
            "Mean absolute second difference in time of the luma of blocks: light that comes and goes.",
            "fourreal_core.evaluation.picture_figures.flicker",
        ),
        Figure(
            "sharpness",
            "sharpness",
            "",
            "one",
            "Mean absolute Laplacian of a cell over that of the given cell of its view at time 0.",
            "fourreal_core.evaluation.picture_figures.sharpness",
        ),
    )
}
"""Figures that need no weights, by name, in the order of tables."""
