"""Weights spread over processes (FSDP): what a checkpoint gathers goes on where it was, and to the same weights."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("sharded_process.py")


@pytest.mark.skipif(sys.platform == "win32", reason="torch's gloo has no sharding on Windows")
def test_a_run_spread_over_processes_goes_on_to_the_same_weights() -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    root = str(SCRIPT.parents[2])
    processes = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=root,
            env=os.environ
            | {
                "RANK": str(rank),
                "WORLD_SIZE": "2",
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "OMP_NUM_THREADS": "1",
                "PYTHONPATH": root,
            },
        )
        for rank in range(2)
    ]
    said = [process.communicate(timeout=240) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    weights, average = map(float, said[0][0].split())
    # the sums are the same in the same order, so nothing differs here; a lost moment moves weights by 3e-2
    assert weights < 1e-6 and average < 1e-6
