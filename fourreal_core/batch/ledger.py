"""What a batch knows of its jobs: ids and last records, in a temporary database, so that even a hundred thousand cost
the driver no memory."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

STATES = ("done", "failed")


class Ledger:
    """Ids in the manifest's order, and the last record of each.

    A record is a JSON object with ``id`` and ``state``. Ids that differ only in case are one, because folders are named
    after them and many file systems see one there.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="fourreal-")
        self._base = sqlite3.connect(str(Path(self._folder.name, "ledger.sqlite")), isolation_level=None)
        self._base.execute("PRAGMA synchronous = OFF")
        self._base.execute("PRAGMA journal_mode = OFF")
        self._base.execute("CREATE TABLE jobs (key TEXT PRIMARY KEY, number INTEGER, place INTEGER) WITHOUT ROWID")
        self._base.execute("CREATE TABLE records (key TEXT PRIMARY KEY, state TEXT, record TEXT) WITHOUT ROWID")
        self._base.execute("BEGIN")
        self._count = 0

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._base.close()
        self._folder.cleanup()

    def __len__(self) -> int:
        return self._count

    def add(self, job_id: str, number: int) -> int | None:
        """Adds a job of a manifest's row; returns the row that has this id already, if one has."""
        key = job_id.casefold()
        found = self._base.execute("SELECT number FROM jobs WHERE key = ?", (key,)).fetchone()
        if found is not None:
            return int(found[0])
        self._base.execute("INSERT INTO jobs VALUES (?, ?, ?)", (key, number, self._count))
        self._count += 1
        return None

    def record(self, record: Mapping[str, Any]) -> None:
        """Keeps a job's last record."""
        text = json.dumps(record, allow_nan=False)
        self._base.execute(
            "INSERT OR REPLACE INTO records VALUES (?, ?, ?)", (record["id"].casefold(), record["state"], text)
        )

    def read_journal(self, lines: Iterable[bytes | str]) -> None:
        """Takes records from an index of JSON lines, the last of each id; a torn line is passed over."""
        for line in lines:
            try:
                found = json.loads(line)
            except ValueError:
                continue
            if isinstance(found, dict) and isinstance(found.get("id"), str) and found.get("state") in STATES:
                self.record(found)

    def last(self, job_id: str) -> dict[str, Any] | None:
        """A job's last record."""
        found = self._base.execute("SELECT record FROM records WHERE key = ?", (job_id.casefold(),)).fetchone()
        return None if found is None else json.loads(found[0])

    def records(self) -> Iterator[dict[str, Any]]:
        """Records of the manifest's jobs, in its order."""
        query = "SELECT record FROM jobs JOIN records USING (key) ORDER BY place"
        return (json.loads(text) for (text,) in self._base.cursor().execute(query))

    def failed_first(self) -> Iterator[dict[str, Any]]:
        """Records of the manifest's jobs, failed ones before the others."""
        query = "SELECT record FROM jobs JOIN records USING (key) ORDER BY state != 'failed', place"
        return (json.loads(text) for (text,) in self._base.cursor().execute(query))

    def counts(self, in_manifest: bool = True) -> dict[str, int]:
        """How many records say what, of the manifest's jobs or of all that were read."""
        query = "SELECT state, count(*) FROM records "
        query += "JOIN jobs USING (key) GROUP BY state" if in_manifest else "GROUP BY state"
        return dict.fromkeys(STATES, 0) | dict(self._base.execute(query).fetchall())

    def failures(self) -> Iterator[dict[str, Any]]:
        """All records of failed jobs, by id."""
        query = "SELECT record FROM records WHERE state = 'failed' ORDER BY key"
        return (json.loads(text) for (text,) in self._base.cursor().execute(query))
