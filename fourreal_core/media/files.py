"""Output files that appear whole or not at all, and only where they were meant to."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError

_WINDOWS_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def output_path(folder: str | os.PathLike[str], name: str) -> Path:
    """Path of the output ``name`` under ``folder``; the name may have subfolders but can't leave the folder.

    The same names are refused on every system, so that what was made on one can be copied to another.

    Raises:
        InputError: An absolute name, one that climbs out (also through a symbolic link), or one that no file can have.
    """
    parts = re.split(r"[/\\]", name)
    bad = not name or any(
        part in ("", ".", "..")
        or part != part.strip()
        or part.endswith(".")
        or re.search(r'[<>:"|?*\x00-\x1f]', part)
        or _WINDOWS_DEVICES.fullmatch(part)
        for part in parts
    )
    path = Path(folder, *parts) if not bad else Path(folder)
    if bad or not path.resolve().is_relative_to(Path(folder).resolve()):
        raise InputError(
            f"the output name {name!r}",
            "a plain name that stays in the output folder",
            "use letters, digits, dots, dashes and single slashes",
        )
    return path


def prepare_folder(folder: str | os.PathLike[str]) -> Path:
    """Makes ``folder`` and its parents if needed, and proves by a trial file that it can be written.

    Raises:
        InputError: It is a file, or can't be made or written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as err:
        raise _cannot_write(folder, err) from err
    return folder


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives a path beside ``path`` to write to, renamed onto ``path`` at the end; on any exception it is removed.

    Raises:
        InputError: The folder can't be written or is full.
    """
    path = Path(path)
    part = path.with_name(f".{path.stem}-{os.getpid()}-{secrets.token_hex(4)}.part{path.suffix}")
    try:
        yield part
        os.replace(part, path)
    except OSError as err:
        raise _cannot_write(path, err) from err
    finally:
        with contextlib.suppress(OSError):  # where nothing could be written there is nothing to remove
            part.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike[str], data: bytes) -> Path:
    """Writes ``data`` to ``path``, whole or not at all.

    Raises:
        InputError: The folder can't be written or is full.
    """
    with whole_file(path) as part:
        part.write_bytes(data)
    return Path(path)


def _cannot_write(path: Path, err: OSError) -> InputError:
    why = err.strerror or str(err)
    if err.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return InputError(
            f"no space left to write {path}", "room for the outputs", "free some space or choose another output folder"
        )
    return InputError(
        f"{path} can't be written ({why})", "a folder that this user may write to", "choose another output folder"
    )
