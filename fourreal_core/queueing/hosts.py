"""Several hosts: the least busy first, and those that vanish left out."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

from ..batch.fingerprint import Job
from ..errors import InputError
from .host import Host, HostGone, Stopped, output_entries
from .workflow import Prompt, Setting, Template

log = logging.getLogger(__name__)

_WAIT_SECONDS = 0.5


class Hosts:
    """Hosts that share a workflow's jobs; a context manager that stops what waits when it is left.

    Args:
        hosts: All of them.
        prompt: The workflow.
        settings: What rows change.
        at_once: Jobs that are handed to a host before it has finished the one before.
        retries: How often a job is tried again whose host vanished.

    Raises:
        InputError: A host that doesn't answer or can't run the workflow.
    """

    def __init__(
        self, hosts: Sequence[Host], prompt: Prompt, settings: Sequence[Setting], at_once: int = 2, retries: int = 3
    ) -> None:
        self.at_once, self.retries = at_once, retries
        self.held = dict.fromkeys(hosts, 0)
        self._uploading = {host: threading.Lock() for host in hosts}
        self._uploaded: dict[tuple[Host, str], str] = {}
        self._change, self._stopped = threading.Condition(), threading.Event()
        with ThreadPoolExecutor(len(hosts)) as pool:
            found = list(pool.map(_ask, hosts))
        for host, info in zip(hosts, found, strict=True):
            if isinstance(info, HostGone):
                raise InputError(f"no answer from {host} ({info})", "a running ComfyUI", "start it, or leave it out")
            self.template = Template(prompt, settings, info, str(host))

    def __enter__(self) -> Hosts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()

    @property
    def places(self) -> int:
        """Jobs that all hosts together hold."""
        return self.at_once * len(self.held)

    def make_outputs(self, job: Job, copies: Mapping[str, Path], folder: Path) -> dict[str, Any]:
        """Runs the workflow for a job on the least busy host, or on the next one if that vanishes.

        Args:
            job: Of a manifest; its inputs are uploaded, its options written as they are.
            copies: The inputs on this machine.
            folder: Where the outputs go.

        Returns:
            Seconds there, names of the files, host, and how often it was tried.

        Raises:
            InputError: A workflow that fails, or no host is left.
        """
        for tries in range(1, self.retries + 2):
            with self._least_busy() as host:
                start = time.monotonic()
                try:
                    values = {"id": job.id, **job.options}
                    values |= {c: self._upload(host, path) for c, path in copies.items()}
                    outputs = host.run(self.template.filled(values), self._stopped.is_set)
                    seconds = time.monotonic() - start
                    files = [host.fetch(entry, folder).name for entry in output_entries(outputs)]
                    return {"seconds": round(seconds, 3), "files": files, "host": str(host), "tries": tries}
                except HostGone as err:
                    self._leave_out(host, err)
                except Stopped as err:
                    raise InputError("the job was stopped", "one that may end", "run again") from err
        raise InputError(
            f"the hosts that worked on it vanished, {self.retries + 1} times", "one that stays", "see their logs"
        )

    def _upload(self, host: Host, path: Path) -> str:
        if path.is_dir():
            raise InputError(f"the folder {path}", "a file that can be uploaded", "make a video of it")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]  # the same content has the same name on every host
        name = f"{digest}_{''.join(c if c.isalnum() or c in '._-' else '_' for c in path.name)}"
        with self._uploading[host]:  # once a host: another job may be reading it there
            if (host, name) not in self._uploaded:
                self._uploaded[host, name] = host.upload(path, name)
        return self._uploaded[host, name]

    @contextlib.contextmanager
    def _least_busy(self) -> Iterator[Host]:
        """A place on the host with the fewest jobs of ours and of others.

        Raises:
            InputError: None is left, or all was stopped.
        """
        host = self._take()
        try:
            yield host
        finally:
            with self._change:
                if host in self.held:
                    self.held[host] -= 1
                self._change.notify_all()

    def _take(self) -> Host:
        while True:
            with self._change:
                if self._stopped.is_set():
                    raise InputError("the job was stopped", "one that may begin", "run again")
                if not self.held:
                    raise InputError("no host is left", "at least one that answers", "start them, and run again")
                free = [host for host, jobs in self.held.items() if jobs < self.at_once]
                if not free:
                    self._change.wait(_WAIT_SECONDS)
                    continue
            busy = {}
            for host in free:
                try:
                    busy[host] = host.waiting()
                except HostGone as err:
                    self._leave_out(host, err)
            with self._change:
                still = [host for host in busy if self.held.get(host, self.at_once) < self.at_once]
                if still:
                    best = min(still, key=lambda host: max(busy[host], self.held[host]))
                    self.held[best] += 1
                    return best

    def _leave_out(self, host: Host, why: HostGone) -> None:
        with self._change:
            if self.held.pop(host, None) is not None:
                log.warning("%s is left out from now on (%s)", host, why)
            self._change.notify_all()


def _ask(host: Host) -> Any:
    try:
        return host.object_info()
    except HostGone as err:
        return err
