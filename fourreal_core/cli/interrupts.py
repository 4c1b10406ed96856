"""SIGINT (Ctrl-C) and SIGTERM end a command soon and cleanly, wherever the signal arrives."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

_asked = threading.Event()  # signals belong to the process, and so does this


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """While it lasts, SIGINT and SIGTERM raise KeyboardInterrupt, now and again at the next ``check``.

    Once is not enough: an exception that arrives inside a finaliser or a callback from compiled code is dropped by the
    interpreter, and the work would go on.
    """
    _asked.clear()
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield
        return

    def interrupt(signum: int, frame: object) -> None:
        _asked.set()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def check() -> None:
    """Raises KeyboardInterrupt if one was asked for since the command began."""
    if _asked.is_set():
        raise KeyboardInterrupt
