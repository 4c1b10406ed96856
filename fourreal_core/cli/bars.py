"""Progress bars of a command, one a stage."""

from __future__ import annotations

import sys
from types import TracebackType

import torch
from tqdm import tqdm

from ..progress import OnStep
from . import interrupts


class StageBars:
    """A stage factory that draws a bar a stage on stderr: its name, how far it is, and the time left.

    Use it as a context manager, so that the last bar is closed also when a stage fails. Every step also looks whether
    an interrupt is waiting.

    Args:
        quiet: Draw nothing.
    """

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.bar: tqdm | None = None

    def __enter__(self) -> StageBars:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def __call__(self, name: str) -> OnStep:
        """Starts a stage's bar; the one before is closed."""
        self._close()
        live = sys.stderr.isatty()
        bar = self.bar = tqdm(
            total=None,
            desc=f"{name:<18}",
            file=sys.stderr,
            disable=self.quiet,
            unit="",
            mininterval=0.1 if live else 10.0,
            dynamic_ncols=live,
            bar_format="{desc} {percentage:3.0f}% |{bar:30}| {elapsed} passed, {remaining} left",
        )

        def on_step(done: int, total: int, preview: torch.Tensor | None = None) -> None:
            interrupts.check()
            bar.total = total
            bar.update(done - bar.n)

        return on_step

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
