"""What a batch makes in these tests: a module of its own, because workers in other processes import it by name."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fourreal_core.batch.checking import RowRules
from fourreal_core.batch.fingerprint import Job
from fourreal_core.errors import InputError


def fault(values: Mapping[str, str]) -> str | None:
    """Numbers have to be numbers."""
    return None if values.get("number", "0").lstrip("-").isdigit() else f"number is {values['number']!r}"


RULES = RowRules(
    ("clip", "number", "memory_mb"), ("clip",), ("memory_mb",), lambda v: [c for c in ("clip",) if c in v], fault
)


def make(job: Job, copies: Mapping[str, Path], folder: Path) -> dict[str, Any]:
    """Copies the clip and its number; says in the environment's file that it was started."""
    number = int(job.options.get("number", "0"))
    if starts := os.environ.get("STARTS"):
        with open(starts, "a", encoding="utf-8") as file:
            file.write(f"{job.id}\n")
    (folder / "copy").write_bytes(copies["clip"].read_bytes())
    time.sleep(float(os.environ.get("SLOW", "0")))
    if number < 0:
        raise InputError(f"the number {number} of {copies['clip'].name}", "none below 0", "raise it")
    if number == 99:
        np.ones(2**27)  # 1 GiB
    if number == 13:
        logging.getLogger("fourreal_core.test").warning("thirteen")
    (folder / "number").write_text(str(number))
    return {"seconds": 1.5, "splats": number, "seconds_by_stage": {"copy": 1.0, "write": 0.5}}
