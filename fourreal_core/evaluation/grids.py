"""Grids to evaluate: from folders of cells, runs, wall videos, or one video a view."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import media
from ..errors import InputError
from ..grid import FrameGrid
from ..media.cell_files import find_cells
from ..media.images import resize, to_float, to_uint8
from ..media.view_clips import VIDEO_SUFFIXES
from .wall_videos import split_wall

TRUTH = "truth"
"""What stands for a method's name where it is the true cells that are meant."""
_LIST_SUFFIX = ".txt"


@dataclass(frozen=True)
class EvaluatedGrid:
    """A grid of frames, whole or not.

    Attributes:
        name: Of its scene.
        frames: ``(V, T, H, W, 3)`` in ``[0, 1]``, zero where there is no cell.
        there: ``(V, T)`` bool, the cells that there are.
        given: ``(V, T)`` bool, the cells that were given to the method; row 0 and column 0 where nothing says.
        scored: ``(V, T)`` bool, the cells to score.
        valid: ``(H, W)`` bool, pixels that count.
    """

    name: str
    frames: Tensor
    there: Tensor
    given: Tensor
    scored: Tensor
    valid: Tensor

    def __post_init__(self) -> None:
        shape = tuple(self.frames.shape)
        got = [tuple(x.shape) for x in (self.there, self.given, self.scored)]
        if len(shape) != 5 or shape[-1] != 3 or got != [shape[:2]] * 3 or tuple(self.valid.shape) != shape[2:4]:
            raise InputError(
                f"a grid {shape} with masks of cells {got} and of pixels {tuple(self.valid.shape)}",
                "(V, T, H, W, 3), (V, T) three times and (H, W)",
                "read all of it from one grid",
            )

    @property
    def shape(self) -> tuple[int, int]:
        """``(views, times)``."""
        return self.frames.shape[0], self.frames.shape[1]

    @classmethod
    def of_frames(cls, name: str, frames: Tensor, given: Tensor | None = None) -> EvaluatedGrid:
        """A whole grid in which row 0 and column 0 were given, or the cells of ``given (V, T)``."""
        there = torch.ones(frames.shape[:2], dtype=torch.bool)
        given = clips_given(*frames.shape[:2]) if given is None else given
        return cls(name, frames, there, given, ~given, torch.ones(frames.shape[2:4], dtype=torch.bool))

    @classmethod
    def of_grid(cls, name: str, grid: FrameGrid) -> EvaluatedGrid:
        """A completed grid, whose known cells were given."""
        there = torch.ones_like(grid.known)
        return cls(name, grid.frames, there, grid.known, ~grid.known, grid.valid)


def clips_given(views: int, times: int) -> Tensor:
    """``(V, T)`` bool: row 0 and column 0, where the two clips lie."""
    given = torch.zeros(views, times, dtype=torch.bool)
    given[0], given[:, 0] = True, True
    return given


def find_scenes(place: Path) -> dict[str, Path]:
    """The grid at a place, or all those in the folders below, by the name of their scene.

    Raises:
        InputError: Nothing there, or nothing that is a grid.
    """
    if not place.exists():
        raise InputError(f"{place} does not exist", "a grid: a folder of cells, a run, or videos", "check the path")
    if _is_grid(place):
        return {place.stem if place.is_file() else place.resolve().name: place}
    found = {p.name: p for p in sorted(place.iterdir(), key=media.natural_key) if p.is_dir() and _is_grid(p)}
    if not found:
        raise InputError(
            f"no grid in {place}",
            "cells v{view}_t{time}.png, the output folder of a run, or one video a view",
            "check the path",
        )
    return found


def read_grid(name: str, place: Path, views: int | None = None, times: int | None = None) -> EvaluatedGrid:
    """Reads a grid.

    Args:
        name: Of its scene.
        place: A folder of cells ``v{view}_t{time}.png``; the output folder of a run; a folder of videos, one a view, or
            a text file that names them line by line; a wall video.
        views: Views of a wall video; found by its gaps when None.
        times: Times of a video; all its frames when None, and of a wall that plays forward and backward half of them.

    Raises:
        InputError: What can't be read as a grid.
    """
    if place.is_dir():
        cells = place / "grid" if (place / "grid").is_dir() else place
        if files := find_cells(cells):
            return _from_cells(name, place, files)
        return _from_frames(name, _views(_videos(place), times))
    if place.suffix.lower() == _LIST_SUFFIX:
        return _from_frames(name, _views(_listed(place), times))
    return _from_frames(name, split_wall(media.read_clip(place), views, times))


def scored_like(grid: EvaluatedGrid, truth: EvaluatedGrid) -> EvaluatedGrid:
    """The grid with the truth's cells to score and its mask of pixels.

    Raises:
        InputError: Grids of other shapes.
    """
    if grid.frames.shape != truth.frames.shape:
        raise InputError(
            f"{grid.name}: a grid of {_size(grid)} and a truth of {_size(truth)}",
            "one number of views and times and one size",
            "compare grids of the same clips",
        )
    return replace(
        grid, scored=truth.scored & truth.there & grid.there, given=truth.given, valid=grid.valid & truth.valid
    )


def shrunk(grid: EvaluatedGrid, width: int) -> EvaluatedGrid:
    """The grid with cells at most ``width`` pixels wide; a pixel counts where all that it was made of do."""
    v, t, h, w = grid.frames.shape[:4]
    if w <= width:
        return grid
    size = (max(1, round(h * width / w)), width)
    flat = to_uint8(grid.frames.reshape(v * t, h, w, 3))
    small = torch.stack([to_float(resize(picture, size)) for picture in flat])
    hidden = torch.nn.functional.interpolate((~grid.valid).float()[None, None], size, mode="area")[0, 0]
    return replace(grid, frames=small.reshape(v, t, *size, 3), valid=hidden == 0)


def _is_grid(place: Path) -> bool:
    if place.is_file():
        return place.suffix.lower() in VIDEO_SUFFIXES | {_LIST_SUFFIX}
    if (place / "grid").is_dir() and find_cells(place / "grid"):
        return True
    return bool(find_cells(place)) or len(_videos(place)) > 1


def _videos(folder: Path) -> list[Path]:
    found = (p for p in folder.iterdir() if p.is_file() and p.suffix.lower() in VIDEO_SUFFIXES)
    return sorted(found, key=media.natural_key)


def _listed(path: Path) -> list[Path]:
    lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    return [path.parent / line for line in lines if line and not line.startswith("#")]


def _views(videos: list[Path], times: int | None) -> Tensor:
    """``(V, T, H, W, 3)`` of one video a view."""
    if not videos:
        raise InputError("no video of a view", "at least one", "name them line by line, or put them in the folder")
    clips = [media.read_clip(path, frames=times) for path in videos]
    for path, clip in zip(videos, clips, strict=True):
        if clip.shape != clips[0].shape:
            raise InputError(
                f"{path} with {len(clip)} frames of {clip.shape[2]} x {clip.shape[1]} pixels",
                f"{len(clips[0])} of {clips[0].shape[2]} x {clips[0].shape[1]} as {videos[0].name}",
                "bring the videos of all views to one length and size",
            )
    return torch.stack(clips)


def _from_frames(name: str, frames: Tensor) -> EvaluatedGrid:
    return EvaluatedGrid.of_frames(name, frames)


def _from_cells(name: str, place: Path, files: dict[tuple[int, int], Path]) -> EvaluatedGrid:
    views, times = (1 + max(cell[axis] for cell in files) for axis in (0, 1))
    first = media.read_image(next(iter(files.values())))
    frames = torch.zeros(views, times, *first.shape)
    there = torch.zeros(views, times, dtype=torch.bool)
    for (v, t), path in files.items():
        picture = media.read_image(path)
        if picture.shape != first.shape:
            raise InputError(
                f"the cell {path} of {picture.shape[1]} x {picture.shape[0]} pixels",
                f"{first.shape[1]} x {first.shape[0]} as the others",
                "bring all cells to one size",
            )
        frames[v, t], there[v, t] = picture, True
    said = _said(place)
    given = clips_given(views, times)
    if said.get("given"):
        given = _cells_mask(said["given"], views, times, place)
    scored = there & ~given
    if said.get("targets"):
        scored = there & _cells_mask(said["targets"], views, times, place)
    size = (first.shape[0], first.shape[1])
    mask = place / "valid.png"
    valid = media.read_mask(mask, size) if mask.is_file() else torch.ones(size, dtype=torch.bool)
    return EvaluatedGrid(name, frames, there, given, scored, valid)


def _said(place: Path) -> dict[str, list[list[int]]]:
    """Which cells were given and which are to be scored, by ``report.json`` of a run or ``grid.json`` beside cells."""
    report, roles = _json(place / "report.json"), _json(place / "grid.json")
    run = report.get("grid", {})
    return {
        "given": roles.get("inputs") or (run.get("known") if isinstance(run, dict) else None) or [],
        "targets": roles.get("targets") or [],
    }


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as err:
        raise InputError(f"{path} is not JSON ({err})", "the file as it was written", "write it again") from err
    return found if isinstance(found, dict) else {}


def _cells_mask(cells: list[list[int]], views: int, times: int, place: Path) -> Tensor:
    mask = torch.zeros(views, times, dtype=torch.bool)
    for cell in cells:
        if len(cell) != 2 or not (0 <= cell[0] < views and 0 <= cell[1] < times):
            raise InputError(
                f"{place} names a cell {cell}",
                f"views 0 to {views - 1} and times 0 to {times - 1}",
                "check its JSON file",
            )
        mask[cell[0], cell[1]] = True
    return mask


def _size(grid: EvaluatedGrid) -> str:
    v, t, h, w = grid.frames.shape[:4]
    return f"{v} x {t} cells of {w} x {h} pixels"
