"""What to call the place where work is done."""

from __future__ import annotations

import os
import platform
import sys


def worker_name() -> str:
    """Machine, node of the Ray cluster if there is one, and process: unlike any other's, and fit for a file name."""
    host = "".join(c if c.isalnum() or c == "-" else "-" for c in platform.node()) or "machine"
    ray = sys.modules.get("ray")
    node = [ray.get_runtime_context().get_node_id()] if ray is not None and ray.is_initialized() else []
    return "-".join([host, *node, str(os.getpid())])
