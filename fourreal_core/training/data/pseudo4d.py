"""Pseudo-4D: a video is one row of a grid, and 2D transformations of it, smooth along the view axis, play the camera.

Supplement 1.1. Videos in which a real camera moves over a stopped scene are left out by a list.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ...errors import InputError
from ...media.clips import read_clip
from ...media.images import IMAGE_SUFFIXES
from .captions import caption_of
from .sources import Captioned, Skipped, try_items

VIDEO_SUFFIXES = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".gif"}
STATIC_MARK = ".static"
"""A file ``NAME.static`` beside the video ``NAME`` marks it as 3D camera motion over a stopped scene."""


@dataclass(frozen=True)
class WarpOptions:
    """Strengths of the strongest warp, reached at the last view.

    Attributes:
        shift: Share of the frame's width.
        zoom: Natural logarithm of the scale.
        degrees: Rotation in the picture.
        perspective: How far corners move, as a share of the frame's width.
    """

    shift: float = 0.2
    zoom: float = 0.25
    degrees: float = 12.0
    perspective: float = 0.15

    def __post_init__(self) -> None:
        if min(self.shift, self.zoom, self.degrees, self.perspective) < 0 or self.perspective >= 0.4:
            raise InputError(
                f"a warp of {self}",
                "strengths of at least 0, and perspective below 0.4",
                "leave them at their defaults",
            )


def pseudo_grid(clip: Tensor, views: int, generator: torch.Generator, options: WarpOptions | None = None) -> Tensor:
    """A pseudo-4D grid of a video: view 0 is the video itself, the others see it ever more transformed.

    The picture is zoomed in by just as much as keeps the border out of sight in every view, in all views alike.

    Args:
        clip: ``(T, H, W, 3)`` in ``[0, 1]``.
        views: V.
        generator: Chooses kinds, directions and strengths.
        options: Greatest strengths.

    Returns:
        ``(V, T, H, W, 3)`` in ``[0, 1]``.
    """
    from ...needed.kornia import kgt

    t, h, w, _ = clip.shape
    path = _corner_path(views, generator, options or WarpOptions())
    path = path * _inside(path)
    unit = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    scale = torch.tensor([w / 2, h / 2])
    flat = clip.permute(0, 3, 1, 2).reshape(1, t * 3, h, w)
    source = (path + 1) * scale
    target = ((unit + 1) * scale).expand_as(source)
    to_view = kgt.get_perspective_transform(source - 0.5, target - 0.5)
    seen = kgt.warp_perspective(
        flat.expand(views, -1, -1, -1), to_view, (h, w), align_corners=True, padding_mode="border"
    )
    return seen.reshape(views, t, 3, h, w).permute(0, 1, 3, 4, 2).clamp(0, 1).contiguous()


def _corner_path(views: int, generator: torch.Generator, options: WarpOptions) -> Tensor:
    """Where in the source every view's corners lie, ``(V, 4, 2)`` in half-sizes from the middle; may reach outside."""

    def number(reach: float) -> float:
        return float(torch.rand((), generator=generator) * 2 - 1) * reach

    chosen = torch.rand(4, generator=generator) < 0.5
    if not bool(chosen.any()):
        chosen[int(torch.randint(4, (), generator=generator))] = True
    on = chosen.float().tolist()
    shift = torch.tensor([number(2 * options.shift), number(2 * options.shift)]) * on[0]
    zoom, angle = number(options.zoom) * on[1], math.radians(number(options.degrees)) * on[2]
    tilt = (torch.rand(4, 2, generator=generator) * 2 - 1) * options.perspective * on[3]
    bend, eased = number(0.5), bool(torch.rand((), generator=generator) < 0.5)
    unit = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    rows = []
    for v in range(views):
        s = v / max(1, views - 1)
        s = 0.5 - 0.5 * math.cos(math.pi * s) if eased else s
        curve = torch.tensor([-shift[1], shift[0]]) * bend * math.sin(math.pi * s)  # not along a straight line
        c, n = math.cos(angle * s), math.sin(angle * s)
        turned = (unit + tilt * s) @ torch.tensor([[c, n], [-n, c]])
        rows.append(turned * math.exp(zoom * s) + shift * s + curve)
    return torch.stack(rows)


def _inside(path: Tensor) -> float:
    """The scale at which no view reaches beyond the source."""
    return 1.0 / max(1.0, float(path.abs().max()))


class PseudoGrids:
    """Pseudo-4D grids from a folder of videos.

    Args:
        folder: Searched with its subfolders; a folder of pictures counts as a video.
        views: V.
        times: T consecutive frames of a video (or every second or third).
        size: ``(height, width)``.
        exclude: A text file with a name or path a line of videos to leave out; lines starting with # don't count.
        warp: Strengths.

    Raises:
        InputError: No videos, or no such list.
    """

    def __init__(
        self,
        folder: Path | str,
        views: int,
        times: int,
        size: tuple[int, int],
        exclude: Path | str | None = None,
        warp: WarpOptions | None = None,
    ) -> None:
        self.views, self.times, self.size, self.skipped = views, times, size, Skipped()
        self.warp = warp or WarpOptions()
        self.videos = find_videos(Path(folder), excluded(exclude))

    def draw(self, position: int, generator: torch.Generator) -> Tensor:
        """See GridSource; videos that can't be read or are too short are skipped, counted and named."""
        clip = try_items(self.videos, generator, lambda path: self._clip(path, generator), self.skipped, "videos")
        return self._of(clip, generator)

    def take(self, position: int, generator: torch.Generator) -> Captioned:
        """See CaptionedSource."""

        def read(path: Path) -> tuple[Tensor, str]:
            return self._clip(path, generator), caption_of(path)

        clip, caption = try_items(self.videos, generator, read, self.skipped, "videos", position)
        return Captioned(self._of(clip, generator), caption)

    def _of(self, clip: Tensor, generator: torch.Generator) -> Tensor:
        return (pseudo_grid(clip, self.views, generator, self.warp) * 255).round().to(torch.uint8)

    def _clip(self, path: Path, generator: torch.Generator) -> Tensor:
        frames = read_clip(path)
        if len(frames) < self.times:
            raise InputError(f"{path} has {len(frames)} frames", f"at least {self.times}", "leave it out")
        most = min(3, (len(frames) - 1) // max(1, self.times - 1)) if self.times > 1 else 1
        step = 1 + int(torch.randint(max(1, most), (), generator=generator))
        start = int(torch.randint(len(frames) - step * (self.times - 1), (), generator=generator))
        return fit(frames[start : start + step * (self.times - 1) + 1 : step], self.size)


def fit(clip: Tensor, size: tuple[int, int]) -> Tensor:
    """A clip ``(T, H, W, 3)`` cut to the aspect ratio of ``size`` about its middle, and resized to it."""
    h, w = clip.shape[1:3]
    keep_h, keep_w = min(h, round(w * size[0] / size[1])), min(w, round(h * size[1] / size[0]))
    top, left = (h - keep_h) // 2, (w - keep_w) // 2
    cut = clip[:, top : top + keep_h, left : left + keep_w].permute(0, 3, 1, 2)
    small = torch.nn.functional.interpolate(cut, size, mode="bilinear", antialias=True, align_corners=False)
    return small.permute(0, 2, 3, 1).clamp(0, 1)


def excluded(path: Path | str | None) -> set[str]:
    """Names of videos to leave out, from a list."""
    if path is None:
        return set()
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as err:
        raise InputError(
            f"the list {path} can't be read ({err})", "a text file, a name a line", "check its name"
        ) from err
    return {line.strip() for line in lines if line.strip() and not line.startswith("#")}


def find_videos(folder: Path, leave_out: set[str]) -> list[Path]:
    """Videos and folders of pictures under a folder, but for those listed or marked as camera motion.

    Raises:
        InputError: None.
    """
    found = {p for p in folder.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file()}
    found |= {p.parent for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.parent != folder}
    kept = [
        p
        for p in sorted(found)
        if not leave_out & {p.name, p.stem, p.relative_to(folder).as_posix(), str(p)}
        and not p.with_name(p.name + STATIC_MARK).exists()
    ]
    if not kept:
        raise InputError(
            f"no videos in {folder} ({len(found)} left out)",
            "a folder of videos",
            "check the path and the exclusion list",
        )
    return kept
