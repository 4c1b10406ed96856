"""The host for these tests, if the environment names one, with clips in its input folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .sample_input import SIZE, node_of, sample_clips

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A running ComfyUI with the clips in its input folder."""
    if not os.environ.get("COMFYUI_PATH"):
        pytest.skip("COMFYUI_PATH names no ComfyUI checkout (and COMFYUI_PYTHON the interpreter of its environment)")
    pytest.importorskip("websocket", reason="websocket-client is not installed")
    from fourreal_core.media import write_video

    from .comfy_host import ComfyHost

    started = ComfyHost(
        Path(os.environ["COMFYUI_PATH"]),
        os.environ.get("COMFYUI_PYTHON", "python"),
        tmp_path_factory.mktemp("comfy") / "base",
    )
    try:
        freeze_time, fixed_view = sample_clips()
        folder = started.base / "input"
        write_video(freeze_time, folder / "freeze_time.mp4", crf=8)
        write_video(fixed_view, folder / "fixed_view.mp4", crf=8)
        write_video(fixed_view[:, :, : SIZE[1] // 2], folder / "narrow.mp4")
        yield started
    finally:
        started.close()


@pytest.fixture(scope="session")
def workflow() -> dict[str, Any]:
    """The job step by step in API format, with less of everything that takes long."""
    prompt = json.loads((REPOSITORY / "workflows" / "api" / "step_by_step_4d.json").read_text("utf-8"))
    node_of(prompt, "FourRealSampleClips")["inputs"] |= {"width": SIZE[1], "height": SIZE[0]}
    node_of(prompt, "FourRealTracks3D")["inputs"]["max_points"] = 3000
    node_of(prompt, "FourRealFitDeformation")["inputs"] |= {"steps": 10, "refit": 20}
    return prompt


@pytest.fixture(scope="session")
def finished(host: Any, workflow: dict[str, Any]) -> Any:
    """The whole job, run once."""
    run = host.run(workflow)
    assert not run.error, run.error
    return run
