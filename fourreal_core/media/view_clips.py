"""A folder of views: one clip each, or pictures ``v{view}_t{time}``, of which only the wanted frames are read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..errors import InputError
from ..progress import OnStep, no_progress
from .clips import read_clip, shown_times
from .frame_times import pick_evenly
from .framing import same_shape
from .images import IMAGE_SUFFIXES, natural_key, read_image

CELL_NAME = re.compile(r"v(\d+)_t(\d+)\.(png|jpe?g|webp|bmp|tiff?)", re.IGNORECASE)
"""Name of a cell's picture: view and time."""
VIDEO_SUFFIXES = frozenset({".mp4", ".webm", ".mov", ".mkv", ".avi", ".m4v", ".gif", ".apng", ".webp"})
"""What counts as a video in a folder of views."""


@dataclass(frozen=True)
class ViewFolder:
    """The views of a folder, before any frame is read.

    Attributes:
        path: The folder.
        names: Of its V views, in natural order: file names without their ending, folder names, or ``v3``.
        times: Names of the T times; the same number of frames of every view.
        clips: A video or a folder of pictures a view; empty where the pictures are cells.
        cells: ``(view, time)``, both counted from 0 among names and times, to picture; empty where views are clips.
    """

    path: Path
    names: tuple[str, ...]
    times: tuple[str, ...]
    clips: tuple[Path, ...]
    cells: dict[tuple[int, int], Path]

    def frame_size(self) -> tuple[int, int]:
        """``(height, width)`` of the first view's first frame."""
        frame = read_clip(self.clips[0], None, 1)[0] if self.clips else read_image(self.cells[min(self.cells)])
        return frame.shape[0], frame.shape[1]

    def read(
        self,
        views: Sequence[int],
        times: int | None = None,
        size: tuple[int, int] | None = None,
        on_step: OnStep = no_progress,
        fit: str = "crop",
    ) -> tuple[Tensor, Tensor]:
        """Reads some views; never more frames at once than are kept and one view's.

        Args:
            views: Which, in the order wanted.
            times: How many times to keep, evenly spread, the first and the last among them; all when None.
            size: ``(height, width)`` to bring them to, whatever shape the views have; the first view's own when None.
            on_step: Progress, one step a view.
            fit: What to do with views of another shape than ``size``: see ``read_clip``.

        Returns:
            Frames ``(V, T, H, W, 3)`` float32 in ``[0, 1]``, and which of them there are, ``(V, T)`` bool.

        Raises:
            InputError: Frames that cannot be read; where no size is given, those of another aspect ratio.
        """
        kept, checked = pick_evenly(len(self.times), times), size is None
        frames: Tensor | None = None
        known = torch.zeros(len(views), len(kept), dtype=torch.bool)
        for row, view in enumerate(views):
            for column, frame in self._frames(view, kept, size, checked, fit).items():
                if frames is None:
                    size = size or (frame.shape[0], frame.shape[1])
                    frames = torch.zeros(len(views), len(kept), *size, 3)
                frames[row, column], known[row, column] = frame, True
            on_step(row + 1, len(views))
        if frames is None:
            raise InputError(f"no frame of the wanted views in {self.path}", "at least one", "ask for more views")
        return frames, known

    def _frames(
        self, view: int, kept: list[int], size: tuple[int, int] | None, checked: bool, fit: str
    ) -> dict[int, Tensor]:
        """The wanted frames of a view by column; ``checked``: of no other aspect ratio than ``size``."""
        if not self.clips:
            there = {c: self.cells[view, t] for c, t in enumerate(kept) if (view, t) in self.cells}
            if size is not None and checked:
                for path in there.values():
                    _check_aspect(path, read_image(path), size)
            return {c: read_clip(path, size, fit=fit)[0] for c, path in there.items()}
        path = self.clips[view]
        clip = read_clip(path, None if checked else size, len(kept), fit=fit)
        if size is not None and tuple(clip.shape[1:3]) != tuple(size):
            _check_aspect(path, clip[0], size)
            clip = read_clip(path, size, len(kept), fit=fit)  # resized as it is decoded
        return dict(enumerate(clip))


def find_views(folder: Path | str) -> ViewFolder:
    """Looks what views a folder holds; counts frames, and decodes none.

    Args:
        folder: With one video or one folder of pictures a view, in natural order of their names; or with pictures
            ``v{view}_t{time}``.

    Raises:
        InputError: No such folder, fewer than two views in it, or views of different lengths.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder", "a folder with one clip a view", "check the path")
    entries = sorted((p for p in folder.iterdir() if not p.name.startswith(".")), key=natural_key)
    cells = [(match, p) for p in entries if (match := CELL_NAME.fullmatch(p.name))]
    found = _cell_folder(folder, cells) if cells else _clip_folder(folder, entries)
    if len(found.names) < 2:
        raise InputError(
            f"{len(found.names)} views in {folder}",
            "at least 2: a video or a folder of pictures each, or pictures v{view}_t{time}",
            "give the folder that holds all views",
        )
    return found


def _cell_folder(folder: Path, cells: list[tuple[re.Match[str], Path]]) -> ViewFolder:
    paths: dict[tuple[int, int], Path] = {}
    for match, path in cells:
        cell = int(match[1]), int(match[2])
        if cell in paths:
            raise InputError(f"two files for one cell, {paths[cell].name} and {path.name}", "one", "remove one")
        paths[cell] = path
    views, times = (sorted({cell[axis] for cell in paths}) for axis in (0, 1))
    numbered = {(views.index(v), times.index(t)): path for (v, t), path in paths.items()}
    return ViewFolder(folder, tuple(f"v{v}" for v in views), tuple(f"t{t}" for t in times), (), numbered)


def _clip_folder(folder: Path, entries: list[Path]) -> ViewFolder:
    clips = [p for p in entries if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file()]
    folders = [p for p in entries if p.is_dir() and any(f.suffix.lower() in IMAGE_SUFFIXES for f in p.iterdir())]
    clips = sorted(clips + folders, key=natural_key)
    counts = [count_frames(path) for path in clips]
    if len(set(counts)) > 1:
        short, long = counts.index(min(counts)), counts.index(max(counts))
        raise InputError(
            f"a view {clips[short].name} of {counts[short]} and a view {clips[long].name} of {counts[long]} frames",
            "one number, since all views show the same times",
            "cut them to the same times",
        )
    names = tuple(p.stem if p.is_file() else p.name for p in clips)
    return ViewFolder(folder, names, tuple(f"t{t}" for t in range(counts[0] if counts else 0)), tuple(clips), {})


def count_frames(path: Path) -> int:
    """Frames of a clip, without decoding a video.

    Raises:
        InputError: Not a clip.
    """
    if path.is_dir():
        return sum(1 for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith("."))
    return len(shown_times(path))


def _check_aspect(path: Path, frame: Tensor, size: tuple[int, int]) -> None:
    h, w = frame.shape[:2]
    if not same_shape((h, w), size):
        raise InputError(
            f"a view {path.name} of {w} x {h} pixels", f"the aspect ratio of {size[1]} x {size[0]}", "crop it"
        )
