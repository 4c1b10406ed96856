"""One job where it was sent to: inputs fetched, outputs made, and put in their place with a record."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..spread import worker_name
from .fingerprint import MARKER, Job, inputs_seen, marker_bytes
from .job_folder import job_folder
from .storage import local_copy

MakeOutputs = Callable[[Job, Mapping[str, Path], Path], Mapping[str, Any]]
"""Makes a job's outputs: the job, its inputs on this machine's disk by column, an empty folder; returns figures."""


def do_job(make: MakeOutputs, job: Job) -> dict[str, Any]:
    """Does one job.

    Args:
        make: Makes the outputs.
        job: Which.

    Returns:
        Its record: ``id``, ``state``, what ``make`` returned, warnings, worker, time.

    Raises:
        InputError: What ``make`` raises, inputs that can't be fetched, or a folder that can't be written.
    """
    with contextlib.ExitStack() as stack:
        copies = {column: stack.enter_context(local_copy(path)) for column, path in job.inputs.items()}
        with job_folder(job) as folder:
            with _warnings_kept() as warnings:
                figures = make(job, copies, folder)
            record = {"id": job.id, "state": "done", **figures, "worker": worker_name(), "finished": now()}
            if warnings:
                record["warnings"] = warnings
            (folder / MARKER).write_bytes(marker_bytes(job, record, inputs_seen(job, copies)))
    return record


def now() -> str:
    """The time, as records say it."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


@contextlib.contextmanager
def _warnings_kept() -> Iterator[list[str]]:
    """Collects the library's warnings while it lasts."""
    kept: list[str] = []
    handler = _Keeping(kept)
    logger = logging.getLogger("fourreal_core")
    logger.addHandler(handler)
    try:
        yield kept
    finally:
        logger.removeHandler(handler)


class _Keeping(logging.Handler):
    def __init__(self, kept: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.kept, self.thread = kept, threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self.thread:  # another thread's are another job's
            self.kept.append(record.getMessage())
