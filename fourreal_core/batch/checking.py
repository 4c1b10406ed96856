"""A manifest is checked whole before anything starts, and all that is wrong with it is said at once."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from ..errors import InputError
from ..media.files import output_path
from .ledger import Ledger
from .manifest import Row
from .storage import missing, resolve

_CHUNK = 1000
_TOLD = 50
RESERVED = frozenset({"index.jsonl", "index.parquet", "batch.json", "report.html"})
"""Names in an output folder that no job may have."""


@dataclass(frozen=True)
class RowRules:
    """What a row of a manifest must be.

    Attributes:
        columns: Names that are known; None takes any.
        required: Columns that every row gives, besides ``id``.
        needs: Columns that say what a job takes of a machine.
        paths: Says which of a row's columns are paths, and what lies there must exist.
        fault: What is wrong with a row's other values, or None.
    """

    columns: Collection[str] | None
    required: Collection[str]
    needs: Collection[str]
    paths: Callable[[Mapping[str, str]], Collection[str]]
    fault: Callable[[Mapping[str, str]], str | None]


def check_rows(rows: Iterable[Row], rules: RowRules, folder: str, ledger: Ledger) -> None:
    """Checks all rows and enters their ids.

    Args:
        rows: Of a manifest; drawn once, and not held.
        rules: What they must be.
        folder: Where relative paths start.
        ledger: An empty one.

    Raises:
        InputError: Anything wrong; the message names the rows, one a line, up to fifty of them.
    """
    faults, told = 0, list[str]()
    unknown: set[str] = set()
    source = iter(rows)
    while chunk := list(islice(source, _CHUNK)):
        absent = missing(resolve(row.values[c], folder) for row in chunk for c in _present(row, rules))
        for row in chunk:
            for fault in _faults_of(row, rules, folder, ledger, absent, unknown):
                faults += 1
                if len(told) < _TOLD:
                    told.append(f"row {row.number}{f' ({row.id})' if row.id else ''}: {fault}")
    if not faults and not len(ledger):
        raise InputError("a manifest without rows", "at least one job", "check the file")
    if faults:
        more = f"\n  and {faults - len(told)} more" if faults > len(told) else ""
        lines = "\n  ".join(told)
        raise InputError(
            f"a manifest with {faults} {'fault' if faults == 1 else 'faults'}",
            "none",
            f"nothing was started; mend these and run again:\n  {lines}{more}",
        )


def _present(row: Row, rules: RowRules) -> list[str]:
    return [column for column in rules.paths(row.values) if column in row.values]


def _faults_of(
    row: Row, rules: RowRules, folder: str, ledger: Ledger, absent: set[str], unknown: set[str]
) -> Iterator[str]:
    yield from row.faults
    if row.faults:  # what could not be read can't be judged any further
        return
    for column in row.values:
        known = rules.columns is None or column in rules.columns or column == "id"
        if rules.columns is not None and not known and column not in unknown:  # said once, not for every row
            unknown.add(column)
            near = difflib.get_close_matches(column, list(rules.columns), 1)
            yield f"unknown column {column!r}" + (f" (did you mean {near[0]!r}?)" if near else "")
    for column in ("id", *rules.required):
        if column not in row.values:
            yield f"no {column}"
    if row.id:
        if fault := _bad_id(row.id):
            yield fault
        elif (earlier := ledger.add(row.id, row.number)) is not None:
            yield f"the id {row.id!r} is that of row {earlier} too"
    for column in _present(row, rules):
        if (path := resolve(row.values[column], folder)) in absent:
            yield f"{column}: {path} does not exist"
    if fault := rules.fault(row.values):
        yield fault


def _bad_id(job_id: str) -> str | None:
    """Why no folder can be named after an id."""
    try:
        output_path(".", job_id)
    except InputError:
        return f"the id {job_id!r} can't name a folder"
    if "/" in job_id or "\\" in job_id or job_id.startswith(".") or job_id.lower() in RESERVED:
        return (
            f"the id {job_id!r} can't name a folder (no slashes, no leading dot, none of {', '.join(sorted(RESERVED))})"
        )
    return None
