"""``fourreal render`` and ``fourreal export`` on a small saved scene."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fourreal_core.cli import main
from fourreal_core.exports import EXPORTS
from fourreal_core.grid import FrameGrid
from fourreal_core.media import read_clip, read_image
from fourreal_core.scene.formats.scene_file import load_scene, save_scene
from fourreal_core.scene.render import render_camera

from .conftest import tiny_scene


@pytest.fixture
def saved(tmp_path) -> Path:
    """A run's output folder, of which only the scene is there: 3 views, 4 times, 48 x 32 pixels."""
    known = torch.zeros(3, 4, dtype=torch.bool)
    grid = FrameGrid(torch.zeros(3, 4, 32, 48, 3), known, torch.ones(32, 48, dtype=torch.bool))
    scene = tiny_scene(grid)
    colors = torch.linspace(0, 1, 60).reshape(20, 3)
    cameras = replace(scene.cameras, world_to_cam=scene.cameras.world_to_cam.clone())
    cameras.world_to_cam[:, 0, 3] = torch.tensor([0.1, 0.0, -0.1])
    (tmp_path / "run").mkdir()
    save_scene(
        replace(scene, splats=replace(scene.splats, colors=colors), cameras=cameras),
        tmp_path / "run" / "scene.safetensors",
    )
    return tmp_path / "run"


@pytest.fixture
def refused(saved, tmp_path, capfd) -> Callable[..., str]:
    """Runs a command that must fail; returns its sentence."""

    def run(command: str, *args: str, scene: Path | None = None) -> str:
        assert main([command, str(scene or saved), *args, "--quiet"]) == 2
        out, err = capfd.readouterr()
        assert out == "" and err.count("\n") == 1 and err.startswith("fourreal: ") and "; expected " in err
        return err

    return run


@pytest.mark.parametrize("mode", ["bullet-time", "freeze-time", "fixed-view", "orbit"])
def test_every_mode_makes_a_video(saved, tmp_path, mode):
    assert (
        main(["render", str(saved), "-o", str(tmp_path / "new" / "a.mp4"), "--mode", mode, "--frames", "3", "--quiet"])
        == 0
    )
    assert read_clip(tmp_path / "new" / "a.mp4").shape == (3, 32, 48, 3)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("name", ["a.webm", "a.webp"])
def test_other_films_by_their_ending(saved, tmp_path, name):
    assert main(["render", str(saved), "-o", str(tmp_path / name), "--frames", "3", "--quiet"]) == 0
    assert read_clip(tmp_path / name).shape == (3, 32, 48, 3)


def test_frames_without_background(saved, tmp_path):
    scene = load_scene(saved / "scene.safetensors")
    save_scene(replace(scene, background=torch.tensor([0.9, 0.2, 0.4])), saved / "scene.safetensors")
    options = ["--mode", "freeze-time", "--frames", "2", "--quiet"]
    for name, more in (("a", []), ("b", ["--alpha"])):
        assert main(["render", str(saved), "-o", str(tmp_path / name), *options, *more]) == 0
    for k in range(2):
        with Image.open(tmp_path / "b" / f"frame_{k:04}.png") as image:
            assert image.mode == "RGBA"
            rgba = torch.from_numpy(np.asarray(image).copy()).float() / 255
        alpha = rgba[..., 3:]
        assert float(alpha.min()) == 0 and float(alpha.max()) > 0.3
        laid = rgba[..., :3] * alpha + (1 - alpha) * torch.tensor([0.9, 0.2, 0.4])
        # a colour and an alpha that were rounded, over a background
        assert float((laid - read_image(tmp_path / "a" / f"frame_{k:04}.png")).abs().max()) < 2 / 255


def test_frames_are_the_scenes_own_renders(saved, tmp_path, capsys):
    assert (
        main(
            [
                "render",
                str(saved / "scene.safetensors"),
                "-o",
                str(tmp_path / "f"),
                "--mode",
                "freeze-time",
                "--frames",
                "3",
                "--json",
            ]
        )
        == 0
    )
    report = json.loads(capsys.readouterr().out)
    scene = load_scene(saved / "scene.safetensors")
    assert [Path(p).name for p in report["files"]] == ["frame_0000.png", "frame_0001.png", "frame_0002.png"]
    for v in range(3):
        with torch.no_grad():
            expected = render_camera(scene, scene.cameras[v], 0).image.clamp(0, 1)
        # eight bits, and a camera that went through a quaternion
        assert float((read_image(tmp_path / "f" / f"frame_{v:04}.png") - expected).abs().max()) < 0.51 / 255 + 1e-4


def test_sizes_show_the_same_larger(saved, tmp_path):
    for name, more in (("a", []), ("b", ["--size", "96x64"])):
        assert main(["render", str(saved), "-o", str(tmp_path / name), "--frames", "1", "--quiet", *more]) == 0
    small, large = (read_image(tmp_path / name / "frame_0000.png") for name in ("a", "b"))
    assert large.shape == (64, 96, 3)
    halved = large.reshape(32, 2, 48, 2, 3).mean((1, 3))
    assert float((halved - small).abs().mean()) < 0.02  # the low-pass of a pixel is half as wide there


def test_written_cameras_render_again(saved, tmp_path):
    cameras = str(tmp_path / "cameras.json")
    assert main(["export", str(saved), "-o", cameras, "--quiet"]) == 0
    assert main(["render", str(saved), "-o", str(tmp_path / "p"), "--mode", "path", "--path", cameras, "--quiet"]) == 0
    assert (
        main(["render", str(saved), "-o", str(tmp_path / "f"), "--mode", "freeze-time", "--frames", "3", "--quiet"])
        == 0
    )
    for k in range(3):
        a, b = (read_image(tmp_path / name / f"frame_{k:04}.png") for name in ("p", "f"))
        assert float((a - b).abs().max()) < 1.5 / 255  # rounded to seven digits in the file


def test_a_ply_a_time_step_or_one(saved, tmp_path, capsys):
    assert main(["export", str(saved), "-o", str(tmp_path / "steps")]) == 0
    assert "20 splats, 4 files" in capsys.readouterr().out
    assert sorted(p.name for p in (tmp_path / "steps").iterdir()) == [f"frame_{t:04}.ply" for t in range(4)]
    assert main(["export", str(saved), "-o", str(tmp_path / "a.ply"), "--times", "1.5", "--view", "2", "--quiet"]) == 0
    assert b"element vertex 20\n" in (tmp_path / "a.ply").read_bytes()


def test_a_moving_file(saved, tmp_path):
    package = pytest.importorskip("fourdgs", reason="fourdgs is not installed")
    assert main(["export", str(saved), "-o", str(tmp_path / "a.4dgs"), "--fps", "4", "--quiet"]) == 0
    assert package.read(str(tmp_path / "a.4dgs")).gaussians.count == 20


@pytest.mark.parametrize(
    ("command", "args", "says"),
    [
        ("render", ["--mode", "path"], "--mode path without --path"),
        ("render", ["--path", "x.json"], "--mode bullet-time with --path"),
        ("render", ["--mode", "path", "--path", "none.json"], "none.json can't be read"),
        ("render", ["--frames", "0"], "0 frames"),
        ("render", ["--fps", "0"], "0 frames a second"),
        ("render", ["--mode", "orbit", "--degrees", "91"], "an orbit of 91 degrees"),
        ("render", ["--mode", "orbit", "--time", "3.5"], "time 3.5; expected 0 to 3"),
        ("render", ["--mode", "fixed-view", "--view", "nan"], "view nan"),
        ("export", ["--times", "0,x"], "the times '0,x'"),
        ("export", ["--times", "4"], "expected numbers from 0 to 3"),
        ("export", ["--view", "3"], "view 3; expected 0 to 2"),
        ("export", ["--format", "4dgs"], "the output out for 4dgs; expected a name that ends in .4dgs"),
        ("export", ["--fps", "4"], "fps for ply; expected one of times, time, view"),
    ],
)
def test_options_that_cannot_be(refused, tmp_path, command, args, says):
    assert says in refused(command, "-o", str(tmp_path / "out"), *args)
    assert not [p for p in (tmp_path / "out").rglob("*") if p.is_file()] and not (tmp_path / "out").is_file()


@pytest.mark.parametrize(
    ("name", "args", "says"),
    [
        ("s.splat", [], "whose ending .splat means no format; expected .ply, .4dgs, .usd, .usdc, .usda, .glb, .spz"),
        ("s.splat", ["--format", "ply"], "expected a name that ends in .ply or a folder's name without an ending"),
        ("a.html", ["--format", "ply"], "the output a.html for ply"),
        ("a.ply", ["--format", "colmap"], "the output a.ply for colmap; expected a folder's name"),
        ("a.ply", ["--compact"], "compact for ply"),
        ("a.4dgs", ["--view", "1"], "view for 4dgs; expected one of fps"),
        ("a.4dgs", ["--fps", "0"], "0.0 time steps a second"),
        ("a.json", ["--time", "1"], "time for cameras; expected none"),
        ("a.glb", ["--time", "3.5"], "time 3.5; expected 0 to 3"),
        ("a.glb", ["--times", "1"], "times for glb; expected one of time, view"),
    ],
)
def test_outputs_that_cannot_be(refused, tmp_path, name, args, says):
    assert says in refused("export", "-o", str(tmp_path / "new" / name), *args)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("name", "args", "says"),
    [("t.gif", [], "means no clip; expected .mp4, .webm, .webp"), ("t.mp4", ["--alpha"], "transparent background")],
)
def test_films_that_cannot_be(refused, tmp_path, name, args, says):
    assert says in refused("render", "-o", str(tmp_path / "new" / name), *args)
    assert not (tmp_path / "new").exists()


def test_a_folder_may_have_a_version_in_its_name(saved, tmp_path):
    assert main(["export", str(saved), "-o", str(tmp_path / "v1.5"), "--time", "2", "--quiet"]) == 0
    assert [p.name for p in (tmp_path / "v1.5").iterdir()] == ["frame_0000.ply"]


@pytest.mark.parametrize(
    ("name", "args", "files"),
    [
        ("sparse/0", ["--format", "colmap"], ["cameras.txt", "images.txt", "points3D.txt"]),
        ("transforms.json", [], ["transforms.json"]),
        ("cameras.py", ["--fps", "12"], ["cameras.py"]),
        ("a.html", ["--compact"], ["a.html"]),
    ],
)
def test_what_needs_no_package_is_written(saved, tmp_path, capsys, name, args, files):
    path = tmp_path / "new" / name
    assert main(["export", str(saved), "-o", str(path), "--json", *args]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [Path(p).name for p in report["files"]] == files
    assert sorted(p.name for p in (path if path.is_dir() else path.parent).iterdir()) == files


def test_help_names_every_format(capsys):
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    shown = capsys.readouterr().out
    for form in EXPORTS:
        assert f"  {form.name} " in shown and form.writes in shown


def test_several_times_do_not_fit_one_file(refused, tmp_path):
    assert "2 times for one file" in refused("export", "-o", str(tmp_path / "a.ply"), "--times", "0,1")


def test_no_scene_and_the_scene_itself(refused, saved, tmp_path):
    assert "no file" in refused("render", "-o", str(tmp_path / "a.mp4"), scene=tmp_path / "nothing")
    assert "no file" in refused("export", "-o", str(tmp_path / "a.ply"), scene=tmp_path)
    before = (saved / "scene.safetensors").read_bytes()
    assert "means no format" in refused("export", "-o", str(saved / "scene.safetensors"))
    assert "means no clip" in refused("render", "-o", str(saved / "scene.safetensors"))
    odd = saved / "scene.ply"  # a scene by another name
    odd.write_bytes(before)
    assert "which is the scene itself" in refused("export", "-o", str(odd), scene=odd)
    assert odd.read_bytes() == before
    assert (saved / "scene.safetensors").read_bytes() == before
