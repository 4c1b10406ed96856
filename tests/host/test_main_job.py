"""The shipped workflow, run by a real host."""

from __future__ import annotations

import copy
import io
import time
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest

from .sample_input import SIZE, TIMES, VIEWS, node_of

pytestmark = pytest.mark.host
CANCEL_SECONDS = 2.0


def files_of(host: Any, run: Any, kind: str = "output") -> dict[str, bytes]:
    """Files that a run's output nodes name, by file name."""
    found = {}
    for output in run.outputs.values():
        for entry in (e for values in output.values() if isinstance(values, (list, tuple)) for e in values):
            if isinstance(entry, dict) and entry.get("type") == kind:
                found[entry["filename"]] = (host.base / kind / entry["subfolder"] / entry["filename"]).read_bytes()
    return found


def test_every_output_is_written(host: Any, finished: Any) -> None:
    files = files_of(host, finished)
    grid = iio.imread(files["grid_00001_.mp4"], extension=".mp4", plugin="pyav")
    film = iio.imread(files["camera_path_00001_.mp4"], extension=".mp4", plugin="pyav")
    assert grid.shape[0] == TIMES and grid.shape[1] > SIZE[0] and grid.shape[2] > SIZE[1]
    assert film.shape == (48, *SIZE, 3)
    assert film.std() > 10, "the video along the camera path is a flat colour"
    assert len(files["scene_00001_.safetensors"]) > 10_000
    shown = files_of(host, finished, "temp")
    (sheet,) = (iio.imread(data) for name, data in shown.items() if name.endswith(".png"))
    assert len([name for name in shown if name.endswith(".4rv")]) == 2  # both previews
    assert sheet.shape[0] > VIEWS * SIZE[0] and sheet.shape[1] > TIMES * SIZE[1]


def test_progress_and_previews_arrive(finished: Any, workflow: dict[str, Any]) -> None:
    fit = next(i for i, node in workflow.items() if node["class_type"] == "FourRealFitDeformation")
    seen = [data["value"] / data["max"] for data in finished.data("progress") if data["node"] == fit]
    assert seen == sorted(seen) and seen[-1] == 1 and len(seen) > 2
    assert finished.previews > 0
    nodes = {number: node["class_type"] for number, node in workflow.items()}
    said = {(nodes[number], text.split(" · ")[0]) for number, text in finished.texts}
    for words in (
        ("FourRealGeometryFromParallax", "Finding cameras and depth"),
        ("FourRealTracks3D", "Following points through time"),
        ("FourRealFitDeformation", "Fitting the scene to the grid"),
    ):
        assert words in said


def test_a_scene_survives_saving_and_loading(host: Any, finished: Any, workflow: dict[str, Any]) -> None:
    name = next(n for n in files_of(host, finished) if n.endswith(".safetensors"))
    direct = copy.deepcopy(workflow)
    fit = next(i for i, node in direct.items() if node["class_type"] == "FourRealFitDeformation")
    direct |= freeze_frame("100", [fit, 0], "direct")
    loaded = {"200": {"class_type": "FourRealLoadScene", "inputs": {"file": f"4Real/{name} [output]"}}}
    loaded |= freeze_frame("100", ["200", 0], "loaded")
    pictures = [
        pixels(files_of(host, finish(host, prompt)), prefix)
        for prompt, prefix in ((direct, "direct"), (loaded, "loaded"))
    ]
    assert np.array_equal(*pictures)


def test_an_input_that_the_mode_does_not_use_renders_nothing_again(host: Any, finished: Any) -> None:
    name = next(n for n in files_of(host, finished) if n.endswith(".safetensors"))
    prompt = {"200": {"class_type": "FourRealLoadScene", "inputs": {"file": f"4Real/{name} [output]"}}}
    prompt |= freeze_frame("100", ["200", 0], "unused")
    finish(host, prompt)
    again = copy.deepcopy(prompt)
    again["100"]["inputs"] |= {"degrees": 33.0, "time": 2.0, "colors": "source", "camera_path": "not even JSON"}
    (cached,) = finish(host, again).data("execution_cached")
    assert "100" in cached["nodes"]
    again["100"]["inputs"]["view"] = 1.0
    (cached,) = finish(host, again).data("execution_cached")
    assert "100" not in cached["nodes"]


def test_the_host_renders_the_scene_as_splats(host: Any, finished: Any) -> None:
    name = next(n for n in files_of(host, finished) if n.endswith(".safetensors"))
    prompt = {
        "200": {"class_type": "FourRealLoadScene", "inputs": {"file": f"4Real/{name} [output]"}},
        "201": {"class_type": "FourRealSceneToSplat", "inputs": {"scene": ["200", 0], "time": 0, "view": 0}},
    }
    if "RenderSplat" not in host.get_json("/object_info"):
        prompt["202"] = {"class_type": "PreviewAny", "inputs": {"source": ["201", 1]}}
        assert "expected ComfyUI 0.27 or newer" in host.run(prompt).error
        return
    prompt["202"] = {
        "class_type": "RenderSplat",
        "inputs": {
            "splat": ["201", 0],
            "camera_info": ["201", 1],
            "width": SIZE[1],
            "height": SIZE[0],
            "frames": 1,
            "splat_scale": 1.0,
            "sharpen": 1.0,
            "headlight_shading": 0.0,
            "opacity_threshold": 0.0,
            "render_style": "color",
            "background": "#000000",
        },
    }
    prompt["203"] = {"class_type": "SaveImage", "inputs": {"images": ["202", 0], "filename_prefix": "host_splat"}}
    prompt |= freeze_frame("100", ["200", 0], "own_splat")
    run = finish(host, prompt)
    theirs, ours = (pixels(files_of(host, run), prefix).astype(float) / 255 for prefix in ("host_splat", "own_splat"))
    mirrored = [np.mean((theirs[::y, ::x] - ours) ** 2) for y, x in ((1, -1), (-1, 1), (-1, -1))]
    assert np.mean((theirs - ours) ** 2) < min(0.01, *(0.5 * m for m in mirrored))


def test_the_hosts_geometry_nodes_take_ours(host: Any, workflow: dict[str, Any]) -> None:
    if "MoGeRender" not in host.get_json("/object_info"):
        pytest.skip("this ComfyUI has no MoGe nodes")
    prompt = {i: workflow[i] for i in ("1", "3", "4")}
    prompt["100"] = {"class_type": "MoGeRender", "inputs": {"moge_geometry": ["4", 0], "output": "depth"}}
    prompt["101"] = {"class_type": "SaveImage", "inputs": {"images": ["100", 0], "filename_prefix": "depth"}}
    run = finish(host, prompt)
    near = [iio.imread(data)[..., 0] for name, data in files_of(host, run).items() if name.startswith("depth")]
    assert len(near) == VIEWS
    assert near[0][30:50, 50:70].mean() > near[0][:15].mean() + 30, "the puppet is not nearer than the wall"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"more_cells_at": "v1_t1"}, "0 further cells and 1 names"),
        ({"more_cells_at": "row 3"}, "expected names such as v3_t5"),
    ],
)
def test_a_wrong_input_is_named(host: Any, workflow: dict[str, Any], change: dict[str, Any], sentence: str) -> None:
    prompt = copy.deepcopy(workflow)
    node_of(prompt, "FourRealGridFromVideos")["inputs"].update(change)
    run = host.run(prompt)
    assert sentence in run.error
    assert run.data("execution_error")[0]["exception_type"] == "InputError"  # no path before the sentence


def test_a_prefix_outside_the_output_folder_is_refused(host: Any, finished: Any) -> None:
    name = next(n for n in files_of(host, finished) if n.endswith(".safetensors"))
    prompt = {
        "200": {"class_type": "FourRealLoadScene", "inputs": {"file": f"4Real/{name} [output]"}},
        "201": {"class_type": "FourRealSaveScene", "inputs": {"scene": ["200", 0], "filename_prefix": "../../escaped"}},
    }
    assert "stays in the output folder" in host.run(prompt).error
    assert not list(host.base.parent.rglob("escaped*"))


@pytest.mark.parametrize("file", ["absent.safetensors [output]", "../user/comfyui.db [output]"])
def test_a_scene_that_is_not_there_is_refused_before_the_run(host: Any, file: str) -> None:
    prompt = {"200": {"class_type": "FourRealLoadScene", "inputs": {"file": file}}}
    prompt |= freeze_frame("100", ["200", 0], "x")
    status, reply = host.post("/prompt", {"prompt": prompt})
    assert status == 400 and "expected a" in str(reply["node_errors"]["200"])


def test_cancelling_stops_a_long_node(host: Any, workflow: dict[str, Any]) -> None:
    prompt = copy.deepcopy(workflow)
    node_of(prompt, "FourRealFitDeformation")["inputs"]["steps"] = 100_000
    fit = next(i for i, node in prompt.items() if node["class_type"] == "FourRealFitDeformation")
    pressed: list[float] = []

    def press(kind: str, data: dict[str, Any]) -> None:
        if kind == "progress" and data["node"] == fit and not pressed:
            pressed.append(time.monotonic())
            host.interrupt()

    run = host.run(prompt, press)
    waited = time.monotonic() - pressed[0]
    assert [data["node_id"] for data in run.data("execution_interrupted")] == [fit]
    assert waited < CANCEL_SECONDS
    assert not run.error


def finish(host: Any, prompt: dict[str, Any]) -> Any:
    """A run that must not fail."""
    run = host.run(prompt)
    assert not run.error, run.error
    return run


def freeze_frame(first_id: str, scene: list[Any], prefix: str) -> dict[str, Any]:
    """Nodes that save view 0 at time 0 of a scene."""
    inputs = {
        "scene": scene,
        "mode": "fixed view",
        "frames": 2,
        "time": 0.0,
        "view": 0.0,
        "degrees": 10.0,
        "colors": "splats",
    }
    return {
        first_id: {"class_type": "FourRealRenderScene", "inputs": inputs},
        f"{first_id}1": {"class_type": "SaveImage", "inputs": {"images": [first_id, 0], "filename_prefix": prefix}},
    }


def pixels(files: dict[str, bytes], prefix: str) -> np.ndarray:
    """The first picture that was saved under a prefix."""
    return iio.imread(io.BytesIO(next(data for name, data in sorted(files.items()) if name.startswith(prefix))))
