"""Where a command's work runs: the options that all commands which spread work share."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    from ..spread import SpreadOptions

_ENGINES = ("ray", "pool", "here")


def add_spread_options(parser: argparse.ArgumentParser, engine: str, workers: int) -> None:
    """The options.

    Args:
        parser: Of a command.
        engine: What the command uses when nothing is said; ``--address`` means Ray in any case.
        workers: Likewise; 0 takes a process a core.
    """
    said = "one a core" if workers == 0 else str(workers)
    parser.add_argument(
        "--engine",
        choices=_ENGINES,
        default=None,
        help="ray; pool: processes of this machine, without Ray; here: this process, one after the other "
        f"(default {engine}, or ray with --address)",
    )
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help=f"processes, or CPUs of a Ray that is started here (default {said}; 0 in a pool: none beside this)",
    )
    parser.add_argument("--address", metavar="HOST", help="a running Ray cluster: auto, host:port or ray://host:port")
    parser.add_argument(
        "--retries",
        type=int,
        default=3,
        metavar="N",
        help="how often work is tried again whose machine died (default 3)",
    )
    parser.set_defaults(usual_engine=engine, usual_workers=workers)


def spread_options(args: argparse.Namespace) -> SpreadOptions:
    """What a command's arguments say.

    Raises:
        InputError: Numbers that make no sense, or an address without Ray.
    """
    from ..spread import SpreadOptions

    engine = args.engine or ("ray" if args.address else args.usual_engine)
    if args.address and args.workers is not None:
        raise InputError(
            f"--workers {args.workers} with --address", "one of them", "a cluster has the workers that it has"
        )
    workers = args.usual_workers if args.workers is None else args.workers
    if engine == "pool" and args.workers == 0:
        engine = "here"
    return SpreadOptions(engine, workers, args.address, args.retries)
