"""A line of text on the node that runs: what it is at, and what came out other than asked for."""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)


def show_text(text: str) -> None:
    """Shows a line on the node that is being executed; without a front end there is nobody to read it."""
    try:
        from comfy_execution.utils import get_executing_context
        from server import PromptServer

        server, running = getattr(PromptServer, "instance", None), get_executing_context()
    except ImportError as err:  # runtimes that execute single nodes have no server
        log.debug("no text on the node: %s", err)
        return
    if server is not None and running is not None:
        server.send_progress_text(text, running.node_id)
