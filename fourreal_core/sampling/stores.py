"""Where an extension puts its finished chunks, and takes from what the next ones need: memory, or a folder."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..errors import InputError
from ..media.files import prepare_folder, write_bytes
from .chunks import ChunkPlan

log = logging.getLogger(__name__)

_PLAN = "extension.json"


class ChunkStore(Protocol):
    """What an extension writes to."""

    def has(self, chunk: int) -> bool:
        """Whether a chunk is finished."""

    def write(self, chunk: int, latents: Tensor) -> None:
        """Takes the ``(cells, C, h, w)`` latents of a finished chunk."""

    def read(self, cells: Sequence[tuple[int, int]]) -> Tensor:
        """The ``(cells, C, h, w)`` latents of finished cells."""


class MemoryStore:
    """Chunks in memory, for short extensions.

    Args:
        plan: The extension's plan.
    """

    def __init__(self, plan: ChunkPlan) -> None:
        self.plan = plan
        self._cells: dict[tuple[int, int], Tensor] = {}
        self._done: set[int] = set()

    def has(self, chunk: int) -> bool:
        """Whether a chunk is finished."""
        return chunk in self._done

    def write(self, chunk: int, latents: Tensor) -> None:
        """Takes the ``(cells, C, h, w)`` latents of a finished chunk."""
        self._cells.update(zip(self.plan.chunks[chunk].cells, latents, strict=True))
        self._done.add(chunk)

    def read(self, cells: Sequence[tuple[int, int]]) -> Tensor:
        """The ``(cells, C, h, w)`` latents of finished cells."""
        return torch.stack([self._cells[cell] for cell in cells])


class FolderStore:
    """Chunks as files, one each, that appear whole or not at all: memory doesn't grow, and a killed run goes on.

    Args:
        folder: Made if needed; one extension's own.
        plan: The extension's plan.
        key: What else the result depends on (seed, model, inputs); a folder with another key is refused.

    Raises:
        InputError: The folder holds another extension, or can't be written.
    """

    def __init__(self, folder: str | os.PathLike[str], plan: ChunkPlan, key: str = "") -> None:
        self.folder, self.plan = prepare_folder(folder), plan
        self._by = plan.finished_by()
        self._rows = [{cell: k for k, cell in enumerate(chunk.cells)} for chunk in plan.chunks]
        mine = {"plan": plan.digest(), "key": key, "views": plan.views, "times": plan.times}
        note = self.folder / _PLAN
        if note.exists():
            try:
                found = json.loads(note.read_text(encoding="utf-8"))
            except ValueError:
                found = None
            if found != mine:
                raise InputError(
                    f"the folder {self.folder} with another extension's chunks",
                    "this one's, or none",
                    "choose another folder, or delete it",
                )
        else:
            write_bytes(note, json.dumps(mine, indent=1).encode())
        finished = sum(self.has(k) for k in range(len(plan.chunks)))
        if finished:
            log.info("%d of %d chunks are finished in %s; going on from there", finished, len(plan.chunks), self.folder)

    def path(self, chunk: int) -> Path:
        """The file of a chunk."""
        return self.folder / f"chunk_{chunk:05d}.safetensors"

    def has(self, chunk: int) -> bool:
        """Whether a chunk is finished."""
        return self.path(chunk).is_file()

    def write(self, chunk: int, latents: Tensor) -> None:
        """Takes the ``(cells, C, h, w)`` latents of a finished chunk.

        Raises:
            InputError: The folder can't be written or is full.
        """
        write_bytes(self.path(chunk), save({"latents": latents.detach().cpu().contiguous()}))

    def read(self, cells: Sequence[tuple[int, int]]) -> Tensor:
        """The ``(cells, C, h, w)`` latents of finished cells.

        Raises:
            InputError: A chunk's file is damaged.
        """
        by_chunk: dict[int, list[int]] = {}
        for place, cell in enumerate(cells):
            by_chunk.setdefault(self._by[cell], []).append(place)
        found: list[Tensor | None] = [None] * len(cells)
        for chunk, places in by_chunk.items():
            try:
                with safe_open(self.path(chunk), framework="pt") as file:
                    rows = file.get_slice("latents")
                    for place in places:
                        row = self._rows[chunk][cells[place]]
                        found[place] = rows[row : row + 1][0]
            except (SafetensorError, OSError, IndexError) as error:
                raise InputError(
                    f"{self.path(chunk)} can't be read ({error})",
                    "a finished chunk",
                    "delete the file, and the extension makes it again",
                ) from error
        return torch.stack([row for row in found if row is not None])

    def delete(self) -> None:
        """Removes the chunks, and the folder if nothing else lies in it; for when the grid is safe elsewhere."""
        for path in (*(self.path(k) for k in range(len(self.plan.chunks))), self.folder / _PLAN):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.folder.rmdir()
