"""Candidates by 2D flow alone: every way to find a cell's pixels in a known cell, each with its name.

A reference shows how things move (a row) or how views see them apart (a column); the match between source and
reference carries that over. No way is right everywhere, so all are kept, by name, and what chooses among them may learn
how far each kind can be trusted.
"""

from __future__ import annotations

import numpy as np

from ..flow.flow_cache import MeasuredFlow
from ..flow.flow_field import Flow, invert_flow, warp

MEASURED = ("best", "direct", "started", "chained")
"""Ways of measuring a flow between cells that are not neighbours: the one that explains each pixel best, directly, from
a chain over the cells between as a start, by that chain alone. See flow_cache.MeasuredFlow."""
INVERTED = tuple(f"inverted_{way}" for way in MEASURED)
"""The reference's flow from the source's time to the cell's, carried to the view and inverted."""
STATIC = "static"
"""Nothing moves."""
UNALIGNED = "back_unaligned"
"""The reference's flow back, read as if the cell were where the source is: a guess where to look."""
BACK = tuple(f"back_{way}" for way in MEASURED)
"""The reference's flow back, read where the first inverted flow leads."""
FLOW_KINDS = (*INVERTED, STATIC, UNALIGNED, *BACK)
"""All candidates of flow; ties between them go to the first."""


def flow_candidates(match: Flow, forth: MeasuredFlow, back: MeasuredFlow) -> dict[str, Flow]:
    """Flows ``(H, W, 2)`` from a cell to its source, in the order of FLOW_KINDS.

    Args:
        match: From the source to the reference.
        forth: The reference's flow from the source's time to the cell's.
        back: Its flow back.
    """
    inverted = [invert_flow(warp(way, match)) for way in _ways(forth)]
    there = warp(match, inverted[0])
    flows = [*inverted, np.zeros_like(match), warp(back.best, match), *(warp(way, there) for way in _ways(back))]
    return dict(zip(FLOW_KINDS, flows, strict=True))


def _ways(flow: MeasuredFlow) -> tuple[Flow, ...]:
    """The ways of MEASURED; neighbours are measured one way, which then stands for all."""
    return (flow.best, *flow.measured) if len(flow.measured) > 1 else (flow.best,) * len(MEASURED)
