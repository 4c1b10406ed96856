"""The extension benchmark: its proposals come from the cells it says, and runs are read by chunk and not made twice."""

from __future__ import annotations

import importlib
import json
import math
import sys
from pathlib import Path

import pytest
import torch

from fourreal_core.model.codec import SpaceToDepth
from fourreal_core.model.model4d import Model4D
from fourreal_core.model.model_file import save_model
from fourreal_core.model.spec import DiTSpec, Model4DSpec
from fourreal_core.proposals.plane_names import PLANE_SETS
from fourreal_core.sampling.chunks import ChunkOptions, plan_chunks
from fourreal_core.sampling.stores import MemoryStore
from fourreal_core.synthetic.grids import GridOptions

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    """The script, for three views of 32 x 32 pixels."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    module = importlib.import_module("long_extension")
    monkeypatch.setattr(module, "VIEWS", 3)
    monkeypatch.setattr(module, "GridOptions", lambda views, times: GridOptions(views, times, (32, 32)))
    return module


def test_proposals_start_from_the_last_finished_column(benchmark):
    codec, row, column = SpaceToDepth(1), torch.full((12, 32, 32, 3), 0.5), torch.full((3, 32, 32, 3), 0.25)
    column[0] = row[0]
    plan = plan_chunks(3, 12, ChunkOptions(keep=4, far="first"))
    store = MemoryStore(plan)
    for number, chunk in enumerate(plan.chunks[:1]):
        store.write(number, codec.encode(torch.full((len(chunk.cells), 32, 32, 3), 0.75)))
    chunk = plan.chunks[1]
    made = codec.decode(
        benchmark.chunk_proposals(row, column, store, True, codec, PLANE_SETS["flow"])(chunk)[0].unflatten(2, (2, 3))
    )
    at = chunk.window.times.index(chunk.new_times[-1])
    # flat pictures: no flow, so the first is what was made last and the second is the row's own frame
    assert float(made[2, at, 0].mean()) == pytest.approx(0.75, abs=1e-5)
    assert float(made[2, at, 1].mean()) == pytest.approx(0.5, abs=1e-5)


def test_another_seen_picture_changes_the_blend_by_its_doubt(benchmark):
    proposals = torch.zeros(4, 1, 1, 2, 2, 3)
    proposals[1], proposals[3, ..., 1] = 0.5, 0.25  # the seen picture costs 8 grey levels more than the moved one
    made = benchmark.with_seen(proposals, PLANE_SETS["reliability"], torch.ones(1, 1, 2, 2, 3))
    share = math.exp(-8 / 5)
    torch.testing.assert_close(made[0], torch.full_like(made[0], (0.5 + share) / (1 + share)))
    assert (made[2] == 1).all() and torch.equal(made[[1, 3]], proposals[[1, 3]])


def test_runs_are_kept_and_read_by_chunk(benchmark, tmp_path, monkeypatch, capsys):
    dit = DiTSpec(width=24, layers=1, heads=2, patch=8, conv_width=4, proposals=PLANE_SETS["flow"])
    save_model(tmp_path / "model.safetensors", Model4D(Model4DSpec(dit, "soft")))
    args = [
        "long_extension.py",
        str(tmp_path / "model.safetensors"),
        "-o",
        str(tmp_path / "out"),
        "--scenes",
        "1",
        "--times",
        "10",
        "--plot",
        str(tmp_path / "plot.png"),
    ]
    monkeypatch.setattr(sys, "argv", args)
    benchmark.main()
    printed = capsys.readouterr().out
    curves = json.loads((tmp_path / "out" / "curves.json").read_text(encoding="utf-8"))
    assert curves["far context"][0] == [7, 9] and curves["no far context"][0] == [7, 9]
    assert (tmp_path / "plot.png").stat().st_size > 0
    assert curves["far context"][1][0] == curves["no far context"][1][0]  # the first chunk knows no far cells
    monkeypatch.setattr(benchmark, "run_scene", None)
    benchmark.main()
    assert capsys.readouterr().out == printed


def test_a_chunk_is_the_mean_over_its_frames_and_scenes(benchmark):
    runs = [[[1.0, 3.0, 5.0], [0, 0, 1]], [[3.0, 5.0, 9.0], [0, 0, 1]]]
    assert benchmark.by_chunk(runs) == ([2.0, 3.0], [3.0, 7.0])
