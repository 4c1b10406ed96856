"""How a command says what it did, where it leaves no report file."""

from __future__ import annotations

import argparse
import json
from typing import Any


def tell(report: dict[str, Any], summary: str, args: argparse.Namespace) -> None:
    """Prints the report as JSON with ``--json``, else the summary, and nothing with ``--quiet``."""
    if args.json:
        print(json.dumps(report, indent=1, allow_nan=False))
    elif not args.quiet:
        print(summary)
