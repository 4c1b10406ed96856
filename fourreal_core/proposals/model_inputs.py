"""What a network is shown of a grid beside its known cells: a given proposal, and what 2D flow proposes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import InputError
from .grid_proposals import keep_known, propose_planes


def model_inputs(frames: Tensor, known: Tensor, names: Sequence[str], given: Tensor | None = None) -> Tensor | None:
    """Planes in the order of a network's spec; known cells are in all of them as they are.

    A given proposal takes the first place and flow fills the others. Flow needs row 0 and column 0; without them there
    are fewer planes, with which networks do too.

    Args:
        frames: ``(V, T, H, W, 3)`` in ``[0, 1]``; only known cells are looked at.
        known: ``(V, T)`` bool.
        names: What the network was trained on; see DiTSpec.proposals and plane_names.
        given: ``(V, T, H, W, 3)``.

    Returns:
        ``(P, V, T, H, W, 3)`` with P at most as many as there are names; None if there are none.

    Raises:
        InputError: A given proposal of another shape.
    """
    if given is not None and given.shape != frames.shape:
        raise InputError(f"a proposal of shape {tuple(given.shape)}", str(tuple(frames.shape)), "give one of each cell")
    found = [] if given is None else [given]
    if len(found) < len(names) and bool(known[0].all()) and bool(known[:, 0].all()):
        found += list(propose_planes(names, frames[:, 0], frames[0]))[len(found) :]
    if not found or not names:
        return None
    return keep_known(torch.stack([plane.to(frames) for plane in found[: len(names)]]), names, frames, known)
