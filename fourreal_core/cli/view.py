"""``fourreal view``: saved scenes in the browser, served on this machine only."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..errors import InputError

DEFAULT_PORT = 8410


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    """Declares the command and its options."""
    parser = commands.add_parser(
        "view",
        parents=parents,
        help="play saved scenes in the browser",
        description="Serves a saved scene, or all those below a folder, on this machine only and opens the browser. "
        "Ctrl-C ends it.",
    )
    parser.add_argument(
        "scene", type=Path, metavar="OUT", help="the output folder of a run, a folder of such folders, or a scene"
    )
    parser.add_argument(
        "--port",
        type=int,
        default=DEFAULT_PORT,
        metavar="N",
        help=f"port, 0 for any that is free (default {DEFAULT_PORT})",
    )
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> None:
    """Runs the command until Ctrl-C.

    Raises:
        InputError: No scene there, or a port that can't be used.
    """
    import webbrowser

    from ..viewer.runs import find_runs
    from ..viewer.serve import ViewerServer
    from .report import tell

    if not 0 <= args.port <= 65535:
        raise InputError(f"port {args.port}", "0 to 65535", f"say for example --port {DEFAULT_PORT}")
    runs = find_runs(args.scene)
    with ViewerServer(runs, args.port) as server:
        scenes = "1 scene" if len(runs) == 1 else f"{len(runs)} scenes"
        report = {"command": "view", "address": server.address, "scenes": [str(run.scene) for run in runs]}
        tell(report, f"{scenes} at {server.address} (Ctrl-C ends it)", args)
        sys.stdout.flush()
        if not args.no_browser:
            webbrowser.open(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:  # how it is meant to end
            return
