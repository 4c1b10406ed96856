"""The driver of a batch as a process that a test can kill: manifest, output folder, address of a cluster.

Exit status: 3 if jobs failed."""

from __future__ import annotations

import logging
import sys

from fourreal_core.batch.runner import BatchPlan, run_batch
from fourreal_core.cli.batch_bar import BatchBar
from fourreal_core.spread import Needs, SpreadOptions

from .making import RULES, make

if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    manifest, out, address = sys.argv[1:]
    options = SpreadOptions("ray", 0, address, retries=3)
    with BatchBar(quiet=True) as bar:
        state = run_batch(BatchPlan(manifest, out, RULES), make, lambda job: Needs(cpus=1, memory_mb=256), options, bar)
    sys.exit(3 if state["failed"] else 0)
