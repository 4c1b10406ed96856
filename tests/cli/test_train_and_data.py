"""``fourreal data`` and ``fourreal train``: what a person types, and what is said when it can't work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fourreal_core.cli import main
from fourreal_core.cli.changes import parse_change
from fourreal_core.errors import InputError
from fourreal_core.training.data.cache import CachedGrids

SIZES = ["--size", "32x32", "--views", "2", "--times", "2", "--quiet"]


def render(out: Path, *more: str) -> int:
    return main(
        [
            "data",
            "render-procedural",
            "-o",
            str(out),
            "--grids",
            "3",
            "--per-shard",
            "2",
            "--workers",
            "0",
            *SIZES,
            *more,
        ]
    )


def test_data_renders_a_cache_and_goes_on_with_it(tmp_path):
    assert render(tmp_path) == 0
    assert len(CachedGrids(tmp_path)) == 3
    before = {p: p.stat().st_mtime_ns for p in tmp_path.glob("*.safetensors")}
    assert render(tmp_path) == 0
    assert {p: p.stat().st_mtime_ns for p in tmp_path.glob("*.safetensors")} == before


def test_data_renders_in_another_process(tmp_path):
    assert render(tmp_path, "--workers", "1", "--split", "test") == 0
    assert len(CachedGrids(tmp_path, "test")) == 3


def test_data_writes_folders_and_shards(tmp_path):
    assert render(tmp_path / "folders", "--format", "folders") == 0
    assert len(list((tmp_path / "folders").glob("train-*/grid.json"))) == 3
    pytest.importorskip("webdataset")
    assert render(tmp_path / "shards", "--format", "webdataset") == 0
    assert sorted(p.name for p in (tmp_path / "shards").iterdir()) == ["train-000000.tar", "train-000001.tar"]


def test_a_cache_of_other_sizes_exits_with_2(tmp_path, capfd):
    assert render(tmp_path) == 0
    assert render(tmp_path, "--times", "3") == 2
    assert "another grid" in capfd.readouterr().err


def test_train_reports_and_takes_changes(tmp_path, capfd):
    pytest.importorskip("accelerate")
    assert render(tmp_path / "cache") == 0
    config = tmp_path / "c.toml"
    config.write_text(f"""
[model]
width = 12
layers = 1
heads = 1
conv_width = 2
[data]
cache = "{(tmp_path / "cache").as_posix()}"
size = [32, 32]
[train]
steps = 50
batch = 1
windows = [[2, 2]]
precision = "float32"
[run]
out = "{(tmp_path / "run").as_posix()}"
tensorboard = false
""")
    assert main(["train", "base", "--config", str(config), "--set", "train.steps=2", "--quiet", "--json"]) == 0
    report = json.loads(capfd.readouterr().out)
    assert report["steps"] == 2 and Path(report["model"]).exists()
    assert main(["train", "base", "--config", str(config), "--set", "train.stepps=2", "--quiet"]) == 2
    assert "did you mean 'steps'" in capfd.readouterr().err
    assert main(["train", "finetune4d", "--config", str(config), "--set", "model.layers=2", "--quiet"]) == 2
    assert "another architecture" in capfd.readouterr().err


def test_changes_are_values_or_text():
    assert parse_change("train.steps=5") == ("train.steps", 5)
    assert parse_change("data.size=[8, 16]") == ("data.size", [8, 16])
    assert parse_change("run.out=runs/x=y") == ("run.out", "runs/x=y")
    with pytest.raises(InputError, match="KEY=VALUE"):
        parse_change("train.steps")
