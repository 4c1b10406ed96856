"""Native models of every family at toy size, measured inside the host's own interpreter."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parent


def probe(script: str, timeout: float = 900) -> dict[str, dict[str, Any]]:
    """Runs a script of this folder in the host's interpreter; what it reported, by name.

    Skips where the environment names no host.
    """
    if not os.environ.get("COMFYUI_PATH"):
        pytest.skip("COMFYUI_PATH names no ComfyUI checkout (and COMFYUI_PYTHON the interpreter of its environment)")
    done = subprocess.run(
        [os.environ.get("COMFYUI_PYTHON", "python"), str(FOLDER / script)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        cwd=FOLDER,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"},
    )
    lines = [json.loads(line[6:]) for line in done.stdout.splitlines() if line.startswith("PROBE ")]
    assert done.returncode == 0 and lines, done.stderr[-4000:]
    return {line["name"]: line for line in lines}


def result_of(found: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    """What a probe measured under a name; skips what this host does not have."""
    line = found[name]
    if line.get("absent"):
        pytest.skip(f"this ComfyUI has no {name}")
    assert "failed" not in line, line["failed"]
    return line["measured"]
