"""Means over scenes with their intervals, and how compared methods differ scene by scene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from ..metrics.intervals import mean_interval
from .figures import Figure, SceneFigures, WholeFigure

FILE_VERSION = 1


@dataclass(frozen=True)
class Mean:
    """A mean over scenes.

    Attributes:
        value: The mean.
        low: Lower end of its 95 % interval; the mean where there is one scene.
        high: Upper end.
        scenes: How many.
    """

    value: float
    low: float
    high: float
    scenes: int


@dataclass(frozen=True)
class Difference:
    """How much more of a figure the first method has than another, scene by scene.

    Attributes:
        figure: Its name.
        method: The first method.
        against: The other.
        mean: Of the differences.
        wins: Scenes in which the first is better.
    """

    figure: str
    method: str
    against: str
    mean: Mean
    wins: int

    def verdict(self, figure: Figure) -> str:
        """``better``, ``worse``, or ``even`` where the interval holds 0; of figures whose best is 1 always ``even``."""
        if self.mean.scenes < 2 or figure.better == "one" or self.mean.low <= 0 <= self.mean.high:
            return "even"
        return "better" if (self.mean.value > 0) == (figure.better == "higher") else "worse"


def scene_values(scenes: Sequence[SceneFigures], figure: str) -> dict[str, float]:
    """A figure by scene, of the scenes that have it."""
    return {scene.scene: scene.values[figure] for scene in scenes if figure in scene.values}


def mean_of(values: Sequence[float], seed: int = 0) -> Mean:
    """The mean of at least one value, with its interval."""
    low, high = mean_interval(values, seed)
    return Mean(sum(values) / len(values), low, high, len(values))


def differences(
    methods: Mapping[str, Sequence[SceneFigures]], figures: Mapping[str, Figure], seed: int = 0
) -> list[Difference]:
    """The first method against every other, over the scenes that both have."""
    (first, own), *others = methods.items()
    found = []
    for figure in figures.values():
        mine = scene_values(own, figure.name)
        for other, scenes in others:
            theirs = scene_values(scenes, figure.name)
            both = [name for name in mine if name in theirs]
            if both:
                apart = [mine[name] - theirs[name] for name in both]
                wins = sum(_badness(mine[n], figure) < _badness(theirs[n], figure) for n in both)
                found.append(Difference(figure.name, first, other, mean_of(apart, seed), wins))
    return found


def same_scenes(
    methods: Mapping[str, Mapping[str, Any]], called: str = "scenes", remedy: str = "rename its folders"
) -> None:
    """Raises InputError where methods have other scenes than the first one.

    Args:
        methods: Scenes by name, by the name of the method.
        called: What a scene is called in the sentence.
        remedy: What the sentence ends with.
    """
    (first, own), *others = methods.items()
    for other, scenes in others:
        missing, more = sorted(set(own) - set(scenes)), sorted(set(scenes) - set(own))
        if missing or more:
            apart = f"lacks {', '.join(missing)}" if missing else f"has {', '.join(more)} besides"
            raise InputError(f"{other}, which {apart}", f"the same {called} as {first}: {', '.join(own)}", remedy)


def as_json(
    methods: Mapping[str, Sequence[SceneFigures]],
    figures: Mapping[str, Figure],
    extra: Mapping[str, Any],
    seed: int = 0,
    together: Sequence[WholeFigure] = (),
) -> dict[str, Any]:
    """What ``figures.json`` holds; see docs/evaluation.md."""
    present = {name: f for name, f in figures.items() if any(scene_values(s, name) for s in methods.values())}
    described = present | {whole.figure.name: whole.figure for whole in together}
    return {
        "version": FILE_VERSION,
        "figures": {
            name: {"label": f.label, "unit": f.unit, "better": f.better, "what": f.what, "made_by": f.maker}
            for name, f in described.items()
        },
        "all_scenes": {whole.figure.name: whole.values for whole in together},
        "methods": {name: _method(scenes, present, seed) for name, scenes in methods.items()},
        "differences": [
            {
                "figure": d.figure,
                "method": d.method,
                "against": d.against,
                **vars(d.mean),
                "wins": d.wins,
                "verdict": d.verdict(present[d.figure]),
            }
            for d in differences(methods, present, seed)
        ],
        **extra,
    }


def _method(scenes: Sequence[SceneFigures], figures: Mapping[str, Figure], seed: int) -> dict[str, Any]:
    means, reference = {}, {}
    for name in figures:
        if found := list(scene_values(scenes, name).values()):
            means[name] = vars(mean_of(found, seed))
        if given := [scene.reference[name] for scene in scenes if name in scene.reference]:
            reference[name] = sum(given) / len(given)
    return {
        "means": means,
        "reference": reference,
        "scenes": {
            scene.scene: {
                "values": scene.values,
                "reference": scene.reference,
                "cells": {
                    name: {f"v{v}_t{t}": value for (v, t), value in cells.items()}
                    for name, cells in scene.cells.items()
                },
            }
            for scene in scenes
        },
    }


def _badness(value: float, figure: Figure) -> float:
    return {"higher": -value, "lower": value, "one": abs(value - 1)}[figure.better]


def worst_cells(
    scenes: Sequence[SceneFigures], figures: Mapping[str, Figure], count: int = 12, most_a_scene: int = 2
) -> tuple[str, list[tuple[str, tuple[int, int], float]]]:
    """The figure that cells are ranked by, and the worst cells as scene, ``(view, time)`` and value, the worst first.

    Ranked by PSNR where there is a truth, else by warping error across views.
    """
    name = next((n for n in ("psnr", "warp_view", "warp_time") if any(s.cells.get(n) for s in scenes)), "")
    if not name:
        return "", []
    ranked = sorted(
        ((scene.scene, cell, value) for scene in scenes for cell, value in scene.cells.get(name, {}).items()),
        key=lambda found: -_badness(found[2], figures[name]),
    )
    chosen: list[tuple[str, tuple[int, int], float]] = []
    for found in ranked:
        if sum(c[0] == found[0] for c in chosen) < most_a_scene and len(chosen) < count:
            chosen.append(found)
    return name, chosen
