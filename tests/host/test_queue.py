"""``fourreal queue`` on two real hosts, of which one is killed while it works."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import pytest

from fourreal_core.cli import main
from fourreal_core.media import write_video

from .comfy_host import ComfyHost
from .sample_input import node_of, sample_clips

pytestmark = pytest.mark.host
JOBS = 10


@pytest.fixture
def second_host(host: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Another host, on another port and with folders of its own."""
    python = os.environ.get("COMFYUI_PYTHON", "python")
    started = ComfyHost(Path(os.environ["COMFYUI_PATH"]), python, tmp_path_factory.mktemp("second") / "base")
    yield started
    started.close()


@pytest.fixture
def rows(tmp_path: Path, workflow: dict[str, Any]) -> Path:
    """A manifest of grids of different sizes, one of which can't be made, and a workflow that shows a grid."""
    freeze_time, fixed_view = sample_clips()
    write_video(freeze_time, tmp_path / "freeze.mp4", crf=8)
    write_video(fixed_view, tmp_path / "fixed.mp4", crf=8)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    lines = ["id,freeze_time,fixed_view,views"]
    lines += [f"j{i},freeze.mp4,{'broken' if i == 3 else 'fixed'}.mp4,{2 + i % 7}" for i in range(JOBS)]
    (tmp_path / "m.csv").write_text("\n".join(lines))
    prompt: dict[str, Any] = {
        f"{k}": {"class_type": "LoadVideo", "inputs": {"file": "x.mp4"}, "_meta": {"title": f"{name} clip"}}
        for k, name in ((1, "Freeze-time"), (2, "Fixed-view"))
    }
    grid = node_of(workflow, "FourRealGridFromVideos")["inputs"] | {"freeze_time": ["1", 0], "fixed_view": ["2", 0]}
    sheet = {"grid": ["3", 0], "mode": "contact sheet", "view": 0, "time": 0}
    prompt["3"] = {"class_type": "FourRealGridFromVideos", "inputs": grid}
    prompt["4"] = {"class_type": "FourRealGridToImages", "inputs": sheet}
    prompt["5"] = {"class_type": "SaveImage", "inputs": {"images": ["4", 0], "filename_prefix": "x"}}
    (tmp_path / "w.json").write_text(json.dumps(prompt))
    return tmp_path


def test_all_outputs_are_there_though_a_host_is_killed(host: Any, second_host: Any, rows: Path) -> None:
    out = rows / "out"
    command = ["queue", str(rows / "w.json"), str(rows / "m.csv"), "-o", str(out), "--quiet"]
    command += ["--host", host.address, "--host", second_host.address]
    command += ["--set", "Freeze-time clip.file={freeze_time}", "--set", "Fixed-view clip.file={fixed_view}"]
    command += ["--set", "3.views={views}", "--set", "SaveImage.filename_prefix=queued/{id}"]

    def kill_at_work() -> None:
        while not any((second_host.base / "output").rglob("*.png")):  # it has done a job, and goes on with the next
            time.sleep(0.02)
        second_host._process.kill()

    threading.Thread(target=kill_at_work, daemon=True).start()
    assert main(command) == 1
    lines = (out / "index.jsonl").read_text("utf-8").splitlines()
    records = {record["id"]: record for record in map(json.loads, lines)}
    assert sorted(records) == [f"j{i}" for i in range(JOBS)]
    assert [name for name, record in records.items() if record["state"] == "failed"] == ["j3"], records
    assert "the fixed-view clip" in records["j3"]["error"] and "expected a video" in records["j3"]["error"]
    for i in set(range(JOBS)) - {3}:
        (picture,) = (out / f"j{i}").glob("*.png")
        height, width = iio.imread(picture).shape[:2]
        assert height > (2 + i % 7) * 80 and width > 8 * 128, "a contact sheet of another grid"
    used = {record.get("host") for record in records.values()} - {None}
    assert host.address.rstrip("/") in used
    assert second_host._process.wait(20) != 0
    assert any(record["tries"] > 1 for record in records.values()), "the killed host held no job"
    before = {path: path.stat().st_mtime_ns for path in out.glob("j*/*")}
    assert main([*command[:6], "--host", host.address, *command[10:]]) == 1  # the one that fails is tried again
    assert {path: path.stat().st_mtime_ns for path in out.glob("j*/*")} == before
