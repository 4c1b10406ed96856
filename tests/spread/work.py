"""Work that the tests spread: a module of its own, because workers in other processes import it by name."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np

from fourreal_core.errors import InputError


def square(number: int) -> int:
    """Fails for three numbers, each in its own way."""
    if number == 3:
        raise InputError("the number 3", "another", "leave it out")
    if number == 4:
        raise KeyError("four")
    if number == 5:
        return int(np.ones((2**30, 8)).sum())  # 8 GiB, of which each page would be touched
    return number * number


def dies_once(folder: str) -> str:
    """Kills its process the first time that a folder is worked on."""
    with open(Path(folder) / "starts", "a", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")
    if len((Path(folder) / "starts").read_text("utf-8").splitlines()) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return (Path(folder) / "starts").read_text("utf-8")


def always_dies(number: int) -> int:
    """Kills its process if the number is 1."""
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def slow(folder: str) -> None:
    """Says which process it is, and takes ten minutes."""
    part = Path(folder, "part")
    part.write_text(str(os.getpid()))
    part.rename(Path(folder, "started"))
    time.sleep(600)


def gone(pid: int, seconds: float = 60) -> bool:
    """Whether a process ends within some time; the work of ``slow`` never does by itself."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/status").exists() and "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text():
                return True
        except OSError:
            return True
        time.sleep(0.1)
    return False
