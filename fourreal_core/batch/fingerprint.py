"""Whether a job was done before: the same inputs by content, the same options, the same version."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from .storage import digest, is_remote, read_bytes, stamp

MARKER = "job.json"
"""Written last into a job's folder: with it the outputs are whole."""


@dataclass(frozen=True)
class Job:
    """One row of a manifest, as it is sent to a worker.

    Attributes:
        id: Names the output folder.
        inputs: Paths by column, absolute or remote.
        options: Values by column, as typed, that shape the outputs.
        needs: Values by column that say what it takes of a machine.
        out: The batch's output folder.
    """

    id: str
    inputs: Mapping[str, str]
    options: Mapping[str, str]
    needs: Mapping[str, str]
    out: str

    def __str__(self) -> str:
        return self.id

    @property
    def folder(self) -> str:
        """Where its outputs go."""
        return join(self.out, self.id)


def join(folder: str, *names: str) -> str:
    """A path below a local or remote folder."""
    if is_remote(folder):
        return "/".join([folder.rstrip("/"), *names])
    return os.path.join(folder, *names)


def inputs_seen(job: Job, copies: Mapping[str, Path]) -> dict[str, dict[str, str]]:
    """Stamp and digest of every input, by column; ``copies`` are the inputs on this machine's disk, which are read."""
    return {c: {"stamp": stamp(path), "sha256": digest(str(copies[c]))} for c, path in job.inputs.items()}


def fingerprint(options: Mapping[str, str], inputs: Mapping[str, Mapping[str, str]], version: str = __version__) -> str:
    """One digest of everything that shapes a job's outputs."""
    contents = {column: seen["sha256"] for column, seen in inputs.items()}
    text = json.dumps([dict(options), contents, version], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def done_before(job: Job) -> dict[str, Any] | None:
    """The record that the job's folder holds, if it is that of the same inputs, options and version.

    Inputs whose stamp is the same are not read again.
    """
    data = read_bytes(join(job.folder, MARKER))
    if data is None:
        return None
    try:
        marker = json.loads(data)
        seen, record = dict(marker["inputs"]), dict(marker["record"])
        if set(seen) != set(job.inputs) or record["id"] != job.id:
            return None
        now = {}
        for column, path in job.inputs.items():
            same = stamp(path) == seen[column]["stamp"]
            now[column] = {"sha256": seen[column]["sha256"] if same else digest(path)}
        return record if fingerprint(job.options, now) == marker["fingerprint"] else None
    except (ValueError, KeyError, TypeError, OSError):  # a marker of another make, or inputs that are gone
        return None


def marker_bytes(job: Job, record: Mapping[str, Any], inputs: Mapping[str, Mapping[str, str]]) -> bytes:
    """The file that says what a folder's outputs were made from."""
    found = {
        "fingerprint": fingerprint(job.options, inputs),
        "version": __version__,
        "options": dict(job.options),
        "inputs": {column: {"path": job.inputs[column], **seen} for column, seen in inputs.items()},
        "record": dict(record),
    }
    return json.dumps(found, indent=1, allow_nan=False).encode()
