"""Reading a manifest, one job a row, as a stream: CSV, JSON lines, Parquet, or a folder of files by a pattern."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from .storage import exists, file_system, is_remote, open_read

KINDS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "json lines",
    ".ndjson": "json lines",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_PARQUET_ROWS = 1000
_FIELD_BYTES = 2**20


@dataclass(frozen=True)
class Row:
    """A row of a manifest.

    Attributes:
        number: From 1; of the line in text files, so that an editor finds it.
        values: What is given, by column; empty cells are left out.
        faults: What is wrong with the row itself.
    """

    number: int
    values: Mapping[str, str]
    faults: tuple[str, ...] = field(default=())

    @property
    def id(self) -> str:
        """The job's id, or an empty string."""
        return self.values.get("id", "")


def read_rows(manifest: str, patterns: Mapping[str, str] | None = None) -> Iterator[Row]:
    """Rows of a manifest, read as they are asked for.

    Args:
        manifest: A ``.csv``, ``.tsv``, ``.jsonl``, ``.ndjson`` or ``.parquet``; with ``patterns`` a folder.
        patterns: Column and the pattern of its files below the folder, each with ``{id}``; the first names the jobs.

    Raises:
        InputError: A file of another kind, one that can't be read, or a pattern without ``{id}``.
    """
    if patterns is not None:
        return _folder_rows(manifest, patterns)
    kind = KINDS.get(Path(manifest).suffix.lower())
    if kind is None:
        raise InputError(
            f"the manifest {manifest}",
            f"a file that ends in {', '.join(KINDS)}, or a folder with --pattern",
            "rename it, or say for example --pattern '{id}_freeze.mp4,{id}_fixed.mp4'",
        )
    if kind == "csv":
        return _csv_rows(manifest, "\t" if manifest.lower().endswith(".tsv") else ",")
    return _json_rows(manifest) if kind == "json lines" else _parquet_rows(manifest)


def _csv_rows(manifest: str, delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(_FIELD_BYTES)
    with open_read(manifest, "r") as file:
        reader = csv.reader(file, delimiter=delimiter)
        try:
            header = [name.strip() for name in next(reader, [])]
            if twice := sorted({name for name in header if header.count(name) > 1}):
                raise InputError(f"the column {twice[0]!r} twice in {manifest}", "each once", "remove one")
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                faults = (f"{len(cells)} cells under {len(header)} columns",) if len(cells) > len(header) else ()
                values = {name: cell.strip() for name, cell in zip(header, cells, strict=False) if cell.strip()}
                yield Row(reader.line_num, values, faults)
        except (csv.Error, UnicodeDecodeError) as err:
            raise InputError(
                f"{manifest} can't be read as CSV ({err})", "a CSV file in UTF-8", "save it again"
            ) from err


def _json_rows(manifest: str) -> Iterator[Row]:
    with open_read(manifest, "r") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                found = json.loads(line)
            except ValueError as err:
                yield Row(number, {}, (f"no JSON ({err})",))
                continue
            if not isinstance(found, dict):
                yield Row(number, {}, ("no JSON object",))
                continue
            yield _typed_row(number, found)


def _parquet_rows(manifest: str) -> Iterator[Row]:
    try:
        import pyarrow.lib
        import pyarrow.parquet
    except ImportError as err:
        raise InputError(
            f"the manifest {manifest} without a reader of Parquet ({err})",
            "the package pyarrow",
            'run pip install ".[batch]"',
        ) from err
    with open_read(manifest) as file:
        try:
            number = 0
            for batch in pyarrow.parquet.ParquetFile(file).iter_batches(_PARQUET_ROWS):
                for found in batch.to_pylist():
                    number += 1
                    yield _typed_row(number, found)
        except pyarrow.lib.ArrowException as err:
            raise InputError(f"{manifest} can't be read ({err})", "a Parquet file", "save it again") from err


def _typed_row(number: int, found: Mapping[str, Any]) -> Row:
    """A row of values with types: they become what a person would have typed."""
    values, faults = {}, []
    for name, value in found.items():
        if value is None or value == "":
            continue
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # columns of whole numbers with gaps are often stored as floats
        if isinstance(value, (str, int, float)) and not isinstance(value, bool):
            values[str(name)] = str(value)
        else:
            faults.append(f"{name} is {json.dumps(value, default=str)[:60]}, expected text or a number")
    return Row(number, values, tuple(faults))


def _folder_rows(folder: str, patterns: Mapping[str, str]) -> Iterator[Row]:
    for pattern in patterns.values():
        if pattern.count("{id}") < 1 or any(c in pattern for c in "*?[]"):
            raise InputError(
                f"the pattern {pattern!r}", "{id} in it, and no wildcards", "write {id} where names differ"
            )
    columns = list(patterns)
    number = 0
    for name in _named(folder, patterns[columns[0]]):
        number += 1
        yield Row(number, {"id": name, **{column: patterns[column].replace("{id}", name) for column in columns}})
    for column in columns[1:]:  # a file whose partner is missing is no job, but was surely meant as one
        for name in _named(folder, patterns[column]):
            partner = patterns[columns[0]].replace("{id}", name)
            if not exists(f"{folder.rstrip('/')}/{partner}"):
                number += 1
                here = patterns[column].replace("{id}", name)
                yield Row(number, {"id": name}, (f"{here} is there and {partner} is not",))


def _named(folder: str, pattern: str) -> Iterator[str]:
    """Ids of the files below a folder that have a pattern's form, sorted."""
    escaped = re.escape(pattern).replace(re.escape("{id}"), "(?P<id>[^/]+)", 1)
    form = re.compile(escaped.replace(re.escape("{id}"), "(?P=id)"))
    wildcard = pattern.replace("{id}", "*")
    if is_remote(folder):
        fs, name = file_system(folder)
        root = name.rstrip("/") + "/"
        found = (path.removeprefix(root) for path in fs.glob(root + wildcard))
    else:
        if not Path(folder).is_dir():
            raise InputError(f"{folder} is not a folder", "a folder for --pattern", "check the path")
        found = (path.relative_to(folder).as_posix() for path in Path(folder).glob(wildcard))
    matches = (form.fullmatch(path) for path in found)
    return iter(sorted(match["id"] for match in matches if match))
