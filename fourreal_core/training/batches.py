"""Batches that depend on nothing but the seed, the step and the place in the batch: any number of processes, and a run
that was killed and goes on, see the same."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import InputError
from ..proposals.grid_proposals import keep_known, propose_planes
from ..proposals.plane_names import is_candidate, is_map
from .data.cache import CachedGrids
from .data.latents import EncodedGrid, LatentGrids
from .data.measured import MeasuredWindow, draw_measured
from .data.proposals import proposal_path
from .data.sources import GridSource
from .options import TrainingConfig


class Batch(NamedTuple):
    """Frames to learn from, and which of them are given.

    Attributes:
        frames: ``(B, V, T, H, W, 3)`` float32 in ``[0, 1]``; a video has V = 1 or T = 1, an image both. None where the
            data is encoded.
        known: ``(B, V, T)`` bool.
        level: ``(B, V, T)`` noise levels, 0 where known.
        noise_seeds: One a grid.
        flows: ``(B, V, T, 2, 2, H, W)`` true flows in pixels to the cell in column 0 of the same row and to the one in
            row 0 of the same column, for steps that use them; or None.
        proposals: ``(B, V, T, P, H, W, 3)`` first completions, given frames where known; or None.
        shown: ``(B, P)`` bool, which of them the model sees; or None.
        subject: ``(B, V, T, H, W)`` bool, pixels of the subject, where these have a weight of their own; or None.
        latents: ``(B, V, T, C, h, w)`` clean latents where the data is encoded; or None.
        text: ``(B, L, E)`` text tokens; or None.
        text_mask: ``(B, L)`` bool, true where there is text, where the base looks at it; or None.
    """

    frames: Tensor | None
    known: Tensor
    level: Tensor
    noise_seeds: list[int]
    flows: Tensor | None = None
    proposals: Tensor | None = None
    shown: Tensor | None = None
    subject: Tensor | None = None
    latents: Tensor | None = None
    text: Tensor | None = None
    text_mask: Tensor | None = None


def generator_for(*key: int | str) -> torch.Generator:
    """A generator whose numbers depend on the key alone."""
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:4], "little"))  # torch's CPU generator keeps 32 bits


class _Item(NamedTuple):
    """One grid of a batch: what is learned from, which cells are given, and what was measured of it."""

    grid: Tensor
    known: Tensor
    level: Tensor
    seed: int
    flow: Tensor | None
    window: MeasuredWindow | None


def make_batch(config: TrainingConfig, source: GridSource | LatentGrids, step: int, places: range) -> Batch:
    """Items ``places`` of a step's batch.

    Args:
        config: The stage.
        source: Of grids at least as large as the window.
        step: From 0 on.
        places: Which of the items from 0 to ``config.train.batch - 1``.
    """
    if isinstance(source, LatentGrids):
        return _encoded_batch(config, source, step, places)
    window, shape = step_shape(config, step)
    items = [_draw_item(config, source, step, place, (window, shape)) for place in places]
    videos = torch.stack([item.grid for item in items]).float() / 255
    known, seeds = torch.stack([item.known for item in items]), [item.seed for item in items]
    proposals = shown = None
    if config.model.dit.proposals and min(shape) > 1:
        proposals = _proposals(config.model.dit.proposals, items, videos)
        shown = torch.stack([_shown(config, seed) for seed in seeds])
    flows = [item.flow for item in items if item.flow is not None]
    windows = [item.window for item in items if item.window is not None]
    subject = torch.stack([w.subject for w in windows]) if windows and config.train.subject_weight else None
    levels = torch.stack([item.level for item in items])
    return Batch(videos, known, levels, seeds, torch.stack(flows) if flows else None, proposals, shown, subject)


def _encoded_batch(config: TrainingConfig, source: LatentGrids, step: int, places: range) -> Batch:
    """Windows of encoded grids with their text. Views may run the other way; times don't, as captions tell of them."""
    window, shape = step_shape(config, step)
    grids, known, levels, seeds, texts = [], [], [], [], []
    for place in places:
        generator = generator_for(config.train.seed, config.stage, step, place)
        item: EncodedGrid = source.draw(step * config.train.batch + place, generator)
        grid = cut(item.latents, window, generator)
        coins = torch.rand(2, generator=generator).tolist()
        grids.append(grid.flip(0) if config.data.augment and coins[0] < 0.5 else grid)
        texts.append(source.no_caption if coins[1] < config.train.no_caption else item.text)
        known.append(draw_known_cells(config, shape, generator))
        levels.append(torch.where(known[-1], 0.0, draw_level(config, generator)))
        seeds.append(int(torch.randint(2**31, (), generator=generator)))
    text, mask = _beside(texts, source.meta.padded_text) if source.meta.text_width else (None, None)
    return Batch(
        None, torch.stack(known), torch.stack(levels), seeds, latents=torch.stack(grids), text=text, text_mask=mask
    )


def _beside(texts: list[Tensor], padded: int) -> tuple[Tensor, Tensor | None]:
    """Texts ``(L, E)`` of different lengths as one, zeros behind the shorter ones; and a mask unless these count."""
    longest = max(padded, *(len(text) for text in texts))
    text = torch.stack([torch.nn.functional.pad(text, (0, 0, 0, longest - len(text))) for text in texts])
    if padded or all(len(t) == longest for t in texts):
        return text, None
    return text, torch.arange(longest) < torch.tensor([len(t) for t in texts])[:, None]


def _draw_item(
    config: TrainingConfig,
    source: GridSource,
    step: int,
    place: int,
    sizes: tuple[tuple[int, int], tuple[int, int]],
) -> _Item:
    """One item by its place: with true flows, with what was measured, or as the source draws it."""
    (window, shape), train = sizes, config.train
    generator = generator_for(train.seed, config.stage, step, place)
    flow, measured, cached = None, None, measured_grids(config, source)
    if uses_true_flow(config, step):
        grid, flow = _with_flow(source, window, config.data.augment, generator)
    elif cached is not None:
        measured = draw_measured(cached, window, config.model.dit.proposals, config.data.augment, generator)
        grid = measured.frames
    else:
        grid = cut(source.draw(step * train.batch + place, generator), window, generator)
        if config.data.augment:
            grid = augment(grid, generator)
        grid = _video_of(grid, shape, generator)
    known = draw_known_cells(config, shape, generator)
    if flow is not None:  # the flows lead to these cells
        known = torch.zeros_like(known)
        known[0] = known[:, 0] = True
    level = torch.where(known, 0.0, draw_level(config, generator))
    return _Item(grid, known, level, int(torch.randint(2**31, (), generator=generator)), flow, measured)


def _proposals(names: tuple[str, ...], items: list[_Item], videos: Tensor) -> Tensor:
    """Planes ``(B, V, T, P, H, W, 3)`` of a batch: those that are kept beside the grids, or made of their clips."""
    planes = []
    for item, video in zip(items, videos, strict=True):
        made = None if item.window is None else item.window.proposals
        made = propose_planes(names, video[:, 0], video[0]) if made is None else made
        planes.append(keep_known(made, names, video, item.known).movedim(0, 2).movedim(-1, -3))
    return torch.stack(planes).movedim(-3, -1)  # planes in memory, as the codec wants them


def measured_grids(config: TrainingConfig, source: GridSource) -> CachedGrids | None:
    """The source, where its grids come with what was measured of them: proposals that are kept, or the subject's mask.

    Raises:
        InputError: The subject has a weight and the data has no masks of it.
    """
    train = config.train
    cached = source if isinstance(source, CachedGrids) and config.stage == "finetune4d" else None
    if train.subject_weight and cached is None:
        raise InputError(
            f"train.subject_weight = {train.subject_weight} for data without the subject's outline",
            "a cache alone, in the stage finetune4d",
            "set it to 0, or name no other data",
        )
    names = config.model.dit.proposals
    kept = cached is not None and names and any(proposal_path(path, names).exists() for path, _ in cached.shards)
    return cached if kept or train.subject_weight else None


def _shown(config: TrainingConfig, seed: int) -> Tensor:
    """Which of its planes ``(P,)`` a model sees: all, or now and then a single picture that is no mere candidate."""
    names, generator = config.model.dit.proposals, generator_for("shown", seed)
    pictures = [k for k, name in enumerate(names) if not is_map(name) and not is_candidate(name)] or [
        *range(len(names))
    ]
    if len(names) > 1 and float(torch.rand((), generator=generator)) < config.train.no_proposal:
        only = pictures[int(torch.randint(len(pictures), (), generator=generator))]
        return torch.arange(len(names)) == only
    return torch.ones(len(names), dtype=torch.bool)


def uses_true_flow(config: TrainingConfig, step: int) -> bool:
    """Whether a step is trained with the true flows: those of the first ``flow_steps``, in stages on true grids."""
    return config.train.flow_weight > 0 and step < config.train.flow_steps and config.stage == "finetune4d"


def _with_flow(
    source: GridSource, window: tuple[int, int], mirrored: bool, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The first window of a grid, or of every second row or column of it, with its flows; sometimes mirrored."""
    if not isinstance(source, CachedGrids):
        raise InputError(
            "flows asked of data that has none",
            "a cache rendered with --flows alone",
            "set train.flow_weight to 0, or name no other data",
        )
    cells, flows = source.read_flows(int(torch.randint(len(source), (), generator=generator)))
    strides = [
        1 + int(torch.randint(max(1, min(2, n // w)), (), generator=generator))
        for n, w in zip(cells.shape[:2], window, strict=True)
    ]
    pick = (slice(None, window[0] * strides[0], strides[0]), slice(None, window[1] * strides[1], strides[1]))
    cells, flows = cells[pick], flows[pick]
    if mirrored and bool(torch.rand((), generator=generator) < 0.5):
        cells, flows = cells.flip(3), flows.flip(-1) * torch.tensor([-1.0, 1.0])[:, None, None]
    if mirrored and bool(torch.rand((), generator=generator) < 0.5):
        cells = cells[..., torch.randperm(3, generator=generator)]
    return cells, flows


def step_shape(config: TrainingConfig, step: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """The window cut from grids in a step, and the ``(V, T)`` of what is made of it."""
    generator = generator_for(config.train.seed, config.stage, "shape", step)
    windows = config.train.windows
    window = windows[int(torch.randint(len(windows), (), generator=generator))]
    if config.stage != "base":
        return window, window
    kind = float(torch.rand((), generator=generator))
    if kind < config.train.image_share:
        return window, (1, 1)
    fixed_view = bool(torch.rand((), generator=generator) < 0.5)
    return window, ((1, window[1]) if fixed_view else (window[0], 1))


def draw_known_cells(config: TrainingConfig, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Which cells ``(V, T)`` are given.

    Of a video the first K ~ U{0..4} frames, as the masked base model is trained (supplement 1.1); of a grid row 0 and
    column 0, or now and then K ~ U{1..4} columns, as extension in time gives them.
    """
    known = torch.zeros(shape, dtype=torch.bool)
    most = config.train.most_known
    if config.stage == "base":
        first = int(torch.randint(most + 1, (), generator=generator))
        known.view(-1)[: min(first, known.numel() - 1)] = True  # something is always left to make
        return known
    known[0] = known[:, 0] = True
    if float(torch.rand((), generator=generator)) < config.train.chunk_share:
        known[:, : min(1 + int(torch.randint(most, (), generator=generator)), shape[1] - 1)] = True
    return known


def draw_level(config: TrainingConfig, generator: torch.Generator) -> float:
    """A noise level in ``(0, 1]``."""
    if float(torch.rand((), generator=generator)) < config.train.full_noise:
        return 1.0
    if config.train.levels == "uniform":
        return max(1e-3, float(torch.rand((), generator=generator)))
    return float(torch.sigmoid(torch.randn((), generator=generator)))


def cut(grid: Tensor, window: tuple[int, int], generator: torch.Generator) -> Tensor:
    """A random window of a grid ``(V, T, H, W, 3)``."""
    starts = [
        int(torch.randint(max(1, n - w + 1), (), generator=generator))
        for n, w in zip(grid.shape[:2], window, strict=True)
    ]
    return grid[starts[0] : starts[0] + window[0], starts[1] : starts[1] + window[1]]


def augment(grid: Tensor, generator: torch.Generator) -> Tensor:
    """Mirrored, seen from the other end, run backward, and in other colours, each at random."""
    coins = torch.rand(4, generator=generator).tolist()
    flips = [axis for axis, coin in zip((0, 1, 3), coins[:3], strict=True) if coin < 0.5]
    grid = grid.flip(flips) if flips else grid
    return grid[..., torch.randperm(3, generator=generator)] if coins[3] < 0.5 else grid


def _video_of(grid: Tensor, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
    """A random row, column or cell of a grid, or all of it, by the shape asked for."""
    for axis, length in enumerate(shape):
        if length < grid.shape[axis]:
            at = int(torch.randint(grid.shape[axis] - length + 1, (), generator=generator))
            grid = grid.narrow(axis, at, length)
    return grid
