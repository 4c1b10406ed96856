"""``--set``: values that take the place of a configuration file's."""

from __future__ import annotations

import argparse
from typing import Any

from ..errors import InputError


def add_changes(parser: argparse.ArgumentParser) -> None:
    """Declares the option."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="changes",
        help="a value that takes the place of the file's, for example train.steps=100; may be repeated",
    )


def changes_of(args: argparse.Namespace) -> dict[str, Any]:
    """The values by dotted name.

    Raises:
        InputError: No equals sign.
    """
    return dict(parse_change(text) for text in args.changes)


def parse_change(text: str) -> tuple[str, Any]:
    """Name and value of a ``--set``; the value is read as JSON, and as plain text where it is none.

    Raises:
        InputError: No equals sign.
    """
    import json

    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"--set {text!r}", "KEY=VALUE", "say for example --set train.steps=100")
    try:
        return name.strip(), json.loads(value)
    except ValueError:
        return name.strip(), value
