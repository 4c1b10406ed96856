"""Files of a batch, on this machine's disks or wherever fsspec reads and writes (s3, gs, https ...)."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from ..errors import InputError
from ..media.files import write_bytes

_CHUNK = 2**20
_THREADS = 16


def is_remote(path: str) -> bool:
    """Whether a path has a protocol of fsspec's, such as ``s3://``."""
    return "://" in path


def file_system(path: str) -> tuple[Any, str]:
    """fsspec's file system for a remote path, and the path as that system calls it.

    Raises:
        InputError: A protocol that nothing here can read.
    """
    import fsspec.core

    try:
        return fsspec.core.url_to_fs(path)  # type: ignore[no-any-return]
    except (ImportError, ValueError) as err:
        raise InputError(
            f"{path}, which can't be opened ({err})",
            "a local path, or a protocol that fsspec knows",
            "install what it names (s3fs for s3, gcsfs for gs, aiohttp for https)",
        ) from err


def resolve(path: str, folder: str) -> str:
    """A path as a manifest in ``folder`` means it: relative ones start there."""
    if is_remote(path) or os.path.isabs(path):
        return path
    return f"{folder.rstrip('/')}/{path}" if is_remote(folder) else os.path.join(folder, path)


def missing(paths: Iterable[str]) -> set[str]:
    """Those of some paths at which nothing lies; remote ones are asked for on several threads."""
    wanted = list(dict.fromkeys(paths))
    remote = [path for path in wanted if is_remote(path)]
    absent = {path for path in wanted if not is_remote(path) and not os.path.exists(path)}
    if remote:
        with ThreadPoolExecutor(_THREADS) as pool:
            absent |= {path for path, there in zip(remote, pool.map(exists, remote), strict=True) if not there}
    return absent


def exists(path: str) -> bool:
    """Whether a file or folder lies there."""
    if not is_remote(path):
        return os.path.exists(path)
    fs, name = file_system(path)
    return bool(fs.exists(name))


def stamp(path: str) -> str:
    """Changes when a file, or anything in a folder, is written: cheaper than its content's digest, and no proof.

    Raises:
        FileNotFoundError: Nothing there.
    """
    if is_remote(path):
        fs, name = file_system(path)
        return str(fs.ukey(name)) if fs.isfile(name) else _join(fs.ukey(f) for f in sorted(fs.find(name)))
    return _join(_local_stamp(file) for file in _files(Path(path)))


def digest(path: str) -> str:
    """SHA-256 of a file's content, or of the names and contents of a folder's files.

    Raises:
        FileNotFoundError: Nothing there.
    """
    if not is_remote(path):
        return _digest_local(Path(path))
    with local_copy(path) as copy:
        return _digest_local(copy)


@contextlib.contextmanager
def local_copy(path: str) -> Iterator[Path]:
    """A remote file or folder on this machine's disk while it lasts; local paths are given as they are.

    Raises:
        InputError: It can't be fetched.
    """
    if not is_remote(path):
        yield Path(path)
        return
    with tempfile.TemporaryDirectory(prefix="fourreal-") as folder:
        fs, name = file_system(path)
        target = Path(folder, name.rstrip("/").rsplit("/", 1)[-1])
        try:
            fs.get(name, str(target), recursive=fs.isdir(name))
        except OSError as err:
            raise InputError(f"{path} can't be fetched ({err})", "a file that can be read", "check the path") from err
        yield target


@contextlib.contextmanager
def open_read(path: str, mode: str = "rb") -> Iterator[IO[Any]]:
    """Opens a local or remote file; text is UTF-8.

    Raises:
        InputError: It can't be opened.
    """
    text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8-sig", "newline": ""}
    try:
        if is_remote(path):
            fs, name = file_system(path)
            file: IO[Any] = fs.open(name, mode, **text)  # noqa: SIM115 - closed below
        else:
            file = open(path, mode, **text)  # noqa: SIM115 - closed below
    except OSError as err:
        raise InputError(f"{path} can't be read ({err.strerror or err})", "a file", "check the path") from err
    with file:
        yield file


def read_bytes(path: str) -> bytes | None:
    """A file's content, or None where there is none."""
    try:
        if is_remote(path):
            fs, name = file_system(path)
            return bytes(fs.cat_file(name))
        return Path(path).read_bytes()
    except OSError:
        return None


def put_bytes(path: str, data: bytes) -> None:
    """Writes a file, whole or not at all; object stores do so by themselves.

    Raises:
        InputError: It can't be written.
    """
    if not is_remote(path):
        write_bytes(path, data)
        return
    fs, name = file_system(path)
    try:
        fs.makedirs(name.rsplit("/", 1)[0], exist_ok=True)
        fs.pipe_file(name, data)
    except OSError as err:
        raise InputError(f"{path} can't be written ({err})", "a place to write to", "choose another -o") from err


def put_file(source: Path, path: str) -> None:
    """Copies a local file to a place, whole or not at all.

    Raises:
        InputError: It can't be written.
    """
    if not is_remote(path):
        part = Path(path).with_name(f".{source.name}.part")
        shutil.copyfile(source, part)
        os.replace(part, path)
        return
    fs, name = file_system(path)
    try:
        fs.makedirs(name.rsplit("/", 1)[0], exist_ok=True)
        fs.put_file(str(source), name)
    except OSError as err:
        raise InputError(f"{path} can't be written ({err})", "a place to write to", "choose another -o") from err


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    return [path]


def _local_stamp(file: Path) -> str:
    found = file.stat()
    return f"{file.name}:{found.st_size}:{found.st_mtime_ns}"


def _join(stamps: Iterable[object]) -> str:
    return hashlib.sha256("\n".join(str(s) for s in stamps).encode()).hexdigest()[:32]


def _digest_local(path: Path) -> str:
    whole = hashlib.sha256()
    for file in _files(path):
        one = hashlib.sha256()
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                one.update(chunk)
        whole.update((file.relative_to(path).as_posix() if path.is_dir() else "").encode() + b"\0" + one.digest())
    return whole.hexdigest()
