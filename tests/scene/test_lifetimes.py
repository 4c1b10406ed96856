"""Splats that are there for some time steps only: how they fade, and that every way out of the project keeps to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from fourreal_core.errors import InputError
from fourreal_core.exports import EXPORTS
from fourreal_core.scene.formats.colmap import colmap_texts
from fourreal_core.scene.formats.fourdgs import gaussians
from fourreal_core.scene.formats.ply import splats_at
from fourreal_core.scene.formats.registry import format_named
from fourreal_core.scene.formats.scene_file import load_scene, save_scene
from fourreal_core.scene.formats.scene_format import ExportOptions, export_scene
from fourreal_core.scene.lifetimes import presence
from fourreal_core.scene.render import render_camera, render_cell
from fourreal_core.scene.scene4d import Scene4D
from fourreal_core.scene.to_device import scene_to

from .scenes import rendered_grid, sliding, wall_scene

TIMES = 4
LEFT_COMES, RIGHT_GOES = (2.0, 3.0), (0.0, 1.0)


@pytest.fixture
def scene() -> Scene4D:
    """A sliding wall: its left third comes at step 2, its right third is there until step 1, the rest always."""
    whole = wall_scene(3, TIMES, sliding(TIMES))
    x = whole.splats.means[:, 0]
    lives = torch.tensor([0.0, TIMES - 1]).repeat(len(x), 1)
    lives[x < -0.35], lives[x > 0.35] = torch.tensor(LEFT_COMES), torch.tensor(RIGHT_GOES)
    return replace(whole, lifetimes=lives)


def there(scene: Scene4D, time: float) -> Tensor:
    """Which splats are there at all, by the definition."""
    lives = scene.lifetimes
    assert lives is not None
    return (lives[:, 0] - 1 < time) & (time < lives[:, 1] + 1)


def test_presence_by_hand() -> None:
    lives = torch.tensor([[2.0, 3.0], [0.0, 1.0], [0.0, 9.0], [2.0, 2.0]])
    found = torch.stack([presence(lives, t) for t in (0, 1, 1.25, 2, 2.75, 3, 9)])
    expected = [[0, 1, 1, 0], [0, 1, 1, 0], [0.25, 0.75, 1, 0.25], [1, 0, 1, 1], [1, 0, 1, 0.25], [1, 0, 1, 0]]
    torch.testing.assert_close(found, torch.tensor([*expected, [0, 0, 1, 0]], dtype=torch.float32))


def test_following_lives_fade_into_each_other() -> None:
    lives = torch.tensor([[1.0, 2.0], [3.0, 3.0]])
    for time in torch.linspace(1, 3, 9).tolist():
        assert float(presence(lives, time).sum()) == pytest.approx(1)


def test_cells_and_cameras_show_only_what_is_there(scene: Scene4D) -> None:
    for time in (0, 1, 2, 3):
        rest = replace(scene.select(there(scene, time)), lifetimes=None)
        with torch.no_grad():
            assert torch.equal(render_cell(scene, 1, time).image, render_cell(rest, 1, time).image)
            assert torch.equal(
                render_camera(scene, scene.cameras[0], time).image, render_camera(rest, scene.cameras[0], time).image
            )
    alpha = render_cell(scene, 1, 1.5).alpha  # both thirds are half there
    assert float(alpha[:, :8].max()) < 0.9 * float(alpha[:, 14:18].min()) > float(alpha[:, -6:].max())


def test_a_file_and_a_device_bring_them_back(scene: Scene4D, tmp_path: Path) -> None:
    save_scene(scene, tmp_path / "a.safetensors")
    back = load_scene(tmp_path / "a.safetensors")
    assert scene.lifetimes is not None and back.lifetimes is not None
    assert torch.equal(back.lifetimes, scene.lifetimes)
    assert torch.equal(rendered_grid(back), rendered_grid(scene))
    moved = scene_to(scene, torch.device("cpu"))
    assert moved.lifetimes is not None and torch.equal(moved.lifetimes, scene.lifetimes)


def test_a_selection_takes_its_lifetimes_along(scene: Scene4D) -> None:
    keep = torch.arange(0, len(scene.splats), 3)
    assert scene.lifetimes is not None
    kept = scene.select(keep).lifetimes
    assert kept is not None and torch.equal(kept, scene.lifetimes[keep])


def test_lifetimes_of_another_number_of_splats_are_refused(scene: Scene4D) -> None:
    with pytest.raises(InputError, match="lifetimes of shape"):
        replace(scene, lifetimes=torch.zeros(3, 2))


@pytest.mark.parametrize("time", [0, 1.25, 2])
def test_splats_of_a_moment_are_those_that_are_there(scene: Scene4D, time: float) -> None:
    found = splats_at(scene, time)
    keep = there(scene, time)
    assert len(found) == int(keep.sum()) and (len(found) < len(scene.splats)) == (time != 1.25)
    torch.testing.assert_close(found.opacities, scene.opacities_at(time)[keep], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.means, scene.deformed(time)[keep])
    whole = presence(scene.lifetimes[keep], time) == 1  # type: ignore[index]
    assert torch.equal(found.opacity_logits[whole], scene.splats.opacity_logits[keep][whole])


def test_colmaps_points_are_those_of_the_first_time(scene: Scene4D) -> None:
    lines = colmap_texts(scene)["points3D.txt"].splitlines()
    assert len([line for line in lines if not line.startswith("#")]) == int(there(scene, 0).sum())


def test_4dgs_windows_are_lives(scene: Scene4D) -> None:
    """Half the fading counts to the life, so what is at least half there is drawn."""
    fps = 8.0
    rows = gaussians(scene, fps)
    for time in (0.0, 0.4, 1.4, 1.6, 2.0, 3.2):
        drawn = int(((rows["win_lo"] * fps <= time) & (time < rows["win_hi"] * fps)).sum())
        assert drawn == int((presence(scene.lifetimes, min(time, TIMES - 1)) > 0.5).sum())  # type: ignore[arg-type]
    assert {len(x) for x in rows.values()} == {len(rows["positions"])}


def test_usd_opacities_change_with_time(scene: Scene4D, tmp_path: Path) -> None:
    form = format_named("usd", EXPORTS)
    pytest.importorskip("pxr", reason="usd-core is not installed")
    export_scene(scene, form, tmp_path / "a.usdc", ExportOptions())
    from pxr import Usd, UsdVol

    stage = Usd.Stage.Open(str(tmp_path / "a.usdc"))
    opacities = UsdVol.ParticleField3DGaussianSplat(stage.GetPrimAtPath("/Scene/Splats")).GetOpacitiesAttr()
    assert opacities.GetTimeSamples() == [0, 1, 2, 3]
    for time in (0, 1.5, 2.25, 3):
        np.testing.assert_allclose(np.array(opacities.Get(time)), scene.opacities_at(time).numpy(), atol=1e-6)
    assert not np.array_equal(np.array(opacities.Get(0)), np.array(opacities.Get(3)))
    np.testing.assert_allclose(np.array(opacities.Get()), scene.opacities_at(0).numpy(), atol=1e-6)
