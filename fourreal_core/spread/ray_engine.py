"""Ray: one task an item. Ray places tasks by CPUs, GPUs and memory, keeps worker processes, and lets a cluster grow."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from typing import Any

from ..errors import InputError
from .interface import Failure, Needs, OnTick, Outcome, SpreadOptions, Tick, guarded, outcome_of

log = logging.getLogger(__name__)

_TICK_SECONDS = 0.5
_LOOK_SECONDS = 5.0
_STOP_SECONDS = 10.0
_STORE_BYTES = 128 * 2**20
"""Ray's shared memory on this machine; items and values are small, clips and scenes go through files."""
_MEMORY_STEP_MB = 256
"""Requests are rounded up to it: tasks that ask for the same share worker processes, and what these keep."""


def ray_outcomes(
    work: Callable[[Any], Any],
    items: Iterable[Any],
    options: SpreadOptions,
    needs: Callable[[Any], Needs],
    tick: OnTick,
) -> Generator[Outcome[Any, Any], None, None]:
    """See ``spread_work``.

    Ray's own retries are off, so that it is known how often an item was started, and one that died of memory starts
    again with twice as much set aside.
    """
    with _connected(options) as ray:
        tasks = _Tasks(ray, work, options)
        source, drained = iter(items), False
        try:
            while True:
                while not drained and len(tasks.pending) < tasks.window:
                    try:
                        item = next(source)
                    except StopIteration:
                        drained = True
                        break
                    tasks.submit(item, needs(item), 1)
                if not tasks.pending:
                    return
                tick(tasks.tick())
                yield from tasks.finished()
        finally:
            tasks.stop()


class _Tasks:
    """Tasks that were submitted and have not come back."""

    def __init__(self, ray: Any, work: Callable[[Any], Any], options: SpreadOptions) -> None:
        self.ray, self.options = ray, options
        # without a number of calls a process that has used a GPU ends after one, and its networks with it
        self.remote = ray.remote(max_retries=0, max_calls=0)(guarded)
        self.work = ray.put(work)
        self.pending: dict[Any, tuple[Any, Needs, int]] = {}
        self.machines = _Machines(ray, options)

    @property
    def window(self) -> int:
        """Tasks to hand over: enough that none idles and that a cluster which grows by demand sees some."""
        some = next(iter(self.pending.values()), None)
        return 8 + 2 * self.machines.slots(some[1] if some else Needs())

    def tick(self) -> Tick:
        needs = next(iter(self.pending.values()))[1]
        running = min(len(self.pending), self.machines.slots(needs))
        return Tick(running, len(self.pending) - running)

    def submit(self, item: Any, needs: Needs, tries: int) -> None:
        needs = self.machines.fitted(needs)
        memory = None if needs.memory_mb is None else needs.memory_mb * 2**20
        remote = self.remote.options(num_cpus=needs.cpus, num_gpus=needs.gpus, memory=memory, name="fourreal")
        self.pending[remote.remote(self.work, item, needs.cpus, needs.memory_mb)] = item, needs, tries

    def finished(self) -> Iterator[Outcome[Any, Any]]:
        """Outcomes that have come by now; waits a little where there are none."""
        ready, _ = self.ray.wait(list(self.pending), timeout=_TICK_SECONDS)
        errors = self.ray.exceptions
        for ref in ready:
            item, needs, tries = self.pending.pop(ref)
            try:
                value = self.ray.get(ref)
            except errors.OutOfMemoryError as err:
                more = needs if needs.memory_mb is None else replace(needs, memory_mb=2 * needs.memory_mb)
                value = self._again(item, more, tries, "memory", err)
            except errors.RayTaskError as err:  # what ``guarded`` could not catch: its own arrival
                value = Failure("error", f"a worker can't do this work ({_first_line(err.cause)})", str(err))
            except errors.RayError as err:
                value = self._again(item, needs, tries, "lost", err)
            if value is not _AGAIN:
                yield outcome_of(item, value, tries)

    def _again(self, item: Any, needs: Needs, tries: int, kind: str, err: Exception) -> Any:
        log.warning("a machine or process was lost while it worked on %s (%s)", item, _first_line(err))
        if tries <= self.options.retries:
            self.submit(item, needs, tries + 1)
            return _AGAIN
        what = {"memory": "its machine ran out of memory", "lost": "the machine or process that worked on it died"}[
            kind
        ]
        remedy = "say more with --memory, or ask for a smaller size"
        return Failure.of(kind, InputError(f"{what}, {tries} times", "one that lives", remedy), str(err))

    def stop(self) -> None:
        """Ends what still runs, at once, and waits until it has ended."""
        if not self.pending or not self.ray.is_initialized():
            return
        for ref in self.pending:
            with contextlib.suppress(Exception):  # gone already, one way or another
                self.ray.cancel(ref, force=True)
        with contextlib.suppress(Exception):
            self.ray.wait(list(self.pending), num_returns=len(self.pending), timeout=_STOP_SECONDS)


class _Again:
    """Takes a value's place where an item was handed in again."""


_AGAIN = _Again()


class _Machines:
    """What the cluster's machines offer, looked up now and then: clusters grow and shrink."""

    def __init__(self, ray: Any, options: SpreadOptions) -> None:
        self.ray, self.grows, self.seen_at = ray, options.address is not None, -_LOOK_SECONDS
        self.nodes: list[dict[str, float]] = []
        self.warned = False

    def look(self) -> list[dict[str, float]]:
        """Resources of each machine that is alive."""
        if time.monotonic() - self.seen_at >= _LOOK_SECONDS:
            self.nodes = [dict(node["Resources"]) for node in self.ray.nodes() if node["Alive"]]
            self.seen_at = time.monotonic()
        return self.nodes

    def slots(self, needs: Needs) -> int:
        """How many items the machines can hold at a time, at least one."""
        return max(1, sum(_fits(node, needs) for node in self.look()))

    def fitted(self, needs: Needs) -> Needs:
        """The needs with memory rounded up, but never beyond what the largest machine has.

        Raises:
            InputError: No machine here has so many CPUs or GPUs, and none can come.
        """
        most = {name: max((node.get(name, 0.0) for node in self.look()), default=0.0) for name in ("CPU", "GPU")}
        if needs.cpus > most["CPU"] or needs.gpus > most["GPU"]:
            got = f"{needs.cpus:g} CPUs and {needs.gpus:g} GPUs for a job, on machines of at most "
            got += f"{most['CPU']:g} CPUs and {most['GPU']:g} GPUs"
            if not self.grows:
                raise InputError(got, "a job that fits one machine", "ask for less, or name a cluster with --address")
            if not self.warned:
                log.warning("%s; jobs wait until such a machine joins", got)
                self.warned = True
        if needs.memory_mb is None:
            return needs
        largest = max((node.get("memory", 0.0) for node in self.look()), default=0.0) / 2**20
        rounded = -(-needs.memory_mb // _MEMORY_STEP_MB) * _MEMORY_STEP_MB
        return replace(needs, memory_mb=max(1, min(rounded, int(largest)) if largest else rounded))


def _fits(node: dict[str, float], needs: Needs) -> int:
    wanted = [("CPU", needs.cpus), ("GPU", needs.gpus), ("memory", (needs.memory_mb or 0) * 2**20)]
    rooms = [int(node.get(name, 0.0) / amount + 1e-6) for name, amount in wanted if amount > 0]
    return min(rooms, default=1)


def _first_line(err: object) -> str:
    return next((line.strip() for line in str(err).splitlines() if line.strip()), type(err).__name__).rstrip(".")


@contextlib.contextmanager
def _connected(options: SpreadOptions) -> Iterator[Any]:
    """Ray, connected to a cluster or started on this machine; one that this process is connected to is used as it is.

    Raises:
        InputError: Ray is not installed, or the cluster doesn't answer.
    """
    try:
        import ray
        import ray.exceptions
    except ImportError as err:
        raise InputError(
            f"no Ray here ({err})", "the package ray", 'run pip install ".[batch]", or say --engine pool'
        ) from err
    if ray.is_initialized():
        yield ray
        return
    settings: dict[str, Any] = {"address": options.address or "local"}
    if options.address is None:
        settings |= {"num_cpus": options.workers or None, "include_dashboard": False}
        settings["object_store_memory"] = _STORE_BYTES
    with _quiet_environment(), _own_handlers():
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **settings)
        except (ConnectionError, ValueError, RuntimeError, OSError) as err:
            raise InputError(
                f"no Ray cluster at {options.address or 'this machine'} ({_first_line(err)})",
                "one that answers",
                "start it with `ray start --head`, or check --address",
            ) from err
    try:
        yield ray
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _quiet_environment() -> Iterator[None]:
    """Settings that Ray's own processes inherit: no usage statistics, no warning about GPUs that aren't asked for."""
    wanted = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    mine = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(mine)
    try:
        yield
    finally:
        for name in mine:
            os.environ.pop(name, None)


@contextlib.contextmanager
def _own_handlers() -> Iterator[None]:
    """Keeps this process's signal handlers, of which Ray takes one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
