"""The cross-validation benchmark: each grid is judged by what others choose, and what was scored is kept."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from fourreal_core.media import save_image
from fourreal_core.pipeline import PipelineOptions

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return importlib.import_module("cross_validation")
    finally:
        sys.path.remove(str(BENCHMARKS))


def scores(**grids: tuple[float, float]) -> dict[str, dict[str, dict[str, float]]]:
    return {grid: {"default": {"cells": a}, "other": {"cells": b}} for grid, (a, b) in grids.items()}


def test_each_grid_is_judged_by_what_the_others_choose(bench: ModuleType) -> None:
    """``other`` wins on average by one grid alone: that one must not choose it for itself."""
    found = scores(a=(20.0, 26.0), b=(20.0, 19.0), c=(20.0, 19.0))
    assert bench.left_out(found, "cells") == {"a": "default", "b": "other", "c": "other"}
    told = bench.report(found, "cells")
    assert "other               21.33 dB  +1.333   better on 1, worse on 2" in told
    assert "each grid left out: 19.33 dB, the defaults 20.00 dB; chosen: other (2), default (1)" in told


def test_the_default_wins_a_tie_and_one_grid_chooses_nothing(bench: ModuleType) -> None:
    found = scores(a=(20.0, 20.0), b=(21.0, 21.0))
    assert set(bench.left_out(found, "cells").values()) == {"default"}
    assert "two grids" in bench.report(scores(a=(20.0, 21.0)), "cells")


def test_settings_change_one_thing(bench: ModuleType) -> None:
    base, seen = PipelineOptions(), set()
    for name, change in bench.SETTINGS.items():
        options = change(base)
        assert (options == base) == (name == "default")
        assert options not in seen
        seen.add(options)


def test_a_grid_is_scored_once(bench: ModuleType, tmp_path: Path, pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two settings that share a fit; what is asked for again is read, what is new is added."""
    folder, size = tmp_path / "one", (32, 48)
    folder.mkdir()
    wide = pictures(1, 64, 112)[0]
    for v in range(3):
        for t in range(3):
            save_image(wide[:, 4 * v : 4 * v + 96], folder / f"v{v}_t{t}.png")
    save_image(torch.ones(64, 96, 3), folder / "valid.png")
    cells = [[v, t] for v in range(3) for t in range(3)]
    (folder / "grid.json").write_text(
        json.dumps({"height": 64, "width": 96, "known": cells, "targets": [[2, 2]], "held_out": [[1, 1]]})
    )
    args = argparse.Namespace(track="complete", size=size, settings=["default", "tone 16"])
    fits = []
    monkeypatch.setattr(bench, "RENDERS", 10)
    monkeypatch.setattr(
        bench, "fit_deformation", lambda *a, fit=bench.fit_deformation, **k: fits.append(1) or fit(*a, **k)
    )
    first = bench.score_grid(folder, tmp_path / "one.json", args)
    assert set(first) == {"default", "tone 16"} and len(fits) == 1
    assert all(10 < first[name][figure] < 80 for name in first for figure in bench.FIGURES)
    assert bench.score_grid(folder, tmp_path / "one.json", args) == first and len(fits) == 1
    args.settings = ["default", "SSIM 0.4"]
    more = bench.score_grid(folder, tmp_path / "one.json", args)
    assert more["default"] == first["default"] and len(fits) == 2
    assert set(json.loads((tmp_path / "one.json").read_text())) == {"default", "tone 16", "SSIM 0.4"}
