""".4dgs files: what the package reads back renders as the scene does, at every moment."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.scene.formats import fourdgs as fourdgs_file
from fourreal_core.scene.formats.fourdgs import save_fourdgs
from fourreal_core.scene.gaussians import Splats
from fourreal_core.scene.render import render_camera
from fourreal_core.scene.scene4d import Scene4D

from .scenes import DISTANCE, FOCAL, SIZE, psnr, sliding, wall_scene

FPS = 8.0


@pytest.fixture
def scene() -> Scene4D:
    """A slanting wall of which the right half slides; slanting, so that which splat is nearer is not left to order."""
    whole = wall_scene(3, 4, sliding(4, (3.0, -2.0)))
    means = whole.splats.means.clone()
    means[:, 2] += means[:, :2] @ torch.tensor([0.2, 0.13])
    return replace(whole, splats=replace(whole.splats, means=means), motion_weight=(means[:, 0] > 0).float())


def as_read(package: Any, path: Path, time: float) -> Splats:
    """The file's Gaussians at a moment, in this project's frame."""
    found = package.read(str(path))
    state, all_of = found.state_at(time), found.gaussians
    index = state["indices"]
    means = torch.from_numpy(state["centers"] * [1.0, -1.0, -1.0]).float()
    scales, colors = (torch.from_numpy(np.asarray(x[index], np.float32)) for x in (all_of.scales, all_of.colors))
    return Splats(means, scales[:, 0].log(), torch.logit(colors[:, 3], 1e-6), colors[:, :3])


@pytest.mark.parametrize("step", [0, 0.5, 1, 2.25, 3])
def test_every_moment_renders_as_the_scene_does(tmp_path: Path, scene: Scene4D, step: float) -> None:
    package = pytest.importorskip("fourdgs", reason="fourdgs is not installed")
    save_fourdgs(scene, tmp_path / "a.4dgs", FPS)
    back = replace(
        scene,
        splats=as_read(package, tmp_path / "a.4dgs", step / FPS),
        deformation=None,
        view_offsets=torch.zeros(3, len(scene.splats), 3),
    )
    with torch.no_grad():
        there, here = (render_camera(s, scene.cameras[2], t).image for s, t in ((back, 0), (scene, step)))
    # colours and opacities are rounded to half a step of 255, which is 54 dB for one of them
    assert psnr(there, here) > 45


def test_only_what_moves_is_kept_more_than_once(scene: Scene4D) -> None:
    rows = fourdgs_file.gaussians(scene, FPS)
    moving = int(scene.motion_weight.sum())
    assert 0 < moving < len(scene.splats)
    assert len(rows["positions"]) == len(scene.splats) + 3 * moving
    assert {len(x) for x in rows.values()} == {len(rows["positions"])}
    for time in (0.0, 0.3, 0.49):  # the windows tile the clip
        assert int(((rows["win_lo"] <= time) & (time < rows["win_hi"])).sum()) == len(scene.splats)


def test_a_player_starts_at_the_central_camera(tmp_path: Path, scene: Scene4D) -> None:
    package = pytest.importorskip("fourdgs", reason="fourdgs is not installed")
    save_fourdgs(scene, tmp_path / "a.4dgs", FPS)
    found = package.read(str(tmp_path / "a.4dgs"))
    camera, frame = found.camera, found.provenance.frame
    assert tuple(camera.position) == pytest.approx((0, 0, 0), abs=1e-6)  # the central camera is the world
    assert tuple(camera.target) == pytest.approx((0, 0, -DISTANCE), rel=0.02)  # upright: ahead is -z
    half = np.tan(np.radians(camera.fov_y_deg) / 2)
    assert half == pytest.approx(SIZE[0] / 2 / FOCAL, rel=1e-6)
    assert (frame.handedness, frame.up_axis, frame.forward_axis) == (1, 1, 5)  # right-handed, +y up, -z ahead


def test_the_files_own_checker_is_content(tmp_path: Path, scene: Scene4D) -> None:
    package = pytest.importorskip("fourdgs.validate", reason="fourdgs is not installed")
    save_fourdgs(scene, tmp_path / "a.4dgs", FPS)
    report = package.validate((tmp_path / "a.4dgs").read_bytes())
    assert report.ok, report
    assert [p.name for p in tmp_path.iterdir()] == ["a.4dgs"]


def test_a_scene_of_one_moment_is_a_file_too(tmp_path: Path) -> None:
    package = pytest.importorskip("fourdgs", reason="fourdgs is not installed")
    scene = wall_scene(2, 1)
    save_fourdgs(scene, tmp_path / "a.4dgs", FPS)
    assert len(as_read(package, tmp_path / "a.4dgs", 0.06)) == len(scene.splats)


def test_without_the_package_it_says_what_to_install(tmp_path: Path, scene: Scene4D, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "fourdgs", None)
    with pytest.raises(InputError, match="install it with `python -m pip install fourdgs`"):
        save_fourdgs(scene, tmp_path / "a.4dgs")
    assert not list(tmp_path.iterdir())


def test_what_is_not_finite_or_nothing_is_not_written(tmp_path: Path, scene: Scene4D) -> None:
    pytest.importorskip("fourdgs", reason="fourdgs is not installed")
    for fps in (0.0, float("nan")):
        with pytest.raises(InputError, match="time steps a second"):
            save_fourdgs(scene, tmp_path / "a.4dgs", fps)
    with pytest.raises(InputError, match="without splats"):
        save_fourdgs(scene.select(torch.tensor([], dtype=torch.long)), tmp_path / "a.4dgs")
    scene.splats.colors[3, 1] = float("nan")
    with pytest.raises(InputError, match="NaN or infinite"):
        save_fourdgs(scene, tmp_path / "a.4dgs")
    assert not list(tmp_path.iterdir())
