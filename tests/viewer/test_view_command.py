"""``fourreal view`` as a process: it says where, answers, and ends with Ctrl-C."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from fourreal_core.scene.formats.scene_file import save_scene

from .scenes import lively_scene, unpack


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent otherwise there")
def test_view_serves_until_ctrl_c(tmp_path: Path) -> None:
    save_scene(lively_scene(300), tmp_path / "scene.safetensors")
    command = [
        sys.executable,
        "-m",
        "fourreal_core.cli",
        "view",
        str(tmp_path),
        "--port",
        "0",
        "--no-browser",
        "--json",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        text = ""
        while not text.endswith("}\n"):
            line = process.stdout.readline()
            assert line, process.stderr.read()
            text += line
        address = json.loads(text)["address"]
        with urllib.request.urlopen(address + "run/0/scene") as answer:
            assert unpack(answer.read()).head["title"] == tmp_path.name
    finally:
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=60)[1]
    assert process.returncode == 0, errors
