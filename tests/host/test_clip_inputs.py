"""Clips as a real host hands them over: upscaled, trimmed, in lists, of another shape."""

from __future__ import annotations

import io
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest

from fourreal_core.media import read_clip

from .sample_input import SIZE, TIMES, sample_clips

pytestmark = pytest.mark.host


def loaded(name: str) -> dict[str, Any]:
    return {"class_type": "LoadVideo", "inputs": {"file": name}}


def grid_of(freeze_time: list[Any], fixed_view: list[Any], **more: Any) -> dict[str, Any]:
    """A grid's node "90", and its first row as pictures of the host."""
    inputs = {"freeze_time": freeze_time, "fixed_view": fixed_view, "views": 8, "times": 8, "longest_side": 0} | more
    row = {"grid": ["90", 0], "mode": "row", "view": 0, "time": 0}
    return {
        "90": {"class_type": "FourRealGridFromVideos", "inputs": inputs},
        "91": {"class_type": "FourRealGridToImages", "inputs": row},
        "92": {"class_type": "PreviewImage", "inputs": {"images": ["91", 0]}},
    }


def row_of(host: Any, prompt: dict[str, Any]) -> np.ndarray:
    run = host.run(prompt)
    assert not run.error, run.error
    shown = run.outputs["92"]["images"]
    files = [host.base / "temp" / image["subfolder"] / image["filename"] for image in shown]
    return np.stack([iio.imread(io.BytesIO(file.read_bytes()))[..., :3] for file in files])


def test_the_hosts_bicubic_upscale_is_taken(host: Any) -> None:
    prompt: dict[str, Any] = {}
    for k, name in ((1, "freeze_time.mp4"), (2, "fixed_view.mp4")):
        prompt[f"{k}"] = loaded(name)
        prompt[f"{k}0"] = {"class_type": "GetVideoComponents", "inputs": {"video": [f"{k}", 0]}}
        scale = {"image": [f"{k}0", 0], "upscale_method": "bicubic", "width": 256, "height": 160, "crop": "disabled"}
        prompt[f"{k}1"] = {"class_type": "ImageScale", "inputs": scale}
    assert row_of(host, prompt | grid_of(["11", 0], ["21", 0])).shape == (TIMES, 160, 256, 3)


def test_a_list_of_pictures_is_one_clip(host: Any) -> None:
    prompt: dict[str, Any] = {"1": loaded("freeze_time.mp4"), "2": loaded("fixed_view.mp4")}
    prompt["20"] = {"class_type": "GetVideoComponents", "inputs": {"video": ["2", 0]}}
    prompt["21"] = {"class_type": "RebatchImages", "inputs": {"images": ["20", 0], "batch_size": 1}}
    listed = row_of(host, prompt | grid_of(["1", 0], ["21", 0]))
    batch = row_of(host, prompt | grid_of(["1", 0], ["20", 0]))
    assert len(listed) == TIMES and np.array_equal(listed, batch)


def test_a_video_is_read_as_the_command_reads_it_and_nearer_the_truth_than_the_hosts_frames(host: Any) -> None:
    """A video has colours for every fourth pixel only; hosts fill in the others in ways of their own."""
    prompt: dict[str, Any] = {"1": loaded("freeze_time.mp4"), "2": loaded("fixed_view.mp4")}
    prompt["20"] = {"class_type": "GetVideoComponents", "inputs": {"video": ["2", 0]}}
    own = row_of(host, prompt | grid_of(["1", 0], ["2", 0])).astype(int)
    decoded = row_of(host, prompt | grid_of(["1", 0], ["20", 0])).astype(int)
    file = host.base / "input" / "fixed_view.mp4"
    assert np.array_equal(own, (read_clip(file).numpy() * 255).astype(np.uint8))  # as the host saves pictures
    true = (sample_clips()[1].numpy() * 255).astype(int)
    assert own.shape == decoded.shape == true.shape
    assert np.abs(own - true).mean() < 3.5 and np.abs(own - true).mean() <= np.abs(decoded - true).mean()


def test_a_trimmed_video_is_read_within_its_window(host: Any) -> None:
    if "Video Slice" not in host.get_json("/object_info"):
        pytest.skip("this ComfyUI trims no videos")
    prompt: dict[str, Any] = {"1": loaded("freeze_time.mp4"), "2": loaded("fixed_view.mp4")}
    trim = {"video": ["2", 0], "start_time": 0.25, "duration": 0.5, "strict_duration": False}
    prompt["20"] = {"class_type": "Video Slice", "inputs": trim}
    whole = row_of(host, prompt | grid_of(["1", 0], ["2", 0]))
    part = row_of(host, prompt | grid_of(["1", 0], ["20", 0]))
    assert np.array_equal(part, whole[2:6])  # 8 frames a second


@pytest.mark.parametrize("fit", [None, "pad", "stretch"])
def test_another_shape_is_fitted(host: Any, fit: str | None) -> None:
    prompt: dict[str, Any] = {"1": loaded("freeze_time.mp4"), "2": loaded("narrow.mp4")}
    row = row_of(host, prompt | grid_of(["1", 0], ["2", 0], **({} if fit is None else {"fit": fit})))
    assert row.shape == (TIMES, *SIZE, 3)
    assert (row[:, :, : SIZE[1] // 5].max() == 0) == (fit == "pad")
