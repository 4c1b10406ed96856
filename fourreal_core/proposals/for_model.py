"""What a refiner is shown of a grid beside its known cells: a given proposal, and what 2D flow says."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InputError


def shown_proposals(frames: Tensor, known: Tensor, count: int, given: Tensor | None = None) -> Tensor | None:
    """Proposals in the order in which refiners are trained; known cells are in all of them as they are.

    A given proposal takes the first place and flow fills the others. Flow needs row 0 and column 0; without them there
    are fewer proposals, with which refiners do too.

    Args:
        frames: ``(V, T, H, W, 3)`` in ``[0, 1]``; only known cells are looked at.
        known: ``(V, T)`` bool.
        count: How many the model takes; see DiTSpec.proposals.
        given: ``(V, T, H, W, 3)``.

    Returns:
        ``(P, V, T, H, W, 3)`` with P at most ``count``; None if there are none. Behind the pictures may be maps, see
        flow_proposals.PICTURES.

    Raises:
        InputError: A given proposal of another shape.
    """
    if given is not None and given.shape != frames.shape:
        raise InputError(f"a proposal of shape {tuple(given.shape)}", str(tuple(frames.shape)), "give one of each cell")
    found = [] if given is None else [given]
    if len(found) < count and bool(known[0].all()) and bool(known[:, 0].all()):
        from .flow_proposal import PROPOSERS, flow_proposals

        found += list(PROPOSERS.get(count, flow_proposals)(frames[:, 0], frames[0]))[len(found) :]
    if not found or count < 1:
        return None
    from .flow_proposal import as_given

    return as_given(torch.stack([proposal.to(frames) for proposal in found[:count]]), frames, known)
