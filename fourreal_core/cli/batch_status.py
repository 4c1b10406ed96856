"""``fourreal batch status OUT``: how a batch stands, from what lies in its output folder."""

from __future__ import annotations

import argparse
import json
from typing import Any

from ..errors import InputError
from .report import tell

_TOLD = 20


def tell_status(args: argparse.Namespace) -> int:
    """Prints how many jobs are done, failed and running, and why they failed.

    Returns:
        Exit status: 1 if a job has failed.

    Raises:
        InputError: No batch there.
    """
    out = args.folder or args.out
    if out is None:
        raise InputError("no folder", "the output folder of a batch", "say `fourreal batch status OUT`")
    status = batch_status(out)
    lines = [
        f"{status['done']} of {status['jobs']} jobs done, {status['failed']} failed, {len(status['running'])} running; "
        f"{status['state']}, last heard of {status['updated']}"
    ]
    lines += [f"  running: {job} on {worker}" for job, worker in list(status["running"].items())[:_TOLD]]
    lines += [f"  failed: {failure['id']}: {failure['error']}" for failure in status["failures"][:_TOLD]]
    tell({"command": "batch status", **status}, "\n".join(lines), args)
    return 1 if status["failed"] else 0


def batch_status(out: str) -> dict[str, Any]:
    """What a batch's folder says: ``batch.json``, with the counts of its index and the jobs that are worked on.

    Raises:
        InputError: No batch there.
    """
    from ..batch.fingerprint import join
    from ..batch.index import STATE, read_journal
    from ..batch.job_folder import running_jobs
    from ..batch.ledger import Ledger
    from ..batch.storage import read_bytes

    data = read_bytes(join(out, STATE))
    if data is None:
        raise InputError(f"no {STATE} in {out}", "the output folder of a batch", "check the path")
    status: dict[str, Any] = json.loads(data)
    with Ledger() as ledger:
        read_journal(out, ledger)
        counts = ledger.counts(in_manifest=False)
        failures = [{"id": r["id"], "error": r["error"], "tries": r.get("tries", 1)} for r in ledger.failures()]
    running = running_jobs(out)
    return {**status, **counts, "running": running, "failures": failures}
