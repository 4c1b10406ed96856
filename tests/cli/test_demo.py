"""``fourreal demo``: with the stand-in its figures, and for real in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fourreal_core.cli import main
from fourreal_core.cli.arguments import OUTPUT_NAMES
from fourreal_core.job_memory import JobSize
from fourreal_core.media import read_clip

SMALL = ["--size", "64x48", "--views", "3", "--times", "3"]
MEDIUM = ["--size", "128x72", "--views", "4", "--times", "4"]
COMPILING_MB = 400
"""What compiling adds to the peak where this run is the first one."""
COMMAND = [sys.executable, "-m", "fourreal_core.cli"]


def test_figures_compare_the_unknown_cells_with_the_truth(tmp_path, pipeline, capsys):
    assert main(["demo", "-o", str(tmp_path), *SMALL, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report["cells"]) == {f"v{v}_t{t}" for v in (1, 2) for t in (1, 2)}
    # the stand-in repeats the freeze-time frames, so it must score exactly what a frozen scene scores
    assert report["psnr_mean"] == pytest.approx(report["psnr_mean_frozen"], abs=1e-3)
    assert report["psnr_mean_subject"] < report["psnr_mean"] < 35 and 0.3 < report["ssim_mean"] < 1
    assert list(report["seconds"]) == ["sample scene", "clips", "stand-in", "compare", "write"]


def test_the_job_gets_the_clips_as_the_files_have_them(tmp_path, pipeline):
    assert main(["demo", "-o", str(tmp_path), "--size", "65x47", "--views", "3", "--times", "2", "--quiet"]) == 0
    assert (pipeline.grid.freeze_time[2] == read_clip(tmp_path / "freeze_time.mp4")[2, :47, :65]).all()
    assert pipeline.grid.size == (47, 65)


@pytest.mark.parametrize("args", [["--views", "1"], ["--size", "8x8"], ["--times", "-2"]])
def test_demos_of_nothing_are_refused(tmp_path, pipeline, capsys, args):
    assert main(["demo", "-o", str(tmp_path / "out"), *args]) == 2
    assert "at least" in capsys.readouterr().err and pipeline.grid is None


def test_the_real_job_beats_a_frozen_scene(tmp_path):
    args = ["demo", "-o", str(tmp_path), "--size", "128x72", "--views", "4", "--times", "4", "--json"]
    done = subprocess.run([*COMMAND, *args], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["psnr_mean"] > report["psnr_mean_frozen"] + 1
    assert {p.name for p in tmp_path.iterdir()} == {*OUTPUT_NAMES, "grid"}
    if report["peak_memory_source"].startswith("VmHWM"):  # other systems count what started the process, too
        estimated = JobSize(4, 4, 72, 128).estimated_mb
        assert 0.7 * estimated < report["peak_memory_mb"] < 1.3 * estimated + COMPILING_MB


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_real_interrupt_ends_with_130_and_no_half_file(tmp_path, sign):
    args = [*COMMAND, "demo", "-o", str(tmp_path), "--quiet", *MEDIUM]
    process = subprocess.Popen(args, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (tmp_path / "fixed_view.mp4").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    assert process.poll() is None, process.stderr.read()
    os.kill(process.pid, sign)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "interrupted" in err and "Traceback" not in err
    assert {p.name for p in Path(tmp_path).iterdir()} == {"freeze_time.mp4", "fixed_view.mp4"}
