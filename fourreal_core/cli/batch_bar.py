"""The progress of a batch: jobs done, failed and running, and the time left."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from tqdm import tqdm

from ..spread import Tick
from . import interrupts


class BatchBar:
    """One line on stderr; a context manager, so that it is closed when a batch fails.

    Args:
        quiet: Draw nothing.
    """

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.bar: tqdm | None = None
        self.done = self.failed = self.running = 0

    def __enter__(self) -> BatchBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.close()

    def begin(self, jobs: int) -> None:
        """The manifest is checked."""
        live = sys.stderr.isatty()
        self.bar = tqdm(
            total=jobs,
            desc="0 done",
            file=sys.stderr,
            disable=self.quiet,
            mininterval=0.1 if live else 10.0,
            dynamic_ncols=live,
            bar_format="{percentage:3.0f}% |{bar:24}| {desc}, {elapsed} passed, {remaining} left",
        )
        self._say(0)

    def skip(self) -> None:
        """A job was done before: it counts as done, and not for the time that is left."""
        self.done += 1
        if self.bar is not None and not self.bar.disable:
            self.bar.initial += 1
            self.bar.n += 1

    def finish(self, record: Mapping[str, Any]) -> None:
        """A job ended."""
        interrupts.check()
        failed = record["state"] == "failed"
        self.done, self.failed = self.done + (not failed), self.failed + failed
        if failed and not self.quiet:
            tqdm.write(f"{record['id']}: {record['error']}", file=sys.stderr)
        if self.bar is not None:
            self._say(self.running)
            self.bar.update(1)

    def tick(self, tick: Tick) -> None:
        """About twice a second."""
        interrupts.check()
        self.running = tick.running
        self._say(tick.running)

    def _say(self, running: int) -> None:
        if self.bar is not None:
            self.bar.set_description_str(f"{self.done} done, {self.failed} failed, {running} running", refresh=False)
            self.bar.update(0)
