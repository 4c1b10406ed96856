"""Figures of an ablation as text: means with their intervals, gains scene by scene, Markdown, every scene's figures."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch

from fourreal_core.errors import InputError
from fourreal_core.media.files import write_bytes
from fourreal_core.metrics.intervals import mean_interval
from fourreal_core.training.experiments.ablation import Ablation, EvaluateOptions

PROPOSALS = (
    "flow proposal, moved in time",
    "flow proposal, seen from the view",
    "mean of flow proposals",
    "geometric proposal",
)
VERIFIED = ("verified proposal, blend", "verified proposal, moved in time", "verified proposal, seen from the view")
HEADINGS = {
    "psnr": "PSNR",
    "subject_psnr": "subject",
    "ssim": "SSIM",
    "temporal_psnr": "in time",
    "view_psnr": "across views",
}
NO_MODEL = "frozen scene and the change of view 0"
"""The cheapest floor that shows motion; every row says what it has over it."""
REMOVED = {
    "sync": "without sync",
    "tokens": "without tokens",
    "chooser": "with the rules' choice",
    "rest": "the chooser alone",
}
SOFT = "parallel soft, trained"
"""The paper's own variant; the others are compared with it scene by scene."""
MARKS = "<!-- table -->", "<!-- end of table -->"


def interval(values: torch.Tensor, seed: int) -> tuple[float, float]:
    """The 95 % interval of a mean over scenes: percentiles of the bootstrap (Efron 1979); of one scene, its value."""
    return mean_interval(values.tolist(), seed)


def summary(figures: dict[str, list[float]], options: EvaluateOptions) -> dict[str, Any]:
    """Means over grids, each with its 95 % interval."""
    found: dict[str, Any] = {}
    for name in (*HEADINGS, *_confidences(figures)):
        values = torch.tensor(figures[name])
        values = values[torch.isfinite(values)]
        low, high = interval(values, options.seed)
        digits = 4 if name == "ssim" else 3
        found[name] = round(float(values.mean()), digits)
        found["ci95" if name == "psnr" else f"{name}_ci95"] = [round(low, digits), round(high, digits)]
    return found


def _confidences(figures: dict[str, list[float]]) -> list[str]:
    """Names of the figures by networks, such as ``dust3r_confidence_2.0``."""
    return [name for name in figures if "_confidence_" in name]


def gain(
    figures: dict[str, list[float]], over: dict[str, list[float]], name: str, options: EvaluateOptions
) -> tuple[float, float, float]:
    """Mean difference over the grids that both were measured on, and its 95 % interval."""
    count = min(len(figures[name]), len(over[name]))
    difference = torch.tensor(figures[name][:count]) - torch.tensor(over[name][:count])
    difference = difference[torch.isfinite(difference)]
    low, high = interval(difference, options.seed)
    return float(difference.mean()), low, high


def table(floor_rows: dict[str, dict], rows: dict[str, dict], ablation: Ablation) -> str:
    """All figures as Markdown; what the best row gains over the best floor, the refiner over its proposals, SOFT over
    other rows."""
    judged = _confidences(next(iter((floor_rows | rows).values())))
    headings = [*HEADINGS.values(), *(name.replace("_confidence_", "-confidence > ") for name in judged)]
    headings.append("over the change of view 0")
    lines = ["| | " + " | ".join(headings) + " |", "| --- |" + " --- |" * len(headings)]
    floor = floor_rows.get(NO_MODEL)
    for name, figures in (floor_rows | rows).items():
        found = summary(figures, ablation.evaluate)
        cells = [_cell(found, figure) for figure in (*HEADINGS, *judged)]
        cells.append("" if floor is None else _gain(gain(figures, floor, "psnr", ablation.evaluate)))
        count = len(figures["psnr"])
        name = name if name in rows else f"*{name}*"
        name += f" (first {count} scenes)" if count < ablation.evaluate.grids else ""
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines.append("")
    for figure, what in (("psnr", "PSNR"), ("subject_psnr", "PSNR on the subject")):

        def mean(found: dict[str, list[float]], figure: str = figure) -> float:
            return float(torch.tensor(found[figure]).nanmean())

        best_floor = max(floor_rows, key=lambda name: mean(floor_rows[name]))
        if rows:
            best = max(rows, key=lambda name: mean(rows[name]))
            lines.append(
                f"- {what}: the best model (*{best}*) over the best floor (*{best_floor}*): "
                + _gain(gain(rows[best], floor_rows[best_floor], figure, ablation.evaluate))
            )
        if SOFT in rows:
            lines += [
                f"- {what}: *{SOFT}* over *{name}*: " + _gain(gain(rows[SOFT], rows[name], figure, ablation.evaluate))
                for name in rows
                if name != SOFT and not name.startswith("refiner")
            ]
        if "refiner" in rows:
            lines += [
                f"- {what}: the refiner over *{name}*: "
                + _gain(gain(rows["refiner"], (floor_rows | rows)[name], figure, ablation.evaluate))
                for name in (*PROPOSALS, *VERIFIED, *(f"refiner, {words}" for words in REMOVED.values()))
                if name in floor_rows | rows
            ]
        alone = f"refiner, {REMOVED['rest']}"
        if alone in rows and VERIFIED[0] in floor_rows:
            found = gain(rows[alone], floor_rows[VERIFIED[0]], figure, ablation.evaluate)
            lines.append(f"- {what}: {REMOVED['rest']} over *{VERIFIED[0]}*: {_gain(found)}")
    return "\n".join(lines)


def _cell(found: dict[str, Any], figure: str) -> str:
    low, high = found["ci95" if figure == "psnr" else f"{figure}_ci95"]
    form = ".3f" if figure == "ssim" else ".2f"
    return f"{found[figure]:{form}} <sub>{low:{form}} to {high:{form}}</sub>"


def _gain(values: tuple[float, float, float]) -> str:
    return f"{values[0]:+.3f} dB ({values[1]:+.3f} to {values[2]:+.3f})"


def scenes_text(rows: dict[str, dict], ablation: Ablation) -> str:
    """The figures of every scene as JSON, one row a line."""
    listed = [
        f"  {json.dumps(name)}: "
        + json.dumps(
            {figure: [round(x, 4) if math.isfinite(x) else None for x in values] for figure, values in row.items()}
        )
        for name, row in rows.items()
    ]
    split = json.dumps(ablation.evaluate.split)
    return f'{{"split": {split}, "rows": {{\n' + ",\n".join(listed) + "\n}}\n"


def write_table(path: Path, text: str) -> None:
    """Puts a table between the marks of a Markdown file."""
    page = path.read_text(encoding="utf-8") if path.exists() else "\n".join(MARKS) + "\n"
    if not all(mark in page for mark in MARKS):
        raise InputError(f"{path} without the lines {' and '.join(MARKS)}", "both of them", "put them into the page")
    before, after = page.split(MARKS[0])[0], page.split(MARKS[1], 1)[1]
    write_bytes(path, f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{after}".encode())
