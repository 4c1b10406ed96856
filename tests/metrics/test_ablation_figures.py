"""The ablation table's intervals."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def interval(monkeypatch):
    """The script's function."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("ablation_table").interval


def test_an_interval_covers_the_mean_and_narrows_with_more_values(interval, generator):
    values = torch.randn(400, generator=generator)
    for n in (25, 400):
        low, high = interval(values[:n], 1)
        # a normal mean's 95 % interval is 2 * 1.96 / sqrt(n) wide; 25 values know their own spread to 15 %
        assert high - low == pytest.approx(3.92 / n**0.5, rel=0.4) and low < float(values[:n].mean()) < high
    assert interval(values, 1) == interval(values, 1) != interval(values, 2)


def test_one_scene_has_its_value(interval):
    assert interval(torch.tensor([3.5]), 0) == (3.5, 3.5)


def test_a_network_that_judges_becomes_columns(monkeypatch, tmp_path):
    """Its shares are of every completed grid, and a row measured without it is measured again."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    ablations = importlib.import_module("ablations")

    class Network:
        name = "dust3r"

        def confidence(self, views):
            return views[..., 0] * 4

    grid = torch.full((3, 3, 16, 16, 3), 128, dtype=torch.uint8)
    subject = torch.ones(3, 3, 16, 16, dtype=torch.bool)
    ablation = SimpleNamespace(evaluate=SimpleNamespace(grids=2, seed=0), out=tmp_path)
    grids = SimpleNamespace(read=lambda index: (grid, subject))
    levels = {0: 0.6, 1: 0.7}  # sure of 2.4 and 2.8

    def complete(index, frames):
        return {"row": torch.full_like(frames, levels[index])}

    def bars(name):
        return lambda done, total, preview=None: None

    plain = ablations.measured(["row"], "d", complete, grids, ablation, bars)
    judge = ablations.Judge(Network(), "dust3r:x")
    judged = ablations.measured(["row"], "d", complete, grids, ablation, bars, judge=judge)["row"]
    assert "dust3r_confidence_2.0" not in plain["row"] and judged["psnr"] == plain["row"]["psnr"]
    assert judged["dust3r_confidence_2.0"] == [100.0, 100.0] and judged["dust3r_confidence_2.5"] == [0.0, 100.0]
    text = ablations.table({"row": judged}, {}, ablation)
    assert "dust3r-confidence > 2.5" in text and "50.00 <sub>0.00 to 100.00</sub>" in text


def test_the_table_says_what_parts_earn(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    tables = importlib.import_module("ablation_table")
    ablation = SimpleNamespace(evaluate=SimpleNamespace(grids=2, seed=0))

    def row(psnr):
        return {figure: [psnr, psnr + 1] for figure in tables.HEADINGS}

    rows = {"refiner": row(27.0), "refiner, without sync": row(26.5), "refiner, the chooser alone": row(26.75)}
    text = tables.table({tables.VERIFIED[0]: row(26.0)}, rows, ablation)
    for what, gained in (
        ("the refiner over *refiner, without sync*", 0.5),
        ("the refiner over *refiner, the chooser alone*", 0.25),
        ("the chooser alone over *verified proposal, blend*", 0.75),
    ):
        for figure in ("PSNR", "PSNR on the subject"):
            assert f"- {figure}: {what}: +{gained:.3f} dB (+{gained:.3f} to +{gained:.3f})" in text
