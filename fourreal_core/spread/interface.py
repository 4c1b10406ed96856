"""One call for all engines: items in, outcomes out as they finish, failures as values."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

from ..errors import InputError

Item = TypeVar("Item")
Value = TypeVar("Value")
_TICK_SECONDS = 0.5
ENGINES = ("ray", "pool", "threads", "here")


@dataclass(frozen=True)
class Needs:
    """What one item takes of a machine; only Ray heeds it, the others run one item a worker.

    Attributes:
        cpus: Processor cores; the work's torch threads, rounded down, at least one.
        gpus: GPUs; a fraction shares one device.
        memory_mb: MiB of memory that are set aside, and beyond twice of which the work is refused memory (Linux);
            None sets nothing aside.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    memory_mb: int | None = None

    def __post_init__(self) -> None:
        if self.cpus < 0 or self.gpus < 0 or (self.memory_mb is not None and self.memory_mb < 1):
            raise InputError(
                f"{self.cpus:g} CPUs, {self.gpus:g} GPUs and {self.memory_mb} MiB for a job",
                "numbers that are not negative, and at least 1 MiB",
                "ask for more",
            )
        if self.gpus > 1 and self.gpus != int(self.gpus):
            raise InputError(f"{self.gpus:g} GPUs for a job", "a fraction of one, or whole ones", "round it")


@dataclass(frozen=True)
class SpreadOptions:
    """Where work runs.

    Attributes:
        engine: ``ray``; ``pool``, processes of this machine; ``threads`` of this process, for work that waits for
            others; ``here``, one after the other.
        workers: Processes of a pool, threads, or CPUs of a Ray that is started on this machine; 0 takes one a core.
        address: A running Ray cluster (``auto``, ``host:port`` or ``ray://host:port``); None starts one here.
        retries: How often an item whose machine or process died is tried again.
    """

    engine: str = "pool"
    workers: int = 1
    address: str | None = None
    retries: int = 3

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise InputError(f"the engine {self.engine!r}", " or ".join(ENGINES), "choose one of these")
        if self.workers < 0 or self.retries < 0:
            raise InputError(f"{self.workers} workers, {self.retries} retries", "no negative number", "ask for more")
        if self.address is not None and self.engine != "ray":
            raise InputError(
                f"the address of a cluster with the engine {self.engine!r}", "ray", "leave one of them out"
            )


@dataclass(frozen=True)
class Failure:
    """Why an item has no value.

    Attributes:
        kind: ``input`` (InputError), ``memory``, ``lost`` (its machine or process died too often) or ``error``.
        sentence: For a person.
        traceback: For whoever mends it; empty where there is none.
        error: What was raised, where it is input that can't be used.
    """

    kind: str
    sentence: str
    traceback: str = ""
    error: InputError | None = None

    @staticmethod
    def of(kind: str, error: InputError, traceback: str = "") -> Failure:
        """A failure with an InputError's sentence."""
        return Failure(kind, str(error), traceback, error)

    def as_exception(self) -> Exception:
        """What to raise where one failure ends everything."""
        return self.error or RuntimeError(f"{self.sentence}\n{self.traceback}".rstrip())


@dataclass(frozen=True)
class Outcome(Generic[Item, Value]):
    """What became of an item: its value, or a failure.

    Attributes:
        item: As it was given.
        value: What the work returned.
        failure: None where it succeeded.
        tries: How often it was started.
    """

    item: Item
    value: Value | None
    failure: Failure | None
    tries: int = 1


@dataclass(frozen=True)
class Tick:
    """How work stands, about twice a second.

    Attributes:
        running: Items that are being worked on; what fits the machines where that can't be known.
        waiting: Items that were handed to the engine and wait for room.
    """

    running: int
    waiting: int


OnTick = Callable[[Tick], None]


def spread_work(
    work: Callable[[Item], Value],
    items: Iterable[Item],
    options: SpreadOptions,
    needs: Callable[[Item], Needs] | None = None,
    on_tick: OnTick | None = None,
) -> Generator[Outcome[Item, Value], None, None]:
    """Works on all items; outcomes come in the order in which items finish.

    Items are drawn only as room comes, so that a long iterable is never held in memory. Closing the generator, as an
    exception of ``on_tick`` does, stops what still runs.

    Args:
        work: What is done with one; it, items and values can be pickled, and a worker can import its module.
        items: Whatever is to be done.
        options: Where.
        needs: What an item takes; a CPU when None.
        on_tick: Called about twice a second and after every outcome; cancels by raising.

    Raises:
        InputError: An engine that isn't installed, or a cluster that doesn't answer.
    """
    needs = needs or _one_cpu
    on_tick = on_tick or _nobody
    if options.engine == "here":
        return _here(work, items, on_tick)
    if options.engine == "pool":
        from .pool import pool_outcomes

        return pool_outcomes(work, items, options, on_tick)
    if options.engine == "threads":
        return _threads(work, items, options.workers or 1, on_tick)
    from .ray_engine import ray_outcomes

    return ray_outcomes(work, items, options, needs, on_tick)


def guarded(work: Callable[[Any], Any], item: Any, cpus: float | None, memory_mb: int | None) -> Any:
    """Does one piece of work where it was sent to.

    Args:
        work: See ``spread_work``.
        item: Of the work.
        cpus: Sets torch's threads; None leaves them.
        memory_mb: Set aside for it; see ``Needs``.

    Returns:
        What ``work`` returned, or a ``Failure``: exceptions of others' making can't all be pickled.
    """
    import traceback

    from .memory_limit import MemoryExceeded, limited_memory

    if cpus is not None:
        import torch

        torch.set_num_threads(max(1, int(cpus)))
    try:
        with limited_memory(None if memory_mb is None else 2 * memory_mb):
            return work(item)
    except InputError as err:
        kind = "memory" if isinstance(err, MemoryExceeded) else "input"
        return Failure.of(kind, err, traceback.format_exc())
    except Exception as err:  # whatever it is, it is this item's alone
        return Failure("error", f"{type(err).__name__}: {err}", traceback.format_exc())


def outcome_of(item: Any, value: Any, tries: int) -> Outcome[Any, Any]:
    """An outcome from what ``guarded`` returned."""
    return Outcome(item, None, value, tries) if isinstance(value, Failure) else Outcome(item, value, None, tries)


def _here(
    work: Callable[[Item], Value], items: Iterable[Item], on_tick: OnTick
) -> Generator[Outcome[Item, Value], None, None]:
    for item in items:
        on_tick(Tick(1, 0))
        yield outcome_of(item, guarded(work, item, None, None), 1)


def _threads(
    work: Callable[[Item], Value], items: Iterable[Item], threads: int, on_tick: OnTick
) -> Generator[Outcome[Item, Value], None, None]:
    """Threads can't be stopped from outside: leaving doesn't wait for them, and whoever made the work ends it."""
    from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

    source, running = iter(items), dict[Future[Any], Item]()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="fourreal-spread")
    try:
        while True:
            for item in islice(source, threads - len(running)):
                running[pool.submit(guarded, work, item, None, None)] = item
            if not running:
                return
            on_tick(Tick(len(running), 0))
            for future in wait(running, _TICK_SECONDS, FIRST_COMPLETED).done:
                yield outcome_of(running.pop(future), future.result(), 1)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _one_cpu(item: object) -> Needs:
    return Needs()


def _nobody(tick: Tick) -> None:
    """Nobody listens."""
