"""The ablation table's intervals."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def interval(monkeypatch):
    """The script's function."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("ablations").interval


def test_an_interval_covers_the_mean_and_narrows_with_more_values(interval, generator):
    values = torch.randn(400, generator=generator)
    for n in (25, 400):
        low, high = interval(values[:n], 1)
        # a normal mean's 95 % interval is 2 * 1.96 / sqrt(n) wide; 25 values know their own spread to 15 %
        assert high - low == pytest.approx(3.92 / n**0.5, rel=0.4) and low < float(values[:n].mean()) < high
    assert interval(values, 1) == interval(values, 1) != interval(values, 2)


def test_one_scene_has_its_value(interval):
    assert interval(torch.tensor([3.5]), 0) == (3.5, 3.5)
