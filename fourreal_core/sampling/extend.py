"""Extends a grid chunk after chunk; what is finished leaves memory, and a run that was cut short goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from ..errors import InputError
from ..model.model4d import Model4D
from ..progress import OnStep, no_progress
from .chunks import Chunk, ChunkPlan
from .complete import NO_CONDITION, Condition4D, sample_grid
from .known_cells import KnownCells, check_completable
from .rectified_flow import SamplingOptions
from .stores import ChunkStore


class GivenCells(Protocol):
    """The cells that an extension starts from, read when a chunk needs them.

    Attributes:
        mask: ``(V, T)`` bool, which cells are given.
    """

    mask: Tensor

    def read(self, view: int, time: int) -> Tensor:
        """The latents ``(C, h, w)`` of a given cell."""


@dataclass(frozen=True)
class StartClips:
    """The usual start: column 0 from a freeze-time clip and row 0 from a fixed-view clip, in memory.

    Attributes:
        freeze_time: ``(V, C, h, w)`` latents.
        fixed_view: ``(T, C, h, w)`` latents; its first frame is the corner.
    """

    freeze_time: Tensor
    fixed_view: Tensor

    @property
    def mask(self) -> Tensor:
        """``(V, T)`` bool, row 0 and column 0."""
        known = torch.zeros(len(self.freeze_time), len(self.fixed_view), dtype=torch.bool)
        known[0] = known[:, 0] = True
        return known

    def read(self, view: int, time: int) -> Tensor:
        """The latents ``(C, h, w)`` of a given cell."""
        return self.fixed_view[time] if view == 0 else self.freeze_time[view]


@dataclass(frozen=True)
class GivenFrames:
    """Any given cells, in memory.

    Attributes:
        mask: ``(V, T)`` bool.
        latents: ``(view, time)`` to ``(C, h, w)`` of every given cell.
    """

    mask: Tensor
    latents: Mapping[tuple[int, int], Tensor]

    def __post_init__(self) -> None:
        if {tuple(cell) for cell in self.mask.nonzero().tolist()} != set(self.latents):
            raise InputError(
                f"latents of {len(self.latents)} cells for a mask of {int(self.mask.sum())}",
                "one a given cell",
                "encode exactly the given cells",
            )

    def read(self, view: int, time: int) -> Tensor:
        """The latents ``(C, h, w)`` of a given cell."""
        return self.latents[view, time]


CompleteChunk = Callable[[KnownCells, Chunk, torch.Generator], Tensor]
"""Draws the unknown cells of a chunk's window ``(1, v, t, C, h, w)``."""


def chunk_seed(seed: int, chunk: int) -> int:
    """The seed of a chunk: its own, whichever chunks ran before it in this process."""
    return (seed * 1_000_003 + chunk * 7_919 + 12_345) % 2**63


def model_completer(
    model: Model4D,
    options: SamplingOptions,
    condition: Condition4D = NO_CONDITION,
    proposal: Callable[[Chunk], Tensor | None] | None = None,
) -> CompleteChunk:
    """Draws chunks with a 4D model.

    Args:
        model: The model.
        options: How noise becomes a chunk.
        condition: What every chunk is drawn after.
        proposal: Gives a chunk's ``(1, v, t, C, h, w)`` proposal.
    """

    def complete(known: KnownCells, chunk: Chunk, generator: torch.Generator) -> Tensor:
        own = condition if proposal is None else replace(condition, proposal=proposal(chunk))
        return sample_grid(model, known, options, generator, own)

    return complete


def extend(
    plan: ChunkPlan,
    given: GivenCells,
    complete: CompleteChunk,
    store: ChunkStore,
    seed: int = 0,
    on_step: OnStep = no_progress,
) -> None:
    """Runs a plan; chunks that the store has already are not run again.

    Args:
        plan: From plan_chunks.
        given: What the extension starts from.
        complete: Draws a chunk.
        store: Takes the finished chunks. After the run it has every cell; given ones are in it as given.
        seed: With a chunk's number it makes the chunk's noise.
        on_step: Called after every chunk.

    Raises:
        InputError: Given cells of another grid, or none of them.
    """
    if given.mask.shape != (plan.views, plan.times) or given.mask.dtype != torch.bool:
        raise InputError(
            f"given cells of shape {tuple(given.mask.shape)} and type {given.mask.dtype}",
            f"({plan.views}, {plan.times}) bool",
            "plan the extension for the grid that is given",
        )
    check_completable(given.mask[None])
    finished = plan.finished_by()
    for number, chunk in enumerate(plan.chunks):
        if not store.has(number):
            known = gather_chunk(chunk, number, finished, given, store)
            generator = torch.Generator().manual_seed(chunk_seed(seed, number))
            drawn = known.latents if bool(known.mask.all()) else complete(known, chunk, generator)
            at = {cell: k for k, cell in enumerate(_cells(chunk))}
            rows = torch.tensor([at[cell] for cell in chunk.cells])
            store.write(number, known.hold(drawn)[0].flatten(0, 1)[rows.to(drawn.device)])
        on_step(number + 1, len(plan.chunks))


def gather_chunk(
    chunk: Chunk, number: int, finished: dict[tuple[int, int], int], given: GivenCells, store: ChunkStore
) -> KnownCells:
    """What is known in a chunk's window: cells that are given, and cells that earlier chunks finished.

    Args:
        chunk: The chunk.
        number: Its place in the plan.
        finished: ChunkPlan.finished_by.
        given: What the extension starts from.
        store: With the earlier chunks.

    Returns:
        Known cells of one grid ``(1, v, t)``.
    """
    cells = _cells(chunk)
    from_given = [k for k, (v, t) in enumerate(cells) if bool(given.mask[v, t])]
    taken = set(from_given)
    from_store = [k for k, cell in enumerate(cells) if k not in taken and finished[cell] < number]
    if not from_given and not from_store:
        raise InputError(
            f"chunk {number} in which no cell is known",
            "given or finished cells in every chunk",
            "give row 0 and column 0, or keep more",
        )
    frames = {k: given.read(*cells[k]) for k in from_given}
    if from_store:
        frames |= dict(zip(from_store, store.read([cells[k] for k in from_store]), strict=True))
    like = next(iter(frames.values()))
    latents = torch.stack([frames[k].to(like) if k in frames else torch.zeros_like(like) for k in range(len(cells))])
    mask = torch.tensor([k in frames for k in range(len(cells))], device=like.device)
    shape = (len(chunk.window.views), len(chunk.window.times))
    return KnownCells(mask.view(1, *shape), latents.view(1, *shape, *like.shape))


def _cells(chunk: Chunk) -> list[tuple[int, int]]:
    return [(v, t) for v in chunk.window.views for t in chunk.window.times]
