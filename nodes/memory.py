"""A warning, on the node and in the console, before work that needs more memory than the machine has."""

from __future__ import annotations

import logging

from ..fourreal_core.grid import FrameGrid
from .node_text import show_text

log = logging.getLogger(__name__)


def warn_of_memory(
    grid: FrameGrid, lower: str = "the size of the frames (longest_side)"
) -> dict[str, tuple[str]] | None:
    """Says if completing a grid and fitting its scene need more memory than is free.

    Args:
        grid: What is completed.
        lower: What makes frames smaller in the graph.

    Returns:
        What was said, as a node's ``ui``, so that it stays on the node; None where there is enough.
    """
    from ..fourreal_core.job_memory import JobSize, memory_shortfall

    said = memory_shortfall(JobSize.of(grid), lower=lower)
    if said:
        log.warning("%s", said)
        show_text(said)
    return {"text": (said,)} if said else None
