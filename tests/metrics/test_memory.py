"""Peak memory: a plausible figure with its source, and a reason where there is none."""

from __future__ import annotations

import builtins
import subprocess
import sys

import pytest

from fourreal_core.metrics import memory


def test_the_peak_grows_by_what_is_held():
    if memory.peak_memory_mb()[0] is None:
        pytest.skip(memory.peak_memory_mb()[1])
    code = (
        f"import runpy; peak = runpy.run_path({memory.__file__!r})['peak_memory_mb']\n"  # alone: without PyTorch
        "before = peak()[0]; held = b'x' * (int(before + 64) << 20); print(peak()[0] - before, before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    grown, before = (float(x) for x in done.stdout.split())
    assert grown > 32 and 5 < before < 500  # MiB


@pytest.mark.skipif(sys.platform == "win32", reason="there is a Windows API to ask")
def test_without_any_way_to_measure_the_reason_is_said(monkeypatch):
    real = builtins.__import__

    def without_resource(name, *args, **kwargs):
        if name == "resource":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_resource)
    value, reason = memory.peak_memory_mb()
    assert value is None and "no resource module" in reason
