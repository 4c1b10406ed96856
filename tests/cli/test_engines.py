"""Geometry, flow and tracks by name, as they reach the pipeline."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fourreal_core.cli import main
from fourreal_core.geometry.depth_maps import DepthPictures
from fourreal_core.geometry.hf_depth import HuggingFaceDepth


def test_nothing_said_is_the_product(tmp_path, two_clips, pipeline, capsys):
    assert main([*two_clips, "-o", str(tmp_path / "out"), "--json"]) == 0
    said = pipeline.options
    assert said.geometry_source is said.flow_engine is said.track_engine is said.parallax.focal_px is None
    report = json.loads(capsys.readouterr().out)
    assert [report[name] for name in ("geometry", "flow", "tracks")] == ["parallax", "dis", "flow"]


def test_a_folder_of_depth_goes_with_the_views_that_are_used(tmp_path, clip_folder, two_clips, pipeline):
    depth = tmp_path / "depth"
    depth.mkdir()
    for k in range(5):
        np.save(depth / f"{k}.npy", np.full((32, 48), 1.0) + k)
    args = ["run", "--freeze-time", str(clip_folder("five", 5)), *two_clips[3:], "--views", "3"]
    assert main([*args, "-o", str(tmp_path / "out"), "--geometry", str(depth), "--focal", "60", "--quiet"]) == 0
    source = pipeline.options.geometry_source
    assert isinstance(source, DepthPictures) and source.pictures[:, 0, 0].tolist() == [1, 3, 5]
    assert pipeline.options.parallax.focal_px == 60


def test_a_network_is_only_looked_for_on_disk(tmp_path, two_clips, pipeline):
    assert main([*two_clips, "-o", str(tmp_path / "out"), "--geometry", "hf:some/depth", "--quiet"]) == 0
    assert pipeline.options.geometry_source == HuggingFaceDepth("some/depth")


@pytest.mark.parametrize(
    ("option", "said", "says"),
    [
        ("geometry", "nowhere", "expected parallax, hf:NAME or a folder"),
        ("geometry", "hf:", "name a depth network"),
        ("flow", "best", "one of dis, raft"),
        ("flow", "raft:none.pth", "expected"),
        ("tracks", "best", "one of flow"),
        ("tracks", "delta", "delta:CHECKPOINT"),
        ("focal", "0", "a focal length of 0"),
        ("focal", "-3", "a positive number"),
    ],
)
def test_what_is_not_here_is_refused(tmp_path, two_clips, pipeline, capfd, option, said, says):
    assert main([*two_clips, "-o", str(tmp_path / "out"), f"--{option}={said}", "--quiet"]) == 2
    err = capfd.readouterr().err
    assert says in err and err.count("\n") == 1 and pipeline.grid is None
    assert not [p for p in Path(tmp_path / "out").rglob("*") if p.is_file()]
