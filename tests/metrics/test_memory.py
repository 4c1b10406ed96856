"""Peak memory: a plausible figure with its source, and a reason where there is none."""

from __future__ import annotations

import builtins
import ctypes
import subprocess
import sys
from types import SimpleNamespace

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
def test_without_any_way_to_measure_the_reason_is_said(monkeypatch, tmp_path):
    real = builtins.__import__

    def without_resource(name, *args, **kwargs):
        if name == "resource":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(memory, "_STATUS", tmp_path / "none")
    monkeypatch.setattr(builtins, "__import__", without_resource)
    value, reason = memory.peak_memory_mb()
    assert value is None and "no resource module" in reason


def test_the_peak_is_this_process_and_not_the_one_that_started_it():
    if memory.peak_memory_mb()[1] != "VmHWM of /proc/self/status":
        pytest.skip("only Linux tells them apart")
    code = "from fourreal_core.metrics import peak_memory_mb as peak; print(peak()[0])"
    started = "import subprocess, sys; held = b'x' * (700 << 20); subprocess.run([sys.executable, '-c', sys.argv[1]])"
    done = subprocess.run([sys.executable, "-c", started, code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 650


def test_what_was_freed_between_what_stays_is_given_back():
    if sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"):
        pytest.skip("this C library gives freed memory back by itself, or never")
    code = (
        "from fourreal_core.metrics.memory import _STATUS, _proc_mb, return_freed_memory\n"
        "pieces = [bytearray(b'x' * 60_000) for _ in range(4000)]\n"
        "kept = pieces[::50]; del pieces\n"
        "before = _proc_mb(_STATUS, 'VmRSS:'); return_freed_memory(); print(before - _proc_mb(_STATUS, 'VmRSS:'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) > 100  # of the 229 MiB


MEMINFO = "MemTotal: 8000000 kB\nMemFree: 100 kB\nMemAvailable: 4096000 kB\n"


@pytest.mark.parametrize(
    ("group", "free"),
    [
        ({}, 4000),
        ({"memory.max": "max", "memory.current": "5", "memory.stat": "inactive_file 0"}, 4000),
        ({"memory.max": f"{3000 << 20}", "memory.current": f"{2000 << 20}", "memory.stat": "anon 1"}, 1000),
        (
            {
                "memory.max": f"{3000 << 20}",
                "memory.current": f"{2000 << 20}",
                "memory.stat": f"inactive_file {500 << 20}",
            },
            1500,
        ),
        ({"memory.max": "10", "memory.current": f"{2000 << 20}", "memory.stat": ""}, 0),
        (
            {
                "memory/memory.limit_in_bytes": f"{2500 << 20}",
                "memory/memory.usage_in_bytes": f"{1500 << 20}",
                "memory/memory.stat": f"inactive_file 3\ntotal_inactive_file {200 << 20}",
            },
            1200,
        ),
    ],
)
def test_what_is_free_is_what_machine_and_container_have_left(monkeypatch, tmp_path, group, free):
    (tmp_path / "meminfo").write_text(MEMINFO)
    for name, text in group.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    assert memory.free_memory_mb() == free


def test_without_linux_psutil_is_asked_or_nobody(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "none")
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    there = SimpleNamespace(virtual_memory=lambda: SimpleNamespace(available=700 << 20))
    monkeypatch.setitem(sys.modules, "psutil", there)
    assert memory.free_memory_mb() == 700
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert memory.free_memory_mb() is None
