"""Splats in other programs' files: read back by readers of their own, in the axes and units that the docs state."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fourreal_core.cameras import project
from fourreal_core.errors import InputError
from fourreal_core.exports import EXPORTS
from fourreal_core.scene.formats.ply import splats_at
from fourreal_core.scene.formats.registry import format_named
from fourreal_core.scene.formats.scene_format import ExportOptions, export_scene
from fourreal_core.scene.scene4d import Scene4D

from .compass import FORWARD, HERE, RIGHT, SIZE, TIMES, UP, VIEWS, compass
from .ply_reader import read_ply
from .splat_readers import Read, read_glb, read_sog, read_spz

STILL = ("ply", "glb", "spz", "sog")
UPRIGHT = np.diag([1.0, -1.0, -1.0])
REMAINING = 1e-6  # float32


@pytest.fixture
def scene() -> Scene4D:
    return compass()


def written(scene: Scene4D, name: str, path: Path, options: ExportOptions | None = None) -> Path:
    """A file of a format, or a skip where its package is not installed."""
    form = format_named(name, EXPORTS)
    if form.package is not None:
        pytest.importorskip(form.package.module, reason=f"{form.package.install} is not installed")
    assert export_scene(scene, form, path, options or ExportOptions()) == [path]
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    return path


def read_still(name: str, path: Path) -> Read:
    """A file of a moment, in its own axes."""
    if name == "ply":
        back = read_ply(path)
        found = (back.means, back.scales[:, None].expand(-1, 3), back.opacities, back.colors)
        return Read(*(x.numpy() for x in found))
    if name == "glb":
        return read_glb(path)[0]
    if name == "spz":
        pytest.importorskip("zstandard", reason="zstandard is not installed")
        return read_spz(path)[0]
    return read_sog(path)


def in_order(read: Read, means: np.ndarray) -> Read:
    """The rows in the order of the scene's splats, by their places: .sog sorts them."""
    order = np.linalg.norm(read.means[None] - means[:, None], axis=-1).argmin(1)
    assert sorted(order.tolist()) == list(range(len(means)))
    return Read(read.means[order], read.scales[order], read.opacities[order], read.colors[order])


@pytest.mark.parametrize("name", STILL)
def test_right_up_and_forward_are_where_the_docs_say(tmp_path: Path, scene: Scene4D, name: str) -> None:
    back = read_still(name, written(scene, name, tmp_path / f"a.{name}"))
    axes = np.eye(3) if name == "ply" else UPRIGHT
    means = in_order(back, scene.splats.means.numpy() @ axes).means
    directions = [means[k] - means[HERE] for k in (RIGHT, UP, FORWARD)]
    expected = [[1, 0, 0], [0, -1, 0], [0, 0, 1]] if name == "ply" else [[1, 0, 0], [0, 1, 0], [0, 0, -1]]
    np.testing.assert_allclose(directions, expected, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        # means in scene units, logarithms of scales, opacities, colours
        ("glb", (REMAINING, REMAINING, REMAINING, REMAINING)),
        # steps of 1/4096, 1/16 of a logarithm, 1/255, and 0.282 / (0.15 * 255) of a colour
        ("spz", (0.5 / 4096, 0.5 / 16, 0.5 / 255, 0.5 * 0.2821 / 0.15 / 255)),
        # 16 bits of what is spread here over 3 units by a logarithm; scales and colours from tables of 256
        ("sog", (1e-4, 0.02, 0.5 / 255, 0.005)),
    ],
)
@pytest.mark.parametrize("time", [0.0, 1.5])
def test_a_moment_comes_back(tmp_path: Path, scene: Scene4D, name: str, limits: tuple[float, ...], time: float) -> None:
    path = written(scene, name, tmp_path / f"a.{name}", ExportOptions(time=time))
    with torch.no_grad():
        means = scene.deformed(time).numpy() @ UPRIGHT
    splats = scene.splats
    back = in_order(read_still(name, path), means)
    errors = (
        np.abs(back.means - means).max(),
        np.abs(np.log(back.scales) - splats.log_scales.numpy()[:, None]).max(),
        np.abs(back.opacities - splats.opacities.numpy()).max(),
        np.abs(back.colors - splats.colors.numpy()).max(),
    )
    assert all(error <= limit * 1.001 + 1e-6 for error, limit in zip(errors, limits, strict=True)), errors


def test_a_glb_says_what_its_colours_are(tmp_path: Path, scene: Scene4D) -> None:
    _, own = read_glb(written(scene, "glb", tmp_path / "a.glb"))
    assert own == {"kernel": "ellipse", "colorSpace": "srgb_rec709_display"}


def test_a_views_differences_can_be_taken_along(tmp_path: Path, scene: Scene4D) -> None:
    shake = torch.randn(VIEWS, len(scene.splats), 3, generator=torch.Generator().manual_seed(1)) * 0.1
    scene = replace(scene, view_offsets=shake)
    back, _ = read_glb(written(scene, "glb", tmp_path / "a.glb", ExportOptions(time=2, view=1)))
    expected = splats_at(scene, 2, 1).means.numpy() @ UPRIGHT
    np.testing.assert_allclose(back.means, expected, atol=REMAINING)
    assert np.abs(back.means - scene.deformed(2).detach().numpy() @ UPRIGHT).max() > 0.05


@pytest.mark.parametrize("ending", [".usd", ".usdc", ".usda"])
def test_a_usd_stage_moves_as_the_scene_does(tmp_path: Path, scene: Scene4D, ending: str) -> None:
    path = written(scene, "usd", tmp_path / f"a{ending}", ExportOptions(fps=12))
    from pxr import Usd, UsdGeom, UsdVol

    stage = Usd.Stage.Open(str(path))
    assert UsdGeom.GetStageUpAxis(stage) == "Y" and UsdGeom.GetStageMetersPerUnit(stage) == 1
    assert (stage.GetTimeCodesPerSecond(), stage.GetStartTimeCode(), stage.GetEndTimeCode()) == (12, 0, TIMES - 1)
    prim = UsdVol.ParticleField3DGaussianSplat(stage.GetPrimAtPath("/Scene/Splats"))
    positions = prim.GetPositionsAttr()
    assert positions.GetTimeSamples() == [0, 1, 2, 3]
    for time in (0.0, 1.0, 2.5, 3.0):  # the field's knots lie at the time steps: it is even between them, too
        with torch.no_grad():
            expected = scene.deformed(time).numpy() @ UPRIGHT
        np.testing.assert_allclose(np.array(positions.Get(time)), expected, atol=REMAINING)
    means = np.array(positions.Get())
    directions = [means[k] - means[HERE] for k in (RIGHT, UP, FORWARD)]
    np.testing.assert_allclose(directions, [[1, 0, 0], [0, 1, 0], [0, 0, -1]], atol=REMAINING)
    splats = scene.splats
    np.testing.assert_allclose(
        np.array(prim.GetScalesAttr().Get()), splats.scales.numpy()[:, None].repeat(3, 1), rtol=1e-6
    )
    np.testing.assert_allclose(np.array(prim.GetOpacitiesAttr().Get()), splats.opacities.numpy(), rtol=1e-6)
    assert {(q.real, *q.imaginary) for q in prim.GetOrientationsAttr().Get()} == {(1, 0, 0, 0)}
    assert prim.GetRadianceSphericalHarmonicsDegreeAttr().Get() == 0
    harmonics = np.array(prim.GetRadianceSphericalHarmonicsCoefficientsAttr().Get())
    np.testing.assert_allclose(harmonics * 0.28209479 + 0.5, splats.colors.numpy(), atol=REMAINING)
    least, most = np.array(prim.GetExtentAttr().Get())
    reach = 3 * splats.scales.numpy()[:, None]
    everywhere = np.stack([np.array(positions.Get(time)) for time in range(TIMES)])
    np.testing.assert_allclose(least, (everywhere - reach).min((0, 1)), atol=REMAINING)
    np.testing.assert_allclose(most, (everywhere + reach).max((0, 1)), atol=REMAINING)


def test_a_usd_stages_cameras_see_what_ours_do(tmp_path: Path, scene: Scene4D) -> None:
    path = written(scene, "usd", tmp_path / "a.usdc")
    from pxr import Gf, Usd, UsdGeom

    stage = Usd.Stage.Open(str(path))
    for view in range(VIEWS):
        camera = UsdGeom.Camera(stage.GetPrimAtPath(f"/Scene/Cameras/view_{view:02}")).GetCamera(0)
        frustum = camera.frustum
        seen = frustum.ComputeViewMatrix() * frustum.ComputeProjectionMatrix()
        near, far = camera.clippingRange.min, camera.clippingRange.max
        assert near < 0.01 and far > 1000  # a unit is the median distance here, so much is nearer than USD's own 1
        ours = scene.cameras[view]
        pixels = project(ours.to_camera(scene.splats.means)[0], ours.intrinsics[0]).numpy()
        for point, pixel in zip((scene.splats.means.numpy() @ UPRIGHT).tolist(), pixels, strict=True):
            x, y, _ = seen.Transform(Gf.Vec3d(*point))
            np.testing.assert_allclose([(x + 1) / 2 * SIZE[1], (1 - y) / 2 * SIZE[0]], pixel, atol=1e-3)


def test_another_reader_of_usd_finds_the_same(tmp_path: Path, scene: Scene4D) -> None:
    path = written(scene, "usd", tmp_path / "a.usdc")
    reader = pytest.importorskip("fourdgs.usd", reason="fourdgs is not installed")
    found = reader.from_usd(str(path)).gaussians
    np.testing.assert_allclose(found.positions, scene.splats.means.numpy() @ UPRIGHT, atol=REMAINING)
    np.testing.assert_allclose(found.colors[:, :3], scene.splats.colors.numpy(), atol=REMAINING)


@pytest.mark.parametrize("form", [f for f in EXPORTS if f.package is not None], ids=lambda f: f.name)
def test_without_its_package_a_format_says_what_to_install(
    tmp_path: Path, scene: Scene4D, form: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, form.package.module, None)
    with pytest.raises(InputError, match=f"install it with `python -m pip install {form.package.install}`"):
        export_scene(scene, form, tmp_path / f"a{form.endings[0]}", ExportOptions())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["4dgs", "usd", *STILL])
def test_what_is_not_finite_is_not_written(tmp_path: Path, scene: Scene4D, name: str) -> None:
    form = format_named(name)
    if form.package is not None:
        pytest.importorskip(form.package.module, reason=f"{form.package.install} is not installed")
    scene.splats.colors[3, 1] = float("nan")
    with pytest.raises(InputError, match="NaN or infinite"):
        export_scene(scene, form, tmp_path / f"a{form.endings[0]}", ExportOptions())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["4dgs", "glb", "spz", "sog"])
def test_nothing_is_no_file(tmp_path: Path, scene: Scene4D, name: str) -> None:
    form = format_named(name)
    pytest.importorskip(form.package.module, reason=f"{form.package.install} is not installed")  # type: ignore[union-attr]
    with pytest.raises(InputError, match="without splats"):
        export_scene(scene.select(torch.tensor([], dtype=torch.long)), form, tmp_path / f"a.{name}", ExportOptions())
    assert not list(tmp_path.iterdir())


def test_an_spz_does_not_hold_what_is_far_away(tmp_path: Path, scene: Scene4D) -> None:
    form = format_named("spz")
    pytest.importorskip("gaussforge", reason="gaussforge is not installed")
    scene.splats.means[5, 2] = 3000.0
    with pytest.raises(InputError, match="a splat 3000 units away; expected less than 2048"):
        export_scene(scene, form, tmp_path / "a.spz", ExportOptions())
    assert not list(tmp_path.iterdir())
