"""The shipped workflows in a real host: all of them are accepted, and all run with small random models."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytestmark = pytest.mark.host
API = Path(__file__).resolve().parents[2] / "workflows" / "api"
NODES = Path(__file__).resolve().parent / "tiny_models" / "as_nodes"
FILES = {
    "UNETLoader": ("unet_name", "diffusion_models"),
    "CLIPLoader": ("clip_name", "text_encoders"),
    "VAELoader": ("vae_name", "vae"),
    "CheckpointLoaderSimple": ("ckpt_name", "checkpoints"),
}
"""The host's loaders: the value that names a file, and the folder in ``models`` that it lies in."""
NATIVE = {
    "wan22_proposal_sync": ("wan22_5b", {"channels": 48, "factor": 16}),
    "ltxv_sync": ("ltxv", {"channels": 128, "factor": 32}),
}
ONE_PICTURE = {
    "one_picture_wan22": ("wan22_camera", {"channels": 16, "factor": 8, "stride": 4}),
    "one_picture_ltx": ("ltxv", {"channels": 128, "factor": 32, "stride": 8}),
}
SIZE = {"width": 128, "height": 96}
LONG = 30
NAMES = sorted(path.stem for path in API.glob("*.json"))
COMES_WITH_ALL = [name for name in NAMES if name not in NATIVE and name not in ONE_PICTURE]


@pytest.fixture(scope="module")
def workflow_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A running ComfyUI with tiny models as nodes, a random small model, and empty files for all others."""
    if not os.environ.get("COMFYUI_PATH"):
        pytest.skip("COMFYUI_PATH names no ComfyUI checkout (and COMFYUI_PYTHON the interpreter of its environment)")
    pytest.importorskip("websocket", reason="websocket-client is not installed")
    from .comfy_host import ComfyHost

    started = ComfyHost(
        Path(os.environ["COMFYUI_PATH"]),
        os.environ.get("COMFYUI_PYTHON", "python"),
        tmp_path_factory.mktemp("comfy") / "base",
        NODES,
    )
    try:
        _write_models(started.base / "models")
        yield started
    finally:
        started.close()


def _write_models(folder: Path) -> None:
    from fourreal_core.model.model4d import Model4D
    from fourreal_core.model.model_file import save_model
    from fourreal_core.model.shown_planes import PLANES_BY_COUNT
    from fourreal_core.model.spec import DiTSpec, Model4DSpec

    for path in API.glob("*.json"):
        for node in json.loads(path.read_text("utf-8")).values():
            if node["class_type"] in FILES:
                name, kind = FILES[node["class_type"]]
                (folder / kind).mkdir(parents=True, exist_ok=True)
                (folder / kind / node["inputs"][name]).touch()
    model = Model4D(
        Model4DSpec(DiTSpec(width=24, layers=3, heads=2, patch=16, conv_width=4, proposals=PLANES_BY_COUNT[2]))
    )
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    (folder / "fourreal").mkdir(parents=True, exist_ok=True)
    save_model(folder / "fourreal" / "fourreal_small.safetensors", model)


def workflow(name: str) -> dict[str, Any]:
    """A shipped workflow, with less of what takes long."""
    prompt = json.loads((API / f"{name}.json").read_text("utf-8"))
    for node in prompt.values():
        for value, small in (("max_points", 1000), ("frames", 16)):
            if value in node["inputs"]:
                node["inputs"][value] = small
    return prompt


def with_tiny_models(name: str) -> dict[str, Any]:
    """A workflow of a native model with a tiny random one, prompts and a VAE in the places of its files."""
    family, vae = NATIVE[name]
    prompt = workflow(name)
    tiny = {
        "UNETLoader": ("TinyModel", {"family": family, "pause": 0.0}),
        "VAELoader": ("TinyVae", vae),
        "CLIPTextEncode": ("TinyText", {"family": family, "seed": 1}),
        "CheckpointLoaderSimple": ("TinyModel", {"family": family, "pause": 0.0}),
    }
    whole = [key for key, node in prompt.items() if node["class_type"] == "CheckpointLoaderSimple"]
    for key in [key for key, node in prompt.items() if node["class_type"] == "CLIPLoader"]:
        del prompt[key]
    for node in prompt.values():
        if node["class_type"] in tiny:
            node["class_type"], node["inputs"] = tiny[node["class_type"]]
        if node["class_type"] in ("ImageScale", "FourRealSampleClips"):
            node["inputs"] |= SIZE
        if node["class_type"] == "FourRealGridFromVideos":
            node["inputs"] |= {"views": 4, "times": 3}
        if "steps" in node["inputs"]:
            node["inputs"]["steps"] = 3
        for value, link in node["inputs"].items():
            if isinstance(link, list) and link[0] in whole and link[1] == 2:  # a checkpoint's VAE
                node["inputs"][value] = ["vae of the checkpoint", 0]
    return prompt | {"vae of the checkpoint": {"class_type": "TinyVae", "inputs": vae}}


def from_one_picture(name: str) -> dict[str, Any]:
    """A workflow that makes its clips, with tiny random models and short clips."""
    family, vae = ONE_PICTURE[name]
    prompt = workflow(name)
    tiny = {
        "UNETLoader": ("TinyModel", {"family": family, "pause": 0.0}),
        "CheckpointLoaderSimple": ("TinyModel", {"family": family, "pause": 0.0}),
        "VAELoader": ("TinyVideoVae", vae),
        "CLIPTextEncode": ("TinyText", {"family": family, "seed": 1}),
    }
    whole = [key for key, node in prompt.items() if node["class_type"] == "CheckpointLoaderSimple"]
    for key in [key for key, node in prompt.items() if node["class_type"] == "CLIPLoader"]:
        del prompt[key]
    for node in prompt.values():
        if node["class_type"] in tiny:
            node["class_type"], node["inputs"] = tiny[node["class_type"]][0], dict(tiny[node["class_type"]][1])
        if node["class_type"] in ("WanCameraEmbedding", "WanCameraImageToVideo", "LTXVImgToVideo"):
            node["inputs"] |= SIZE | {"length": 17}
        if node["class_type"] == "FourRealSampleClips":
            node["inputs"] |= SIZE
        if node["class_type"] == "KSamplerAdvanced":
            first = node["inputs"]["start_at_step"] == 0
            node["inputs"] |= {"steps": 2, "end_at_step": 1 if first else 100, "start_at_step": 0 if first else 1}
        if node["class_type"] == "LTXVScheduler":
            node["inputs"]["steps"] = 2
        if node["class_type"] == "FourRealTwoClipsTo4D":
            node["inputs"] |= {"views": 4, "times": 3, "longest_side": 0, "quality": "draft", "refit": 2}
        for value, link in node["inputs"].items():
            if isinstance(link, list) and link[0] in whole and link[1] == 2:  # a checkpoint's VAE
                node["inputs"][value] = ["vae of the checkpoint", 0]
    return prompt | {"vae of the checkpoint": {"class_type": "TinyVideoVae", "inputs": vae}}


def videos_of(run: Any) -> list[str]:
    return [
        entry["filename"]
        for output in run.outputs.values()
        for entry in output.get("images", ())
        if entry["filename"].endswith(".mp4")
    ]


@pytest.mark.parametrize("name", NAMES)
def test_the_host_accepts_every_workflow(workflow_host: Any, name: str) -> None:
    def stop(kind: str, data: dict[str, Any]) -> None:
        if kind == "execution_start":  # the weights are empty files: that the host has taken it is all there is to see
            workflow_host.interrupt()

    workflow_host.run(workflow(name), until=stop)  # asserts that the host found nothing wrong with it


@pytest.mark.parametrize("name", NAMES)
def test_every_workflow_is_queued_unchanged(host: Any, name: str) -> None:
    """In a new user's host, without clips of their own and without models: nothing is missing but model files."""
    prompt = json.loads((API / f"{name}.json").read_text("utf-8"))
    status, reply = host.post("/prompt", {"prompt": prompt})
    if name in COMES_WITH_ALL:
        assert status == 200, reply
        host.post("/queue", {"clear": True})
        host.interrupt()
        return
    assert status == 400
    for key, node in reply["node_errors"].items():
        assert prompt[key]["class_type"] in FILES, node
        assert [error["type"] for error in node["errors"]] == ["value_not_in_list"]


@pytest.mark.parametrize("name", COMES_WITH_ALL)
def test_workflows_that_need_no_files_run_unchanged(host: Any, name: str) -> None:
    run = host.run(json.loads((API / f"{name}.json").read_text("utf-8")), timeout=1800)
    assert not run.error, run.error
    assert videos_of(run)


@pytest.mark.parametrize("name", sorted(NATIVE))
def test_native_workflows_run_with_tiny_models(workflow_host: Any, name: str) -> None:
    run = workflow_host.run(with_tiny_models(name))
    assert not run.error, run.error
    assert videos_of(run) and run.previews > 0


@pytest.mark.parametrize("name", sorted(ONE_PICTURE))
def test_one_picture_goes_through_tiny_models_to_a_scene(workflow_host: Any, name: str) -> None:
    """Parts fit: from the picture to two clips of one size, a grid, a scene. Real weights were never tried."""
    from fourreal_core.media import read_clip

    run = workflow_host.run(from_one_picture(name))
    assert not run.error, run.error
    kind = name.rsplit("_", 1)[1]
    saved = {video.rsplit("_", 2)[0]: video for video in videos_of(run)}
    assert set(saved) == {f"{kind}_freeze_time", f"{kind}_fixed_view", f"{kind}_grid"}
    for clip in ("freeze_time", "fixed_view"):
        frames = read_clip(workflow_host.base / "output" / "4Real" / saved[f"{kind}_{clip}"])
        assert frames.shape == (17, 96, 128, 3)
    assert any("fourreal_scene" in output for output in run.outputs.values())


def test_the_small_models_workflow_runs_as_it_is(workflow_host: Any) -> None:
    run = workflow_host.run(workflow("parallel_sync_small"))
    assert not run.error, run.error
    assert videos_of(run) and run.previews > 0


def long_grid(steps: int, seed: int) -> dict[str, Any]:
    prompt = workflow("extend_120_times")
    for node in prompt.values():
        if node["class_type"] == "FourRealSampleClips":
            node["inputs"]["times"] = LONG
        if node["class_type"] == "FourRealExtendGrid":
            node["inputs"] |= {"steps": steps, "seed": seed}
    grid = next(key for key, node in prompt.items() if node["class_type"] == "FourRealExtendGrid")
    return prompt | {
        "images": {
            "class_type": "FourRealGridToImages",
            "inputs": {"grid": [grid, 0], "mode": "all cells", "view": 0, "time": 0},
        },
        "files": {"class_type": "SaveImage", "inputs": {"images": ["images", 0], "filename_prefix": f"long{steps}"}},
    }


def pictures(host: Any, run: Any) -> np.ndarray:
    import imageio.v3 as iio

    return np.stack(
        [
            iio.imread(host.base / "output" / entry["subfolder"] / entry["filename"])
            for entry in run.outputs["files"]["images"]
        ]
    )


def test_a_long_grid_is_taken_up_where_it_was_cancelled(workflow_host: Any) -> None:
    """30 times are 9 chunks: 8 columns, and 3 in each further one."""
    unfinished = workflow_host.base / "output" / "4real_unfinished"

    def press(kind: str, data: dict[str, Any]) -> None:
        if kind == "progress" and len(list(unfinished.glob("*/chunk_*.safetensors"))) >= 2:
            workflow_host.interrupt()

    cut = workflow_host.run(long_grid(2, seed=1), until=press)
    assert cut.events[-1][0] == "execution_interrupted"
    done = {path: path.stat().st_mtime_ns for path in unfinished.glob("*/chunk_*.safetensors")}
    assert 2 <= len(done) < 9
    seen: set[tuple[str, int]] = set()

    def look(kind: str, data: dict[str, Any]) -> None:
        seen.update((path.name, path.stat().st_mtime_ns) for path in done if path.exists())

    resumed = workflow_host.run(long_grid(2, seed=1), until=look)
    assert not resumed.error, resumed.error
    assert {(path.name, time) for path, time in done.items()} == seen  # none of them was written again
    assert not any(unfinished.iterdir())
    made = pictures(workflow_host, resumed)
    assert made.shape == (8 * LONG, 64, 64, 3) and made[LONG + 9].std() > 5
    look_at = {"look": {"class_type": "RunningThreads", "inputs": {"nonce": 2}}}
    threads = workflow_host.run(look_at).outputs["look"]["threads"]
    assert threads and not [name for name in threads if name.startswith("4Real")]
