"""A cache of made grids on disk: shards of 8-bit cells that are read in place, written in the background, resumable."""

from __future__ import annotations

import functools
import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ...errors import InputError
from ...media.files import prepare_folder, whole_file, write_bytes
from ...progress import OnStep, no_progress
from ...spread import SpreadOptions
from ...synthetic.grids import GridOptions, make_grid
from ...synthetic.random_choices import scene_seed
from .background import work_through
from .sources import Captioned, Skipped

FORMAT, VERSION, META = "fourreal-grid-cache", 1, "cache.json"
FLOW_STEPS = 4
"""Steps to a pixel in which flows are kept; beyond 31 pixels they are cut off."""


@dataclass(frozen=True)
class CacheOptions:
    """What a cache holds.

    Attributes:
        split: Whose seeds: ``train``, ``validation`` or ``test``.
        grids: How many.
        per_shard: Grids a file.
        grid: Sizes of a grid.
        flows: Keep true flows too, in quarter pixels of 8 bits: 1.3 times as much again.
    """

    split: str = "train"
    grids: int = 4096
    per_shard: int = 64
    grid: GridOptions = field(default_factory=GridOptions)
    flows: bool = False

    def __post_init__(self) -> None:
        if self.grids < 1 or self.per_shard < 1:
            raise InputError(
                f"a cache of {self.grids} grids, {self.per_shard} a shard", "at least one of each", "ask for more"
            )
        scene_seed(self.split, self.grids - 1)

    @property
    def shards(self) -> int:
        """Number of files."""
        return -(-self.grids // self.per_shard)

    @property
    def bytes_needed(self) -> int:
        """Size of all files together."""
        g = self.grid
        row = g.size[1] * (3 + 4 * self.flows) + -(-g.size[1] // 8)
        return self.grids * g.views * g.times * g.size[0] * row


def render_cache(
    folder: Path | str, options: CacheOptions, workers: int | SpreadOptions = 1, on_step: OnStep = no_progress
) -> Skipped:
    """Renders what a cache still lacks; killed at any moment it goes on with the shards that are not there yet.

    Args:
        folder: Where to; made if needed.
        options: What to render.
        workers: Processes; 0 renders in this one; or where else, a Ray cluster with a folder that all see.
        on_step: Called after every shard.

    Returns:
        Shards found damaged, which were rendered again.

    Raises:
        InputError: A cache of another kind lies there, or too little space.
    """
    folder = prepare_folder(folder)
    _agree(folder, options)
    replaced, todo = Skipped(), []
    for shard in range(options.shards):
        path = shard_path(folder, options.split, shard)
        if path.exists():
            try:
                _open(path)
                continue
            except InputError as err:
                replaced.add(path.name, err)
        todo.append(shard)
    needed, free = options.bytes_needed * len(todo) // options.shards, shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{free >> 20} MiB free at {folder}",
            f"the {needed >> 20} MiB that the rest of the cache takes",
            "free some space, choose another folder, or ask for fewer grids",
        )
    work = functools.partial(_render_shard, folder, options)
    work_through(work, todo, workers, on_step, options.shards - len(todo))
    return replaced


def shard_path(folder: Path, split: str, shard: int) -> Path:
    """Where a shard lies."""
    return folder / f"{split}-{shard:05d}.safetensors"


class CachedGrids:
    """The grids of a cache, also while it grows.

    Args:
        folder: Of a cache.
        split: Whose grids.

    Raises:
        InputError: No cache there, or none of its shards can be read.
    """

    def __init__(self, folder: Path | str, split: str = "train") -> None:
        self.folder, self.split, self.skipped = Path(folder), split, Skipped()
        self._shards: list[tuple[Path, int]] = []
        self._known: set[Path] = set()
        read_meta(self.folder)
        self.refresh()
        if not self._shards:
            raise InputError(
                f"no readable shard of the split {split!r} in {folder} ({len(self.skipped)} damaged)",
                "at least one",
                "render it with `fourreal data render-procedural`",
            )

    def refresh(self) -> int:
        """Looks for new shards.

        Returns:
            How many grids there are now.
        """
        for path in sorted(self.folder.glob(f"{self.split}-*.safetensors")):
            if path in self._known:
                continue
            self._known.add(path)
            try:
                self._shards.append((path, _open(path)))
            except InputError as err:
                self.skipped.add(path.name, err)
        return len(self)

    def __len__(self) -> int:
        return sum(count for _, count in self._shards)

    @property
    def shards(self) -> tuple[tuple[Path, int], ...]:
        """Files that can be read, each with its number of grids."""
        return tuple(self._shards)

    def locate(self, index: int) -> tuple[Path, int]:
        """The file that holds a grid, and the grid's place in it.

        Raises:
            IndexError: There are not so many grids.
        """
        for path, count in self._shards:
            if index < count:
                return path, index
            index -= count
        raise IndexError(index)

    def read(self, index: int) -> tuple[Tensor, Tensor]:
        """Cells ``(V, T, H, W, 3)`` uint8 and the subject's masks ``(V, T, H, W)`` bool of one grid."""
        cells, packed = self._rows(index, "cells", "masks")
        bits = np.unpackbits(packed.numpy(), axis=-1, count=cells.shape[3])
        return cells, torch.from_numpy(bits).bool()

    def read_flows(self, index: int) -> tuple[Tensor, Tensor]:
        """Cells as above and the true flows ``(V, T, 2, 2, H, W)`` in pixels, to a quarter of one.

        Raises:
            InputError: The cache was rendered without flows.
        """
        cells, flows = self._rows(index, "cells", "flows")
        return cells, flows.float() / FLOW_STEPS

    def _rows(self, index: int, *names: str) -> list[Tensor]:
        path, place = self.locate(index)
        with safe_open(path, framework="pt") as file:
            if not set(names) <= set(file.keys()):
                raise InputError(
                    f"{path.name} without {' and '.join(sorted(set(names) - set(file.keys())))}",
                    "a cache with true flows",
                    "render it with --flows, or set train.flow_weight to 0",
                )
            return [file.get_slice(name)[place : place + 1][0] for name in names]

    def draw(self, position: int, generator: torch.Generator) -> Tensor:
        """See GridSource."""
        return self.read(int(torch.randint(len(self), (), generator=generator)))[0]

    def take(self, position: int, generator: torch.Generator) -> Captioned:
        """See CaptionedSource; made grids have no captions."""
        return Captioned(self.read(position % len(self))[0])


def read_meta(folder: Path) -> dict[str, Any]:
    """What ``cache.json`` says.

    Raises:
        InputError: No such file, or not of this kind.
    """
    try:
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise InputError(
            f"no cache of grids at {folder} ({err})",
            f"a folder with {META}",
            "render one with `fourreal data render-procedural`",
        ) from err
    if not isinstance(meta, dict) or meta.get("format") != FORMAT or meta.get("version") != VERSION:
        raise InputError(f"{folder / META} is of another kind or version", f"{FORMAT} {VERSION}", "render it again")
    return meta


def _agree(folder: Path, options: CacheOptions) -> None:
    """Writes what the cache holds, or checks that it holds the same kind of grids."""
    grid = asdict(options.grid) | {"size": list(options.grid.size)}
    mine = {
        "format": FORMAT,
        "version": VERSION,
        "per_shard": options.per_shard,
        "grid": grid,
        "flows": options.flows,
    }
    if (folder / META).exists():
        there = read_meta(folder)
        different = sorted(k for k in ("per_shard", "grid", "flows") if there.get(k) != mine[k])
        if different:
            raise InputError(
                f"a cache at {folder} with another {' and '.join(different)}",
                "the same settings",
                "choose another folder, or the settings that cache.json names",
            )
        return
    write_bytes(folder / META, json.dumps(mine, indent=1).encode())


def _render_shard(folder: Path, options: CacheOptions, shard: int) -> None:
    first = shard * options.per_shard
    grids = [
        make_grid(options.split, i, options.grid, options.flows)
        for i in range(first, min(first + options.per_shard, options.grids))
    ]
    packed = torch.from_numpy(np.packbits(torch.stack([g.masks for g in grids]).numpy(), axis=-1))
    tensors = {
        "cells": torch.stack([g.cells for g in grids]),
        "masks": packed,
        "seeds": torch.tensor([g.seed for g in grids]),
    }
    if options.flows:
        tensors["flows"] = (torch.stack([g.flows for g in grids]) * FLOW_STEPS).round().clamp(-127, 127).to(torch.int8)
    with whole_file(shard_path(folder, options.split, shard)) as part:
        save_file(tensors, part, {"format": FORMAT, "families": json.dumps([g.name for g in grids])})


def _open(path: Path) -> int:
    """Grids in a shard.

    Raises:
        InputError: Cut off, or of another kind.
    """
    try:
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("format") != FORMAT:
                raise InputError(f"{path.name} is of another kind", FORMAT, "remove it")
            return int(file.get_slice("cells").get_shape()[0])
    except (SafetensorError, OSError) as err:
        raise InputError(f"{path.name} can't be read ({err})", "a whole shard", "render it again") from err
