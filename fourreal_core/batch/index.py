"""The index of a batch's jobs: a journal of JSON lines while it runs, one line a job and a Parquet table afterwards."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from ..media.files import whole_file
from .fingerprint import join
from .ledger import Ledger
from .storage import exists, is_remote, open_read, put_file, read_bytes

JOURNAL, TABLE, STATE = "index.jsonl", "index.parquet", "batch.json"
FIGURES = {
    "seconds": float,
    "peak_memory_mb": float,
    "splats": int,
    "views": int,
    "times": int,
    "height": int,
    "width": int,
    "known_cells": int,
}
"""Columns of the table that hold numbers, of records that have them."""
_TEXTS = ("quality", "device", "worker", "finished", "kind", "error")
_ROWS = 1000
_UPLOAD_SECONDS = 30.0


class Journal:
    """Appends records as they come, so that a driver that is killed loses none.

    Args:
        out: The batch's output folder; at a remote one the journal lies on this machine and is copied there twice a
            minute.
    """

    def __init__(self, out: str) -> None:
        self.out, self._folder = out, tempfile.TemporaryDirectory(prefix="fourreal-")
        self.path = Path(self._folder.name, JOURNAL) if is_remote(out) else Path(out, JOURNAL)
        if is_remote(out) and (before := read_bytes(join(out, JOURNAL))) is not None:
            self.path.write_bytes(before)
        self._file: IO[bytes] = self.path.open("ab")
        self._end_torn_line()
        self._copied = time.monotonic()

    def append(self, record: Mapping[str, Any]) -> None:
        """Adds a line."""
        self._file.write(json.dumps(record, allow_nan=False).encode() + b"\n")
        self._file.flush()
        if is_remote(self.out) and time.monotonic() - self._copied > _UPLOAD_SECONDS:
            put_file(self.path, join(self.out, JOURNAL))
            self._copied = time.monotonic()

    def close(self) -> None:
        """Ends it."""
        self._file.close()
        if is_remote(self.out):
            put_file(self.path, join(self.out, JOURNAL))
        self._folder.cleanup()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _end_torn_line(self) -> None:
        if self._file.tell():
            with self.path.open("rb") as file:
                file.seek(-1, 2)
                if file.read(1) != b"\n":
                    self._file.write(b"\n")


def read_journal(out: str, ledger: Ledger) -> None:
    """Enters the records of an index, if there is one."""
    if exists(join(out, JOURNAL)):
        with open_read(join(out, JOURNAL)) as file:
            ledger.read_journal(file)


def write_index(out: str, ledger: Ledger) -> list[str]:
    """Writes the index anew, one line and one row a job, in the manifest's order.

    Returns:
        Names of the files; without pyarrow there is no table.
    """
    with _placed(out, JOURNAL) as path, path.open("wb") as file:
        for record in ledger.records():
            file.write(json.dumps(record, allow_nan=False).encode() + b"\n")
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError:
        return [JOURNAL]
    schema = _schema(pyarrow)
    with _placed(out, TABLE) as path, parquet.ParquetWriter(str(path), schema) as writer:
        for rows in _chunks(ledger.records()):
            writer.write_table(pyarrow.Table.from_pylist([_table_row(r) for r in rows], schema))
    return [JOURNAL, TABLE]


@contextlib.contextmanager
def _placed(out: str, name: str) -> Iterator[Path]:
    """A local path whose file appears in the output folder whole."""
    if not is_remote(out):
        with whole_file(Path(out, name)) as path:
            yield path
        return
    with tempfile.TemporaryDirectory(prefix="fourreal-") as folder:
        yield Path(folder, name)
        put_file(Path(folder, name), join(out, name))


def _schema(pyarrow: Any) -> Any:
    numbers = {float: pyarrow.float64(), int: pyarrow.int64()}
    fields = [("id", pyarrow.string()), ("state", pyarrow.string()), ("tries", pyarrow.int64())]
    fields += [(name, numbers[kind]) for name, kind in FIGURES.items()]
    fields += [("seconds_by_stage", pyarrow.map_(pyarrow.string(), pyarrow.float64()))]
    fields += [("warnings", pyarrow.list_(pyarrow.string()))]
    return pyarrow.schema(fields + [(name, pyarrow.string()) for name in _TEXTS])


def _table_row(record: Mapping[str, Any]) -> dict[str, Any]:
    row = {name: record.get(name) for name in ("id", "state", "tries", "warnings", *FIGURES, *_TEXTS)}
    stages = record.get("seconds_by_stage")
    return row | {"seconds_by_stage": None if stages is None else list(stages.items())}


def _chunks(records: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    source = iter(records)
    while rows := list(islice(source, _ROWS)):
        yield rows
