"""Every answer of flow to where a cell's colours come from, side by side, with what a witness says of each.

A cell is looked for from a known cell of its view, with a row as witness (see witness), and from a known cell of its
time, with a column. Each way there are as many candidates, always in the same order, so that what chooses among them
may learn how far each kind can be believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..flow.flow_cache import MeasuredFlow
from ..flow.flow_field import Flow, invert_flow, warp
from .motion_layers import LAYERS
from .photometric_check import Image, Witness, best_candidate, blurred

WAYS = 4
"""Of measuring a flow: what explains each pixel best, directly, from a chain as a start, by the chain alone."""
KEPT = (1, 2, 3, 4, 5)
"""Which of candidate_flows a choice is given: each way turned around, standing still, a guess where to look.

The best way is one of these in every pixel, and flows back add next to nothing to them."""
PER_CLIP = len(KEPT) + LAYERS + 1
"""Candidates of one clip that a choice is given: by these flows, by its layers' flows, and what is new."""
CANDIDATES = 2 * PER_CLIP
"""Candidates of both clips."""
COST_MAPS = -(-CANDIDATES // 3)
"""Maps of three channels that hold a cost of every candidate."""
SETTLED = 3
"""Pictures that stand before the candidates: what was settled among them, see flow_proposals.settled_proposals."""
WITH_CANDIDATES = SETTLED + CANDIDATES + 1 + COST_MAPS
"""Proposals of a cell with its candidates: these pictures, the map of doubt, and the maps of costs."""
COST_GRAYS, MISS_PX = 64.0, 16.0
"""What counts as 1 in these maps: grey levels of 255, and pixels of forward-backward error."""


class Candidates(NamedTuple):
    """What flow says of a cell from one known cell.

    Attributes:
        pictures: ``(K, H, W, 3)``, one a flow; the last is what the witness shows now, in the tone of the source.
        costs: ``(K, H, W)`` how badly the witness bears each out, in grey levels of 255; the last holds the least of
            those that were measured, beyond which a pixel counts as new.
        missed: ``(H, W)`` forward-backward error of the witness's flow in pixels.
    """

    pictures: NDArray[np.float32]
    costs: NDArray[np.float32]
    missed: Image


def candidates_of(
    source: Image, witness: Witness, forth: MeasuredFlow, back: MeasuredFlow, window_px: float, tone_px: float
) -> Candidates:
    """All candidates of a cell from a known cell by flow as it was measured, in the order of candidate_flows.

    Args:
        source: ``(H, W, 3)`` in ``[0, 1]``, the known cell.
        witness: A row or column that is known at both times or from both views.
        forth: The witness's flow from the source's time to the cell's.
        back: Its flow back.
        window_px: Standard deviation of the window over which colours are compared.
        tone_px: Standard deviation of the window over which tones are compared.
    """
    flows = candidate_flows(witness.match, forth, back)
    costs = [blurred(witness.apart(flow), window_px) for flow in flows]
    pictures = [warp(source, flow) for flow in flows]
    flow, cost, _ = best_candidate(flows, costs)
    new, across = witness.toned(flow, warp(source, flow), tone_px)
    return Candidates(np.stack([*pictures, new]), np.stack([*costs, cost]), warp(back.error, across))


def to_choose(
    found: Candidates, source: Image, witness: Witness, layers: Sequence[Flow], window_px: float
) -> Candidates:
    """The PER_CLIP candidates that a choice is given.

    Args:
        found: Of candidates_of.
        source: As there.
        witness: As there.
        layers: Flows from the cell to the source by layers, see layers.flows_by_layers.
        window_px: As there.
    """
    kept = list(KEPT)
    pictures = [warp(source, flow) for flow in layers]
    costs = [blurred(witness.apart(flow), window_px) for flow in layers]
    return Candidates(
        np.stack([*found.pictures[kept], *pictures, found.pictures[-1]]),
        np.stack([*found.costs[kept], *costs, found.costs[-1]]),
        found.missed,
    )


def candidate_flows(match: Flow, forth: MeasuredFlow, back: MeasuredFlow) -> list[Flow]:
    """Flows ``(H, W, 2)`` from a cell to its source: turned around, standing still, a guess where to look, flows back.

    Args:
        match: From the source to the witness.
        forth: The witness's flow from the source's time to the cell's.
        back: Its flow back.
    """
    turned = [invert_flow(warp(way, match)) for way in _ways(forth)]
    there = warp(match, turned[0])
    return [*turned, np.zeros_like(match), warp(back.best, match), *(warp(way, there) for way in _ways(back))]


def candidate_maps(found: Sequence[Candidates]) -> NDArray[np.float32]:
    """Costs of both clips' candidates to choose from as maps ``(COST_MAPS, H, W, 3)`` in ``[0, 1]``, one a channel.

    In the place of what is new stands how far the witness's flow misses its start (over MISS_PX); the others are costs
    over COST_GRAYS. Channels left over are 0.
    """
    planes = [np.concatenate([each.costs[:-1] / COST_GRAYS, each.missed[None] / MISS_PX]) for each in found]
    rest = np.zeros((3 * COST_MAPS - CANDIDATES, *found[0].missed.shape), np.float32)
    stacked = np.concatenate([*planes, rest]).clip(0, 1)
    return np.moveaxis(stacked.reshape(COST_MAPS, 3, *stacked.shape[1:]), 1, -1)


def _ways(flow: MeasuredFlow) -> tuple[Flow, ...]:
    return (flow.best, *flow.measured) if len(flow.measured) > 1 else (flow.best,) * WAYS
