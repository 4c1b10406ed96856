"""Outputs of a job: made in a folder of their own, and put in their place whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError
from ..media.files import prepare_folder
from ..spread import worker_name
from .fingerprint import MARKER, Job, join
from .storage import exists, file_system, is_remote, put_file

UNFINISHED = ".unfinished"
"""Where jobs are worked on, below a local output folder; what lies there was left by one that did not end."""
_BETWEEN = "~"


@contextlib.contextmanager
def job_folder(job: Job) -> Iterator[Path]:
    """An empty folder that becomes the job's when the block ends well, and is removed when it doesn't.

    The marker must be among the files. Results of an earlier run are replaced at that moment, not before.

    Raises:
        InputError: A folder of that name is there that no batch made, or it can't be written.
    """
    if exists(job.folder) and not exists(join(job.folder, MARKER)):
        raise InputError(
            f"the folder {job.folder}, which no batch made",
            f"none there, or one with {MARKER}",
            "move it away, or name the job otherwise",
        )
    if is_remote(job.out):
        with tempfile.TemporaryDirectory(prefix="fourreal-") as folder:
            made = prepare_folder(Path(folder, job.id))
            yield made
            _upload(made, job.folder)
        return
    name = f"{job.id}{_BETWEEN}{worker_name()}{_BETWEEN}{secrets.token_hex(3)}"
    around = prepare_folder(Path(job.out, UNFINISHED, name))
    try:
        made = prepare_folder(around / job.id)  # named like the job: viewers show it
        yield made
        _replace(made, Path(job.folder))
    finally:
        shutil.rmtree(around, ignore_errors=True)


def running_jobs(out: str) -> dict[str, str]:
    """Jobs that are worked on below a local output folder, or were when something died: id and worker."""
    rest = Path(out, UNFINISHED)
    names = [path.name.split(_BETWEEN) for path in rest.iterdir()] if not is_remote(out) and rest.is_dir() else []
    return {parts[0]: parts[1] for parts in sorted(names) if len(parts) == 3}


def remove_unfinished(out: str) -> None:
    """Removes what jobs left that did not end."""
    if not is_remote(out):
        shutil.rmtree(Path(out, UNFINISHED), ignore_errors=True)


@contextlib.contextmanager
def sole_batch(out: str) -> Iterator[None]:
    """Keeps a second batch from a local output folder while it lasts; a killed one's claim ends with it.

    Raises:
        InputError: Another one works there.
    """
    if is_remote(out):
        yield
        return
    lock = Path(out, ".lock")
    with lock.open("a+b") as file:
        try:
            _lock(file.fileno())
        except OSError as err:
            raise InputError(
                f"another batch works in {out}", "one at a time", "wait for it, or choose another -o"
            ) from err
        yield


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _replace(made: Path, target: Path) -> None:
    former = made.with_name(made.name + ".former")
    try:
        if target.exists():
            os.replace(target, former)
        os.replace(made, target)
    except OSError as err:
        raise InputError(
            f"{target} can't be written ({err.strerror})", "a folder to write to", "choose another -o"
        ) from err
    finally:
        shutil.rmtree(former, ignore_errors=True)


def _upload(folder: Path, target: str) -> None:
    """The marker goes first where results are replaced, and comes last."""
    fs, name = file_system(target)
    with contextlib.suppress(FileNotFoundError):
        fs.rm_file(f"{name}/{MARKER}")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in sorted(files, key=lambda path: path == folder / MARKER):
        put_file(path, f"{target.rstrip('/')}/{path.relative_to(folder).as_posix()}")
