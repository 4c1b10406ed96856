"""``fourreal run --views-from`` with a stand-in for the pipeline: the views reach it as rows, in the cameras' order."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fourreal_core.cli import main
from fourreal_core.geometry.depth_maps import DepthPictures
from fourreal_core.geometry.given_cameras import GivenCameras
from fourreal_core.media import read_clip, read_image, save_image


@pytest.fixture
def views(tmp_path, pictures) -> Path:
    """Four views of eleven times each, as folders of pictures."""
    for name in ("a", "b", "c", "d"):
        folder = tmp_path / "views" / name
        folder.mkdir(parents=True)
        for k, frame in enumerate(pictures(11, 32, 48)):
            save_image(frame, folder / f"{k}.png")
    return tmp_path / "views"


@pytest.fixture
def run(tmp_path, views) -> Callable[..., int]:
    return lambda *more: main(["run", "--views-from", str(views), "-o", str(tmp_path / "out"), *map(str, more)])


def rig(path: Path, places: dict[str, float]) -> Path:
    """A transforms.json of cameras side by side, named after their views."""
    frames = []
    for name, x in places.items():
        pose = torch.eye(4)
        pose[0, 3] = x
        frames.append({"file_path": f"images/{name}.png", "transform_matrix": pose.tolist()})
    path.write_text(json.dumps({"fl_x": 400, "fl_y": 400, "cx": 480, "cy": 320, "w": 960, "h": 640, "frames": frames}))
    return path


def test_views_become_rows_and_come_back_bit_for_bit(tmp_path, views, run, pipeline, capsys):
    assert run("--json") == 0
    grid = pipeline.grid
    assert (grid.views, grid.times) == (4, 8) and bool(grid.known.all())
    for v, name in enumerate("abcd"):
        clip = read_clip(views / name)
        assert torch.equal(grid.frames[v], clip[[0, 1, 3, 4, 6, 7, 9, 10]])
        assert torch.equal(read_image(tmp_path / "out" / "grid" / f"v{v}_t3.png"), clip[4])
    report = json.loads(capsys.readouterr().out)
    assert report["views"] == {"rows": ["a", "b", "c", "d"], "central": "c", "by_cameras": False}
    assert report["inputs"] == {"views_from": str(views)} and report["grid"]["known_cells"] == 32
    assert pipeline.options.geometry_source is None


def test_counts_and_size_are_taken(run, views, pipeline):
    assert run("--views", 3, "--times", 2, "--size", "64x48", "--quiet") == 0
    assert pipeline.grid.frames.shape == (3, 2, 48, 64, 3)
    assert torch.equal(pipeline.grid.frames[1, 1], read_clip(views / "c", (48, 64))[10])


def test_the_order_is_the_cameras_and_is_said(tmp_path, views, run, pipeline, capsys):
    file = rig(tmp_path / "transforms.json", {"a": 2.0, "b": 0.0, "c": 3.0, "d": 1.0})
    assert run("--cameras", file) == 0
    for v, name in enumerate("bdac"):
        assert torch.equal(pipeline.grid.frames[v, 0], read_clip(views / name)[0])
    assert (
        "in the order of their cameras' path: b, d, a, c; the first is b, the central one a" in capsys.readouterr().out
    )
    source = pipeline.options.geometry_source
    assert isinstance(source, GivenCameras)
    centres = -source.cameras.world_to_cam[:, 0, 3]
    assert centres.tolist() == [0, 1, 2, 3]
    assert source.cameras.intrinsics[0].tolist() == [[20, 0, 24], [0, 20, 16], [0, 0, 1]]


def test_cameras_go_with_depth_pictures(tmp_path, run, pipeline, pictures):
    (tmp_path / "depth").mkdir()
    for k, frame in enumerate(pictures(4, 32, 48)):
        save_image(frame, tmp_path / "depth" / f"{k}.png")
    file = rig(tmp_path / "transforms.json", {"a": 0.0, "b": 1.0, "c": 2.0, "d": 3.0})
    assert run("--cameras", file, "--geometry", tmp_path / "depth", "--quiet") == 0
    source = pipeline.options.geometry_source
    assert isinstance(source, DepthPictures) and len(source.cameras) == 4


def test_a_folder_of_cells_may_have_gaps(tmp_path, pipeline, pictures):
    folder = tmp_path / "cells"
    folder.mkdir()
    for k, (v, t) in enumerate(((0, 0), (0, 5), (0, 9), (3, 0), (8, 0), (8, 9))):
        save_image(pictures(6)[k], folder / f"v{v}_t{t}.png")
    assert main(["run", "--views-from", str(folder), "-o", str(tmp_path / "out"), "--quiet"]) == 0
    assert pipeline.grid.known.tolist() == [[True] * 3, [True, False, False], [True, False, True]]


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--freeze-time", "x.mp4"], "--views-from beside a clip"),
        (["--views", "9"], "9 views; expected 2 to the 4 there are"),
        (["--times", "1"], "1 times; expected 2 to the 11 there are"),
        (["--cameras", "nowhere.json"], "no cameras in nowhere.json"),
    ],
)
def test_what_cannot_be_is_one_sentence(run, pipeline, capsys, more, sentence):
    assert run(*more) == 2
    assert sentence in capsys.readouterr().err and pipeline.grid is None


def test_one_way_in_must_be_named(tmp_path, pipeline, capsys):
    out = ["-o", str(tmp_path / "out")]
    assert main(["run", *out]) == 2
    assert "no --freeze-time; expected both clips, or --views-from" in capsys.readouterr().err
    assert main(["run", "--freeze-time", "a.mp4", *out]) == 2
    assert "no --fixed-view" in capsys.readouterr().err
    assert main(["run", "--freeze-time", "a.mp4", "--fixed-view", "b.mp4", "--cameras", "c.json", *out]) == 2
    assert "--cameras without --views-from" in capsys.readouterr().err
