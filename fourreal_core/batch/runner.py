"""A batch from its manifest to its index: check, skip what is done, spread the rest, keep records."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from .. import __version__
from ..media.files import prepare_folder
from ..spread import Needs, Outcome, SpreadOptions, Tick, spread_work
from .checking import RowRules, check_rows
from .fingerprint import Job, done_before, join
from .index import STATE, Journal, read_journal, write_index
from .job_folder import remove_unfinished, sole_batch
from .ledger import Ledger
from .manifest import Row, read_rows
from .report_page import write_report_page
from .storage import is_remote, put_bytes, resolve
from .worker import MakeOutputs, do_job, now

_STATE_SECONDS = 10.0


@dataclass(frozen=True)
class BatchPlan:
    """What a batch is to do.

    Attributes:
        manifest: Path of the manifest, or of a folder with ``patterns``.
        out: Output folder.
        rules: What rows must be.
        patterns: Columns and patterns of files, where the manifest is a folder.
        defaults: Values by column, of rows that don't give them.
    """

    manifest: str
    out: str
    rules: RowRules
    patterns: Mapping[str, str] | None = None
    defaults: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Where relative paths of the manifest start: the folder that it lies in, or is."""
        if self.patterns is not None:
            return self.manifest if is_remote(self.manifest) else os.path.abspath(self.manifest)
        if is_remote(self.manifest):
            return self.manifest.rsplit("/", 1)[0]
        return os.path.dirname(os.path.abspath(self.manifest))

    def rows(self) -> Iterator[Row]:
        """The manifest's rows with defaults, read as they are asked for."""
        for row in read_rows(self.manifest, self.patterns):
            yield Row(row.number, {**self.defaults, **row.values}, row.faults) if self.defaults else row

    def job(self, row: Row) -> Job:
        """The job of a checked row."""
        paths = set(self.rules.paths(row.values))
        inputs = {c: resolve(value, self.folder) for c, value in row.values.items() if c in paths}
        rest = {c: value for c, value in row.values.items() if c not in paths and c != "id"}
        needs = {c: rest.pop(c) for c in self.rules.needs if c in rest}
        return Job(row.id, inputs, rest, needs, self.out if is_remote(self.out) else os.path.abspath(self.out))


@dataclass(frozen=True)
class Plan:
    """What a dry run says.

    Attributes:
        jobs: In the manifest.
        done: Already, with the same inputs, options and version.
        first: Jobs that would be done first, with their needs.
    """

    jobs: int
    done: int
    first: tuple[tuple[Job, Needs], ...]


class Watch(Protocol):
    """Looks on while a batch runs."""

    def begin(self, jobs: int) -> None:
        """The manifest is checked."""

    def skip(self) -> None:
        """A job was done before."""

    def finish(self, record: Mapping[str, Any]) -> None:
        """A job ended, well or not."""

    def tick(self, tick: Tick) -> None:
        """About twice a second; cancels by raising."""


def plan_batch(plan: BatchPlan, needs: Callable[[Job], Needs], show: int = 10) -> Plan:
    """Checks a manifest and says what there is to do, and does nothing.

    Raises:
        InputError: See ``check_rows``.
    """
    with Ledger() as ledger:
        check_rows(plan.rows(), plan.rules, plan.folder, ledger)
        done, first = 0, list[tuple[Job, Needs]]()
        for job in map(plan.job, plan.rows()):
            if done_before(job) is not None:
                done += 1
            elif len(first) < show:
                first.append((job, needs(job)))
        return Plan(len(ledger), done, tuple(first))


def run_batch(
    plan: BatchPlan, make: MakeOutputs, needs: Callable[[Job], Needs], options: SpreadOptions, watch: Watch
) -> dict[str, Any]:
    """Runs a batch, or goes on with it.

    Args:
        plan: What to do.
        make: Makes one job's outputs; a function that workers can import.
        needs: What a job takes of a machine, and for which a fingerprint doesn't change.
        options: Where jobs run.
        watch: Looks on.

    Returns:
        The state as ``batch.json`` says it: numbers of jobs, done, skipped, failed.

    Raises:
        InputError: A manifest with faults, an output folder that can't be used, no engine.
    """
    if not is_remote(plan.out):
        prepare_folder(plan.out)
    with sole_batch(plan.out), Ledger() as ledger:
        check_rows(plan.rows(), plan.rules, plan.folder, ledger)
        watch.begin(len(ledger))
        read_journal(plan.out, ledger)
        remove_unfinished(plan.out)
        run = _Run(plan, ledger, watch)
        try:
            with Journal(plan.out) as journal:
                run.spread(functools.partial(do_job, make), needs, options, journal)
            run.ended = "finished"
        finally:
            remove_unfinished(plan.out)
            write_index(plan.out, ledger)
            write_report_page(plan.out, ledger, os.path.basename(plan.manifest.rstrip("/")))
            run.write_state(Tick(0, 0), run.ended)
        return run.state(Tick(0, 0), run.ended)


class _Run:
    """One run of a batch."""

    def __init__(self, plan: BatchPlan, ledger: Ledger, watch: Watch) -> None:
        self.plan, self.ledger, self.watch = plan, ledger, watch
        self.started, self.written, self.ended = now(), -_STATE_SECONDS, "interrupted"
        self.skipped = 0
        self.open: dict[str, Job] = {}  # handed out, without an outcome yet

    def spread(
        self, work: Callable[[Job], dict[str, Any]], needs: Callable[[Job], Needs], how: SpreadOptions, journal: Journal
    ) -> None:
        outcomes = spread_work(work, self._todo(), how, needs, self._tick)
        try:
            with contextlib.closing(outcomes):  # which stops what runs
                for outcome in outcomes:
                    self.open.pop(outcome.item.id)
                    record = _record(outcome)
                    self.ledger.record(record)
                    journal.append(record)
                    self.watch.finish(record)
        finally:
            self._collect(journal)

    def _collect(self, journal: Journal) -> None:
        """Takes in what was finished while the batch was ended, and of which no outcome came any more."""
        for job in self.open.values():
            if (record := done_before(job)) is not None:
                self.ledger.record(record | {"tries": 1})
                journal.append(record | {"tries": 1})

    def _todo(self) -> Iterable[Job]:
        for job in map(self.plan.job, self.plan.rows()):
            record = done_before(job)
            if record is None:
                self.open[job.id] = job
                yield job
                continue
            last = self.ledger.last(job.id)
            tries = last.get("tries", 1) if last else 1
            self.ledger.record(record | {"tries": tries})
            self.skipped += 1
            self.watch.skip()

    def _tick(self, tick: Tick) -> None:
        self.watch.tick(tick)
        if time.monotonic() - self.written > _STATE_SECONDS:
            self.write_state(tick, "running")

    def state(self, tick: Tick, state: str) -> dict[str, Any]:
        counts = self.ledger.counts()
        return {
            "state": state,
            "manifest": self.plan.manifest,
            "jobs": len(self.ledger),
            **counts,
            "skipped": self.skipped,
            "running": tick.running,
            "started": self.started,
            "updated": now(),
            "host": platform.node(),
            "pid": os.getpid(),
            "version": __version__,
        }

    def write_state(self, tick: Tick, state: str) -> None:
        text = json.dumps(self.state(tick, state), indent=1)
        put_bytes(join(self.plan.out, STATE), text.encode())
        self.written = time.monotonic()


def _record(outcome: Outcome[Job, dict[str, Any]]) -> dict[str, Any]:
    failure = outcome.failure
    if failure is None:
        assert outcome.value is not None  # work returns a record
        return {"tries": outcome.tries, **outcome.value}  # a job that tries by itself says how often
    record: dict[str, Any] = {"id": outcome.item.id, "state": "failed", "kind": failure.kind, "error": failure.sentence}
    record |= {"tries": outcome.tries, "finished": now()}
    return record | ({"traceback": failure.traceback} if failure.kind == "error" else {})
