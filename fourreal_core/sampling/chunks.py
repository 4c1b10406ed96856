"""The plan of an extension: chunks in time and in view, each beside the last cells that are finished (supplement 2).

A chunk sees the last ``keep`` columns or rows before it as known cells, and far ones against forgetting a side that
left the window: the first, or those that overlap best with what comes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError

FAR = ("none", "first", "overlap")


@dataclass(frozen=True)
class Window:
    """A piece of the grid that a model sees at once.

    Attributes:
        views: Which views, rising.
        times: Which times, rising.
    """

    views: tuple[int, ...]
    times: tuple[int, ...]

    def cut(self, grid: Tensor) -> Tensor:
        """The window's cells ``(B, v, t, ...)`` of ``(B, V, T, ...)``."""
        device = grid.device
        views, times = torch.tensor(self.views, device=device), torch.tensor(self.times, device=device)
        return grid.index_select(1, views).index_select(2, times)


@dataclass(frozen=True)
class ChunkOptions:
    """How a grid is cut into chunks.

    Attributes:
        views: Views that the model sees at once.
        times: Times that the model sees at once.
        keep: Columns, or rows, before a chunk that it sees as known cells; the paper's K, at most 4.
        far: Which far columns, or rows, it sees beside them: ``none``, the ``first``, or those of best ``overlap``.
        far_count: How many of those.
    """

    views: int = 8
    times: int = 8
    keep: int = 4
    far: str = "first"
    far_count: int = 1

    def __post_init__(self) -> None:
        if self.far not in FAR:
            raise InputError(f"far cells {self.far!r}", "one of " + ", ".join(FAR), "choose one of them")
        if not 1 <= self.keep <= 4 or self.far_count < 1 or min(self.views, self.times) <= self.keep + self.far_cells:
            raise InputError(
                f"windows of {self.views} views and {self.times} times that keep {self.keep} and "
                f"{self.far_cells} far ones",
                "1 to 4 kept, and room for new cells in a window",
                "keep fewer, or choose larger windows",
            )

    @property
    def far_cells(self) -> int:
        """Far columns, or rows, in a chunk."""
        return {"none": 0, "first": 1, "overlap": self.far_count}[self.far]


@dataclass(frozen=True)
class Chunk:
    """One step of an extension.

    Attributes:
        window: What the model sees.
        new_views: Views of the window that no earlier chunk saw.
        new_times: Times of the window that no earlier chunk saw.
    """

    window: Window
    new_views: tuple[int, ...]
    new_times: tuple[int, ...]

    @property
    def cells(self) -> list[tuple[int, int]]:
        """The ``(view, time)`` cells that the chunk finishes, row by row; given ones among them stay as they are."""
        return [(v, t) for v in self.new_views for t in self.new_times]


@dataclass(frozen=True)
class ChunkPlan:
    """The chunks of a grid, in the order in which they run: all views of a time block before the next.

    Attributes:
        views: V.
        times: T.
        options: How it was cut.
        chunks: The steps.
    """

    views: int
    times: int
    options: ChunkOptions
    chunks: tuple[Chunk, ...]

    def digest(self) -> str:
        """A name for the plan; another plan has another."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    def finished_by(self) -> dict[tuple[int, int], int]:
        """For every cell the chunk that finishes it."""
        return {cell: k for k, chunk in enumerate(self.chunks) for cell in chunk.cells}


def plan_chunks(
    views: int,
    times: int,
    options: ChunkOptions,
    view_likeness: Tensor | None = None,
    time_likeness: Tensor | None = None,
) -> ChunkPlan:
    """Cuts a grid into chunks.

    Args:
        views: V, at least 2.
        times: T, at least 2.
        options: How.
        view_likeness: ``(V, V)`` how much two views overlap, for ``far="overlap"``; see frame_likeness.
        time_likeness: ``(T, T)`` the same for times.

    Raises:
        InputError: A grid of one view or one time, or no likeness where it is needed.
    """
    if min(views, times) < 2:
        raise InputError(f"a grid of {views} x {times} cells", "at least 2 views and 2 times", "choose longer clips")
    view_spans = _spans(views, options.views, options, view_likeness, "view")
    time_spans = _spans(times, options.times, options, time_likeness, "time")
    chunks = tuple(
        Chunk(Window(seen_views, seen_times), new_views, new_times)
        for seen_times, new_times in time_spans
        for seen_views, new_views in view_spans
    )
    return ChunkPlan(views, times, options, chunks)


def frame_likeness(latents: Tensor) -> Tensor:
    """How alike frames are, as a stand-in for how much of the scene they share.

    Args:
        latents: ``(F, C, h, w)``, such as row 0 for times or column 0 for views.

    Returns:
        ``(F, F)`` correlations of the frames' coarse structure, in ``[-1, 1]``.
    """
    coarse = F.adaptive_avg_pool2d(latents.float(), (min(8, latents.shape[-2]), min(8, latents.shape[-1]))).flatten(1)
    unit = F.normalize(coarse - coarse.mean(0), dim=1)
    return unit @ unit.T


def _spans(
    length: int, window: int, options: ChunkOptions, likeness: Tensor | None, name: str
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """What each chunk sees along one axis, and what of it is new."""
    first = tuple(range(min(length, window)))
    found = [(first, first)]
    if length > window and options.far == "overlap" and (likeness is None or likeness.shape != (length, length)):
        got = "none" if likeness is None else f"one of shape {tuple(likeness.shape)}"
        raise InputError(
            f"far cells by overlap, and a {name} likeness: {got}",
            f"({length}, {length})",
            "give the likeness of all frames, or choose the first as far cells",
        )
    while found[-1][1][-1] < length - 1:
        start = found[-1][1][-1] + 1
        kept = range(start - options.keep, start)
        new = tuple(range(start, min(length, start + window - options.keep - options.far_cells)))
        far = _far(options, kept[0], new, likeness)
        found.append((tuple(sorted({*far, *kept, *new})), new))
    return found


def _far(options: ChunkOptions, before: int, new: Sequence[int], likeness: Tensor | None) -> list[int]:
    """Which of the indices below ``before`` a chunk also sees."""
    if options.far == "overlap" and likeness is not None:
        score = likeness[torch.tensor(new)][:, :before].amax(0)
        return score.argsort(descending=True, stable=True)[: options.far_cells].tolist()
    return [0] if options.far == "first" and before > 0 else []
