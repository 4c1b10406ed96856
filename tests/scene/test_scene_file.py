"""Scenes on disk: back as they were, strict about what is not a scene, whole or not there at all."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fourreal_core.errors import InputError
from fourreal_core.scene.formats.scene_file import load_scene, save_scene, scene_tensors

from .scenes import rendered_grid, sliding, wall_scene

NAME = "scene.safetensors"


@pytest.mark.parametrize("moves", [True, False])
def test_a_scene_comes_back_bit_for_bit(tmp_path: Path, moves: bool) -> None:
    scene = wall_scene(2, 3, sliding(3) if moves else None)
    save_scene(scene, tmp_path / NAME)
    back = load_scene(str(tmp_path / NAME))
    for name, value in scene_tensors(scene).items():
        assert torch.equal(scene_tensors(back)[name], value), name
    assert set(scene_tensors(back)) == set(scene_tensors(scene))
    assert back.times == 3 and back.cameras.size == scene.cameras.size
    assert (back.deformation is None) != moves
    if moves:
        assert back.deformation.spec == scene.deformation.spec
    assert torch.equal(rendered_grid(back), rendered_grid(scene))
    assert [p.name for p in tmp_path.iterdir()] == [NAME]


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    save_scene(wall_scene(2, 3, sliding(3)), tmp_path / NAME)
    with safe_open(tmp_path / NAME, framework="pt") as file:
        metadata = file.metadata()
    assert metadata["format"] == "fourreal-scene" and metadata["version"] == "4" and metadata["times"] == "3"
    assert json.loads(metadata["size"]) == [24, 32] and json.loads(metadata["deformation"])["knots"] == 2


def test_a_motion_residual_comes_back_and_older_files_have_none(tmp_path: Path) -> None:
    scene = replace(wall_scene(2, 3, sliding(3)), motion_residual=torch.randn(2, 3, 3, 4, 5))
    save_scene(scene, tmp_path / NAME)
    assert torch.equal(load_scene(tmp_path / NAME).motion_residual, scene.motion_residual)
    rewrite(tmp_path, metadata={"version": "1"})
    assert load_scene(tmp_path / NAME).motion_residual is None


def test_what_a_fit_adds_comes_back(tmp_path: Path) -> None:
    scene = wall_scene(2, 3, sliding(3))
    scene = replace(
        scene,
        view_colors=torch.randn(2, len(scene.splats), 3),
        tracked_weights=torch.randn_like(scene.deformation.weights),
    )
    save_scene(scene, tmp_path / NAME)
    back = load_scene(tmp_path / NAME)
    assert torch.equal(back.view_colors, scene.view_colors)
    assert torch.equal(back.tracked_weights, scene.tracked_weights)


def rewrite(
    tmp_path: Path, tensors: dict[str, torch.Tensor | None] | None = None, metadata: dict[str, str | None] | None = None
) -> Path:
    """A good file with some things replaced, or taken out where they are None."""
    path = tmp_path / NAME
    save_scene(wall_scene(2, 3, sliding(3)), path)
    with safe_open(path, framework="pt") as file:
        words = file.metadata() | (metadata or {})
    values = load_file(path) | (tensors or {})
    save_file({k: v for k, v in values.items() if v is not None}, path, {k: v for k, v in words.items() if v})
    return path


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({"format": "other"}, "another kind"),
        ({"format": None}, "another kind"),
        ({"version": "5"}, "of version 5"),
        ({"version": None}, "version"),
        ({"version": "abc"}, "abc"),
        ({"times": None}, "times"),
        ({"size": "hello"}, "header"),
        ({"size": "[1, 2, 3]"}, "header"),
        ({"deformation": '{"x": 1}'}, "header"),
        ({"deformation": '{"features": 0}'}, "positive sizes"),
        ({"times": "0"}, "at least 1 time"),
    ],
)
def test_headers_are_strict(tmp_path: Path, metadata: dict[str, str | None], says: str) -> None:
    with pytest.raises(InputError, match=says):
        load_scene(rewrite(tmp_path, metadata=metadata))


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ({"means": None}, r"lacks \['means'\]"),
        ({"extra": torch.zeros(1)}, r"has \['extra'\] beyond"),
        ({"deformation.out": None}, "lacks"),
        ({"deformation.waves": torch.zeros(3, 5)}, "a deformation of shapes"),
        ({"means": torch.zeros(4, 3)}, "splats of shapes"),
        ({"background": torch.zeros(4)}, "a scene of shapes"),
        ({"view_depth": torch.ones(2, 5, 5)}, "a scene of shapes"),
        ({"background": torch.full((3,), torch.nan)}, "NaN"),
        ({"background": torch.zeros(3, dtype=torch.float64)}, "float64"),
        ({"visible": torch.ones(2, 1920)}, "visible"),
    ],
)
def test_tensors_are_strict(tmp_path: Path, tensors: dict[str, torch.Tensor | None], says: str) -> None:
    with pytest.raises(InputError, match=says):
        load_scene(rewrite(tmp_path, tensors))


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x04\x95 a pickle", b"\xff" * 64])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as safetensors"):
        load_scene(tmp_path / NAME)


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    save_scene(wall_scene(2, 3), tmp_path / NAME)
    whole = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(whole[:-10])
    with pytest.raises(InputError, match="cannot be read as safetensors"):
        load_scene(tmp_path / NAME)


def test_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file .*nothing.safetensors"):
        load_scene(tmp_path / "nothing.safetensors")


def test_scenes_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    scene = wall_scene(2, 3)
    broken = replace(scene, background=torch.tensor([0.0, float("nan"), 0.0]))
    with pytest.raises(InputError, match="whose background holds NaN"):
        save_scene(broken, tmp_path / NAME)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can.t be written"):
        save_scene(wall_scene(2, 3), tmp_path / "nowhere" / NAME)


@pytest.mark.skipif(
    sys.platform == "win32" or (hasattr(os, "geteuid") and os.geteuid() == 0),
    reason="every folder can be written to here",
)
def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError, match="can.t be written"):
            save_scene(wall_scene(2, 3), tmp_path / NAME)
    finally:
        tmp_path.chmod(0o700)


def test_a_full_disk_leaves_the_old_file_and_no_half_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / NAME
    save_scene(wall_scene(2, 3), path)
    before = path.read_bytes()

    def full(self: Path, data: bytes) -> int:
        with open(self, "wb") as file:
            file.write(data[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="no space left to write"):
        save_scene(wall_scene(2, 4), path)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == [NAME]


def test_an_interrupt_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(source: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_scene(wall_scene(2, 3), tmp_path / NAME)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_files_of_every_version_load_and_move_as_they_say(tmp_path: Path, version: int) -> None:
    """Written tensor by tensor under the names that the format has had since its first version."""
    rng = torch.Generator().manual_seed(0)
    n, features, knots, times = 5, 4, 2, 3
    means = torch.rand(n, 3, generator=rng) + torch.tensor([-0.5, -0.5, 1.0])
    tensors = {
        "means": means,
        "log_scales": torch.full((n,), -3.0),
        "colors": torch.rand(n, 3, generator=rng),
        "opacity_logits": torch.ones(n),
        "world_to_cam": torch.eye(4).repeat(2, 1, 1),
        "intrinsics": torch.tensor([[20.0, 0, 8], [0, 20, 6], [0, 0, 1]]).repeat(2, 1, 1),
        "view_offsets": 0.01 * torch.randn(2, n, 3, generator=rng),
        "visible": torch.ones(2, n, dtype=torch.bool),
        "motion_weight": torch.tensor([0.0, 0.5, 1.0, 1.0, 1.0]),
        "view_depth": torch.full((2, 12, 16), 1.5),
        "view_motion": torch.ones(2, 12, 16),
        "background": torch.zeros(3),
        "deformation.waves": torch.randn(3, features, generator=rng),
        "deformation.phases": torch.rand(features, generator=rng),
        "deformation.out": 0.1 * torch.randn(features + 1, 3 * knots, generator=rng),
    }
    if version >= 2:
        tensors["motion_residual"] = torch.full((2, times, 3, 2, 2), 0.01)
    if version >= 3:
        tensors["view_colors"] = 0.1 * torch.randn(2, n, 3, generator=rng)
        tensors["tracked_output"] = 0.1 * torch.randn(features + 1, 3 * knots, generator=rng)
    if version >= 4:
        tensors["lifetimes"] = torch.tensor([[0.0, 1.0]]).repeat(n, 1)
    spec = {
        "features": features,
        "frequencies": [2.0, 32.0],
        "knots": knots,
        "depth_gain": 0.05,
        "centre": [0.1, 0.0, 0.02],
        "extent": 0.5,
    }
    words = {"format": "fourreal-scene", "version": str(version), "times": str(times), "size": "[12, 16]"}
    save_file(tensors, tmp_path / NAME, words | {"deformation": json.dumps(spec)})
    scene = load_scene(tmp_path / NAME)

    z = means[:, 2:]
    rays = torch.cat([means[:, :2] / z, 0.05 * z.log()], 1) - torch.tensor([0.1, 0.0, 0.02])
    hidden = torch.sin(rays / 0.5 @ tensors["deformation.waves"] + tensors["deformation.phases"])
    output = torch.cat([hidden, torch.ones(n, 1)], 1) @ tensors["deformation.out"]
    offsets = 0.5 * z * (output[:, :3] + output[:, 3:]) / 2  # half way between the two knots
    if version >= 2:
        offsets = offsets + 0.01 * z
    expected = means + tensors["motion_weight"][:, None] * offsets
    torch.testing.assert_close(scene.deformed(1.5), expected, rtol=0, atol=1e-6)  # float32
    expected = expected + tensors["view_offsets"][1]  # the cameras are the world's axes
    torch.testing.assert_close(scene.in_view(1, 1.5), expected, rtol=0, atol=1e-6)
    shown = tensors["colors"] + tensors["view_colors"][1] if version >= 3 else tensors["colors"]
    assert torch.equal(scene.colors_in(1), shown)
    assert (scene.tracked_weights is not None) == (version >= 3)
