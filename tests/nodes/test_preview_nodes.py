"""The previews' nodes: what they leave for the front end, and what they give on."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from .test_export_nodes import RENDER, SIZE, TIMES, VIEWS, Node, Part, scene

__all__ = ["scene"]

KEYS = {
    "count": 24,
    "interpolation": "smooth",
    "frames": [{"view": 0, "time": 0}, {"position": [0.2, -0.1, 0], "target": [0, 0, 1.5], "time": 2, "focal_px": 50}],
}


@pytest.fixture
def temp(extension: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The host's temp folder."""
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_temp_directory", lambda: str(tmp_path), raising=False)
    return tmp_path / "fourreal"


def head_of(path: Path) -> dict[str, Any]:
    raw = path.read_bytes()
    return json.loads(raw[12 : 12 + int.from_bytes(raw[8:12], "little")])


def shown(part: Part, node: str, name: str, **inputs: Any) -> tuple[list[Any], dict[str, str]]:
    """What a node gives out, and the file that the front end is told of."""
    with torch.inference_mode():
        output = getattr(part(node), name).execute(**inputs)
    (file,) = next(iter(output.ui.values()))
    return list(output.result), file


def test_a_scene_is_packed_once_into_the_temp_folder(scene: Any, part: Part, temp: Path) -> None:
    given, file = shown(part, "nodes.preview_scene", "PreviewScene", scene=scene, keyframes="")
    assert given[0] is scene and file["type"] == "temp" and file["subfolder"] == "fourreal"
    path = temp / file["filename"]
    assert head_of(path)["splats"] == len(scene.splats) and head_of(path)["times"] == TIMES
    before = path.stat().st_mtime_ns
    _, again = shown(part, "nodes.preview_scene", "PreviewScene", scene=scene, keyframes=json.dumps(KEYS))
    assert again == file and path.stat().st_mtime_ns == before  # keyframes don't pack it again
    _, other = shown(part, "nodes.preview_scene", "PreviewScene", scene=scene.select(torch.arange(7)), keyframes="")
    assert other != file and head_of(temp / other["filename"])["splats"] == 7


def test_given_frames_of_a_grid_are_there_to_compare_with(scene: Any, part: Part, temp: Path, fails: Node) -> None:
    frames = torch.rand(VIEWS, TIMES, *SIZE, 3, generator=torch.Generator().manual_seed(0))
    make = part("fourreal_core.grid").FrameGrid.from_clips
    grid = make(frames[:, 0], frames[0])
    (given, *_), file = shown(part, "nodes.preview_scene", "PreviewScene", scene=scene, keyframes="", grid=grid)
    head = head_of(temp / file["filename"])
    cells = [(s["view"], s["time"]) for s in head["sections"] if s["kind"] == "frame"]
    assert given is scene and cells == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (2, 0)]
    _, alone = shown(part, "nodes.preview_scene", "PreviewScene", scene=scene, keyframes="")
    assert not [s for s in head_of(temp / alone["filename"])["sections"] if s["kind"] == "frame"]
    other = make(frames[:, 0].flip(1), frames[0].flip(1))
    _, changed = shown(part, "nodes.preview_scene", "PreviewScene", scene=scene, keyframes="", grid=other)
    assert len({file["filename"], alone["filename"], changed["filename"]}) == 3
    short = make(frames[:, 0], frames[0, :2])
    says = fails("FourRealPreviewScene", scene=scene, keyframes="", grid=short)
    assert "a grid of 3 x 2 cells" in says and "3 x 4" in says and "the grid the scene was fitted to" in says


def test_the_grid_comes_last_so_that_saved_workflows_stay_as_they_are(part: Part) -> None:
    names = [(i.id, i.optional) for i in part("nodes.preview_scene").PreviewScene.GET_SCHEMA().inputs]
    assert names == [("scene", False), ("keyframes", False), ("grid", True)]


def test_without_keyframes_the_path_is_the_clips(scene: Any, part: Part, temp: Path, run: Node) -> None:
    (_, path, info), _ = shown(part, "nodes.preview_scene", "PreviewScene", scene=scene, keyframes=" ")
    assert [frame["view"] for frame in json.loads(path)["frames"]] == [0, 1, 2]
    video, _ = run("FourRealRenderScene", scene=scene, mode="camera path", camera_path=path, **RENDER)
    assert video.shape == (48, *SIZE, 3)
    assert isinstance(info, dict) and info["position"]["x"] == pytest.approx(-0.1)


def test_keyframes_go_out_as_a_path_and_as_cameras(
    scene: Any, part: Part, temp: Path, run: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part("nodes.preview_scene"), "camera_lists", lambda: True)
    (_, path, infos), _ = shown(part, "nodes.preview_scene", "PreviewScene", scene=scene, keyframes=json.dumps(KEYS))
    assert json.loads(path) == KEYS and len(infos) == 2
    assert infos[1]["position"] == pytest.approx({"x": 0.2, "y": 0.1, "z": 0}, abs=1e-6)  # the host's y is up
    video, _ = run("FourRealRenderScene", scene=scene, mode="camera path", camera_path=path, **RENDER)
    assert len(video) == 24
    passed, _ = run("FourRealRenderScene", scene=scene, mode="camera", camera_info=infos, **RENDER)
    alone = [run("FourRealRenderScene", scene=scene, mode="camera", camera_info=info, **RENDER)[0] for info in infos]
    assert len(passed) == RENDER["frames"]
    torch.testing.assert_close(passed[0], alone[0][0])
    torch.testing.assert_close(passed[-1], alone[1][-1])


def test_an_empty_list_is_no_camera(scene: Any, fails: Node) -> None:
    says = fails("FourRealRenderScene", scene=scene, mode="camera", camera_info=[], **RENDER)
    assert "a camera_info, or a list of them" in says


@pytest.mark.parametrize(("declared", "lists"), [(dict, False), (list[dict], True), (dict | list[dict], True)])
def test_hosts_are_asked_whether_they_take_lists(
    part: Part, monkeypatch: pytest.MonkeyPatch, declared: Any, lists: bool
) -> None:
    compat = part("nodes.compat")
    monkeypatch.setattr(compat, "io", SimpleNamespace(Load3DCamera=SimpleNamespace(Type=declared)))
    assert compat.camera_lists() is lists


@pytest.mark.parametrize(("keyframes", "says"), [("{", "not JSON"), ('{"frames": [{"view": 9}]}', "view 9")])
def test_keyframes_of_another_scene_are_named(scene: Any, part: Part, temp: Path, keyframes: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        part("nodes.preview_scene").PreviewScene.execute(scene, keyframes)


def test_a_grid_is_packed_with_what_is_known(part: Part, temp: Path) -> None:
    frames = torch.rand(VIEWS, TIMES, *SIZE, 3, generator=torch.Generator().manual_seed(0))
    grid = part("fourreal_core.grid").FrameGrid.from_clips(frames[:, 0], frames[0])
    (given,), file = shown(part, "nodes.preview_grid", "PreviewGrid", grid=grid)
    head = head_of(temp / file["filename"])
    assert given is grid and (head["format"], head["views"], head["times"]) == ("fourreal-grid", VIEWS, TIMES)
    cells = [[section["view"], section["time"]] for section in head["sections"]]
    assert cells == head["known"] == [[0, 0], [0, 1], [0, 2], [0, 3], [1, 0], [2, 0]]


@pytest.mark.parametrize("calls", [("on_load", "get_node_list"), ("get_node_list",)], ids=["newer host", "older host"])
def test_the_viewers_modules_are_served_where_there_is_a_server(
    extension: ModuleType, monkeypatch: pytest.MonkeyPatch, calls: tuple[str, ...]
) -> None:
    served: list[tuple[str, str]] = []
    routes = SimpleNamespace(static=lambda address, folder: served.append((address, folder)))
    monkeypatch.setitem(
        sys.modules,
        "server",
        SimpleNamespace(PromptServer=SimpleNamespace(instance=SimpleNamespace(routes=routes))),
    )
    made = asyncio.run(extension.comfy_entrypoint())
    for call in calls:
        asyncio.run(getattr(made, call)())
    ((address, folder),) = served
    script = (Path(__file__).parents[2] / "web" / "fourreal.js").read_text()
    assert f'"../..{address}/"' in script and (Path(folder) / "viewer.js").is_file()
