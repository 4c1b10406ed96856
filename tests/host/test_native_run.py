"""A grid sampled by a queued prompt, with a tiny model in place of a large one."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.host
FOLDER = Path(__file__).resolve().parent / "tiny_models" / "as_nodes"
CANCEL_SECONDS = 2.0
SAMPLING = {"seed": 3, "steps": 4, "cfg": 3.0, "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0}
GIVEN = {
    "model": {"class_type": "TinyModel", "inputs": {"family": "wan_t2v", "pause": 0.0}},
    "positive": {"class_type": "TinyText", "inputs": {"family": "wan_t2v", "seed": 1}},
    "negative": {"class_type": "TinyText", "inputs": {"family": "wan_t2v", "seed": 2}},
    "vae": {"class_type": "TinyVae", "inputs": {}},
    "freeze": {"class_type": "LoadVideo", "inputs": {"file": "freeze_time.mp4"}},
    "fixed": {"class_type": "LoadVideo", "inputs": {"file": "fixed_view.mp4"}},
    "grid": {
        "class_type": "FourRealGridFromVideos",
        "inputs": {
            "freeze_time": ["freeze", 0],
            "fixed_view": ["fixed", 0],
            "views": 3,
            "times": 4,
            "longest_side": 0,
            "more_cells_at": "",
        },
    },
}
SHARED = {"vae": ["vae", 0], "grid": ["grid", 0], "positive": ["positive", 0], "negative": ["negative", 0]}
ONE_NODE = {
    "one": {
        "class_type": "FourRealParallelSyncSampler",
        "inputs": {"model": ["model", 0], "variant": "soft", **SHARED, **SAMPLING},
    }
}
WIRED = {
    "sync": {"class_type": "FourRealApplyParallelSync", "inputs": {"model": ["model", 0], "variant": "soft"}},
    "told": {"class_type": "FourRealFreezeTimeConditioning", "inputs": {"model": ["sync", 0], **SHARED}},
    "sampler": {
        "class_type": "KSampler",
        "inputs": {
            "model": ["sync", 0],
            "positive": ["told", 0],
            "negative": ["told", 1],
            "latent_image": ["told", 2],
            **SAMPLING,
        },
    },
    "wired": {
        "class_type": "FourRealDecode4DLatent",
        "inputs": {"latent": ["sampler", 0], "vae": ["vae", 0], "grid": ["grid", 0]},
    },
}


def saved(source: str) -> dict[str, Any]:
    return {
        f"{source} images": {
            "class_type": "FourRealGridToImages",
            "inputs": {"grid": [source, 0], "mode": "all cells", "view": 0, "time": 0},
        },
        f"{source} file": {
            "class_type": "SaveImage",
            "inputs": {"images": [f"{source} images", 0], "filename_prefix": source},
        },
    }


@pytest.fixture(scope="module")
def native_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A running ComfyUI that has the tiny models as nodes, and clips."""
    if not os.environ.get("COMFYUI_PATH"):
        pytest.skip("COMFYUI_PATH names no ComfyUI checkout (and COMFYUI_PYTHON the interpreter of its environment)")
    pytest.importorskip("websocket", reason="websocket-client is not installed")
    from fourreal_core.media import write_video

    from .comfy_host import ComfyHost
    from .sample_input import sample_clips

    started = ComfyHost(
        Path(os.environ["COMFYUI_PATH"]),
        os.environ.get("COMFYUI_PYTHON", "python"),
        tmp_path_factory.mktemp("comfy") / "base",
        FOLDER,
    )
    try:
        for clip, name in zip(sample_clips(), ("freeze_time", "fixed_view"), strict=True):
            write_video(clip, started.base / "input" / f"{name}.mp4", crf=8)
        yield started
    finally:
        started.close()


def pictures(host: Any, run: Any, node: str) -> np.ndarray:
    import imageio.v3 as iio

    return np.stack(
        [
            iio.imread(host.base / "output" / entry["subfolder"] / entry["filename"])
            for entry in run.outputs[node]["images"]
        ]
    )


def test_one_node_and_the_wired_graph_save_the_same_pictures(native_host: Any) -> None:
    run = native_host.run(GIVEN | ONE_NODE | WIRED | saved("one") | saved("wired"))
    assert not run.error, run.error
    one, wired = pictures(native_host, run, "one file"), pictures(native_host, run, "wired file")
    assert one.shape == (12, 80, 128, 3) and np.array_equal(one, wired)
    assert one[5:8].std() > 5, "the made cells are flat"
    steps = [data["value"] for data in run.data("progress") if data["node"] == "one" and data["max"] == 4]
    assert sorted(set(steps)) == [1, 2, 3, 4] and steps == sorted(steps)
    assert run.previews >= 4


def test_cancelling_ends_the_step_and_both_streams(native_host: Any) -> None:
    slow = GIVEN | {"model": {"class_type": "TinyModel", "inputs": {"family": "wan_t2v", "pause": 0.5}}}
    pressed: list[float] = []

    def press(kind: str, data: dict[str, Any]) -> None:
        if kind == "progress" and data["node"] == "one" and data["max"] == 4 and not pressed:
            pressed.append(time.monotonic())
            native_host.interrupt()

    run = native_host.run(slow | ONE_NODE | saved("one"), until=press)
    # a step of this model takes 3 blocks x 2 streams x 0.5 s = 3 s; a cancel is seen after the block at hand
    assert time.monotonic() - pressed[0] < CANCEL_SECONDS
    assert run.events[-1][0] == "execution_interrupted"
    look = native_host.run({"look": {"class_type": "RunningThreads", "inputs": {"nonce": 1}}})
    assert look.outputs["look"]["threads"]
    assert not [name for name in look.outputs["look"]["threads"] if name.startswith("4Real")]


def test_a_wrong_wire_is_named(native_host: Any) -> None:
    split = {
        "part": {"class_type": "LatentFromBatch", "inputs": {"samples": ["told", 2], "batch_index": 0, "length": 2}}
    }
    wired = {
        **WIRED,
        "sampler": {"class_type": "KSampler", "inputs": {**WIRED["sampler"]["inputs"], "latent_image": ["part", 0]}},
    }
    run = native_host.run(GIVEN | wired | split | saved("wired"))
    assert "a grid of 3 views and 4 times, and a latent of 2 and 4" in run.error
    assert "no node that splits or repeats a batch" in run.error
