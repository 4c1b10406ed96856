"""The ``fourreal`` command: parse, call, report. Each command is one file; nothing heavy loads before one runs."""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
from collections.abc import Iterator, Sequence
from io import TextIOWrapper
from typing import cast

from .. import __version__
from ..errors import InputError
from . import batch, data, demo, doctor, evaluate, export, queue, render, run, study, train, view
from .interrupts import interruptible

INTERRUPTED, BAD_INPUT = 130, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        argv: Arguments without the program's name; ``sys.argv`` when None.

    Returns:
        Exit status: 0, 1 if jobs of a batch failed, 2 for bad input or a missing package, 130 when interrupted.
    """
    args = _parser().parse_args(argv)
    with contextlib.suppress(AttributeError, ValueError):  # a console may lack a letter of a folder's name
        cast(TextIOWrapper, sys.stdout).reconfigure(errors="backslashreplace")
    try:
        with _logging(args), interruptible():
            return int(args.execute(args) or 0)
    except KeyboardInterrupt:
        if args.debug:
            raise
        print("fourreal: interrupted; files written so far are complete", file=sys.stderr)
        return INTERRUPTED
    except InputError as err:
        if args.debug:
            raise
        print(f"fourreal: {err}", file=sys.stderr)
        return BAD_INPUT
    except ImportError as err:
        if args.debug or (err.name or "").split(".")[0] == "fourreal_core":
            raise
        print(f"fourreal: {_missing(err)}", file=sys.stderr)
        return BAD_INPUT


def _missing(error: ImportError) -> str:
    """The sentence about a package that everything needs, such as torch."""
    from ..needed import missing

    name = (error.name or "").split(".")[0]
    return str(missing(name or "a package", error, name or "-r requirements.txt"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fourreal",
        description="4D video from a freeze-time clip and a fixed-view "
        "clip: the whole frame grid and a scene of splats that plays in time.",
    )
    parser.add_argument("--version", action="version", version=f"fourreal {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in (demo, run, batch, queue, view, render, export, evaluate, study, data, train, doctor):
        command.add_command(commands, [_shared_options()])
    return parser


def _shared_options() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--quiet", action="store_true", help="no progress bars, no summary, no warnings")
    shared.add_argument("--json", action="store_true", help="print the report as JSON on stdout")
    shared.add_argument("--debug", action="store_true", help="log more, and show the traceback of an error")
    return shared


@contextlib.contextmanager
def _logging(args: argparse.Namespace) -> Iterator[None]:
    """Sends the package's log through tqdm to stderr, above any progress bar, while a command runs."""
    logger = logging.getLogger("fourreal_core")
    handler = _AboveBars()
    handler.setFormatter(logging.Formatter("fourreal: %(levelname)s: %(message)s"))
    level = logging.DEBUG if args.debug else logging.ERROR if args.quiet else logging.WARNING
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


class _AboveBars(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        tqdm.write(self.format(record), file=sys.stderr)
