"""Windows of cached grids together with what was measured or is known of them: proposals, and the subject's outline."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ...proposals.grid_proposals import propose_planes
from ...proposals.plane_names import is_map
from ...synthetic.scene import to_float
from .cache import CachedGrids
from .proposals import read_proposals


class MeasuredWindow(NamedTuple):
    """A window of a grid.

    Attributes:
        frames: ``(V, T, H, W, 3)`` uint8.
        subject: ``(V, T, H, W)`` bool, what moves of itself.
        proposals: ``(P, V, T, H, W, 3)`` in ``[0, 1]``; or None where none were asked for.
    """

    frames: Tensor
    subject: Tensor
    proposals: Tensor | None


def kept_proposals(grids: CachedGrids, index: int, names: tuple[str, ...]) -> Tensor | None:
    """Proposals ``(P, V, T, H, W, 3)`` in ``[0, 1]`` that lie beside a grid; None if there are none.

    Raises:
        InputError: A damaged file.
    """
    path, place = grids.locate(index)
    found = read_proposals(path, names, place)
    return None if found is None else found.float() / 255


def draw_measured(
    grids: CachedGrids, window: tuple[int, int], names: tuple[str, ...], augment: bool, generator: torch.Generator
) -> MeasuredWindow:
    """A window of row 0, column 0 and other rows and columns at random, in their order.

    Proposals lead from row 0 and column 0, so these are always in it. Kept proposals are taken where there are some.

    Args:
        grids: A cache.
        window: Views and times.
        names: Planes of a cell, see plane_names; empty for none.
        augment: Mirror, and swap colours, at random.
        generator: Source of all choices.
    """
    index = int(torch.randint(len(grids), (), generator=generator))
    frames, subject = grids.read(index)
    rows, columns = (_with_first(n, w, generator) for n, w in zip(frames.shape[:2], window, strict=True))
    frames, subject = frames[rows][:, columns], subject[rows][:, columns]
    path, place = grids.locate(index)
    proposals = read_proposals(path, names, place) if names else None
    if proposals is not None:
        proposals = proposals[:, rows[:, None], columns]  # only these are read
    elif names:
        floats = to_float(frames)
        proposals = propose_planes(names, floats[:, 0], floats[0])
    # planes of 8 bits as long as possible, and planes in memory to the end: pixels are slow to turn over
    planes = None if proposals is None else proposals.movedim(-1, -3).contiguous()
    coins = torch.rand(2, generator=generator).tolist()
    if augment and coins[0] < 0.5:
        frames, subject = frames.flip(3), subject.flip(3)
        planes = None if planes is None else planes.flip(-1)
    if augment and coins[1] < 0.5:
        order = torch.randperm(3, generator=generator)
        frames = frames[..., order]
        if planes is not None:  # the channels of a map mean what they mean
            pictures = torch.tensor([not is_map(name) for name in names])
            planes[pictures] = planes[pictures].index_select(-3, order)
    if planes is None:
        return MeasuredWindow(frames, subject, None)
    if planes.dtype == torch.uint8:
        planes = planes.float().div_(255)
    return MeasuredWindow(frames, subject, planes.movedim(-3, -1))


def _with_first(count: int, wanted: int, generator: torch.Generator) -> Tensor:
    others = 1 + torch.randperm(count - 1, generator=generator)[: wanted - 1].sort().values
    return torch.cat([torch.zeros(1, dtype=torch.long), others])
