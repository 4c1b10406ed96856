"""Progress as callbacks: the core reports, a shell or a node decides what to draw."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch


class OnStep(Protocol):
    """Called after every unit of work; cancels by raising an exception of its own, which the core never catches."""

    def __call__(self, done: int, total: int, preview: torch.Tensor | None = None) -> None:
        """Reports progress.

        Args:
            done: Units finished, from 1 to ``total``.
            total: Units in all.
            preview: An optional picture ``(H, W, 3)`` in ``[0, 1]`` of the state so far.
        """


StageFactory = Callable[[str], OnStep]
"""Given a stage's name ("depth"), returns the callback that stage reports to."""


def no_progress(done: int, total: int, preview: torch.Tensor | None = None) -> None:
    """The callback for nobody listening."""


def no_stages(name: str) -> OnStep:
    """The stage factory for nobody listening."""
    return no_progress


class StageClock:
    """Measures the wall time of named stages, in the order they ran.

    Examples:
        >>> clock = StageClock()
        >>> with clock("depth"):
        ...     pass
        >>> list(clock.seconds)
        ['depth']
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str) -> _Timing:
        return _Timing(self, name)


class _Timing:
    def __init__(self, clock: StageClock, name: str) -> None:
        self.clock, self.name = clock, name

    def __enter__(self) -> None:
        self.start = perf_counter()

    def __exit__(self, *exc: object) -> None:
        self.clock.seconds[self.name] = self.clock.seconds.get(self.name, 0.0) + perf_counter() - self.start
