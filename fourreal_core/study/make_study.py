"""Pairs of methods' videos, anonymous, as a study's folder."""

from __future__ import annotations

import hashlib
import itertools
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..errors import InputError
from ..evaluation.comparison import same_scenes
from ..evaluation.grids import EvaluatedGrid, read_grid
from ..media import prepare_folder, read_clip, write_video
from ..media.files import whole_file
from ..progress import OnStep, no_progress
from .questions import INSTRUCTIONS, INSTRUCTIONS_WITHOUT_TEXT
from .study_file import ANSWER_FILE, STUDY_FILE, VIDEO_FOLDER, Pair, Study, write_study

PLAYED_AS_THEY_ARE = frozenset({".mp4", ".webm"})
"""Videos that every browser plays; others are encoded again."""
_SPOILT_PX = 12


@dataclass(frozen=True)
class MakeOptions:
    """How a study is made.

    Attributes:
        title: Shown above the pages.
        texts: Description by scene.
        evaluators_a_pair: Different evaluators that every pair gets.
        seed: Of names, sides and orders.
        fps: Frames a second of videos that are made from grids.
        views: Consecutive views that a video shows, evenly chosen; all when None.
        checks: Attention checks that every evaluator meets.
    """

    title: str = "Which video is better?"
    texts: Mapping[str, str] | None = None
    evaluators_a_pair: int = 10
    seed: int = 0
    fps: float = 8.0
    views: int | None = None
    checks: int = 0

    def __post_init__(self) -> None:
        if not self.fps > 0 or (self.views is not None and self.views < 1) or self.checks < 0:
            raise InputError(
                f"{self.fps} frames a second, {self.views} views and {self.checks} checks",
                "more than 0, at least 1, and none or more",
                "leave them at their defaults",
            )


def make_study(
    methods: Mapping[str, Mapping[str, Path]],
    folder: Path,
    options: MakeOptions | None = None,
    on_step: OnStep = no_progress,
) -> Study:
    """Writes the videos of all methods under random names, and ``study.json``.

    Every two methods are compared on every scene. A grid's video shows its views one after the other, each through all
    its times, as in the paper's study; a method may also bring one video a scene, which is taken as it is.

    Args:
        methods: Grid or video by scene, by method; all with the same scenes.
        folder: To write to.
        options: See MakeOptions.
        on_step: Progress, one step a video.

    Raises:
        InputError: Fewer than two methods, other scenes, what can't be read or written, or a folder with answers.
    """
    options = options or MakeOptions()
    if len(methods) < 2:
        raise InputError(f"{len(methods)} method", "at least two to compare", "name another one")
    same_scenes(methods, "names", "rename its files or folders")
    scenes = list(next(iter(methods.values())))
    if (folder / ANSWER_FILE).exists() or (folder / STUDY_FILE).exists():
        raise InputError(f"{folder} already holds a study", "a new folder", "choose another -o")
    texts = dict(options.texts or {})
    unknown = sorted(set(texts) - set(scenes))
    if unknown:
        raise InputError(
            f"descriptions of {', '.join(unknown)}", f"scenes {', '.join(scenes)}", "check the file of texts"
        )
    videos = prepare_folder(folder / VIDEO_FOLDER)
    names: dict[tuple[str, str], str] = {}
    total = len(scenes) * len(methods) + options.checks
    for done, (scene, method) in enumerate(itertools.product(scenes, methods), start=1):
        place = methods[method][scene]
        suffix = place.suffix.lower() if place.suffix.lower() in PLAYED_AS_THEY_ARE else ".mp4"
        names[scene, method] = name = _name(options.seed, scene, method) + suffix
        _write_video(scene, place, videos / name, options)
        on_step(done, total)
    pairs = [
        Pair(
            _name(options.seed, "pair", scene, first, second),
            scene,
            first,
            second,
            names[scene, first],
            names[scene, second],
            texts.get(scene, ""),
        )
        for scene in scenes
        for first, second in itertools.combinations(methods, 2)
    ]
    pairs += _checks(pairs, videos, options, lambda done, n, preview=None: on_step(total - n + done, total))
    study = Study(
        options.title,
        tuple(pairs),
        instructions=INSTRUCTIONS if any(texts.values()) else INSTRUCTIONS_WITHOUT_TEXT,
        evaluators_a_pair=options.evaluators_a_pair,
        seed=options.seed,
    )
    write_study(study, folder)
    return study


def views_in_turn(frames: Tensor, views: int | None = None) -> Tensor:
    """A grid's frames ``(V, T, H, W, 3)`` as one clip ``(F, H, W, 3)``: view after view, each through all its times."""
    count = frames.shape[0] if views is None else min(views, frames.shape[0])
    chosen = torch.linspace(0, frames.shape[0] - 1, count).round().long()
    return frames[chosen].flatten(0, 1)


def _write_video(scene: str, place: Path, target: Path, options: MakeOptions) -> None:
    if place.is_file() and place.suffix.lower() in PLAYED_AS_THEY_ARE:
        read_clip(place, frames=1)  # what can't be played is refused now, not before an evaluator
        with whole_file(target) as part:
            shutil.copyfile(place, part)
        return
    grid: EvaluatedGrid = read_grid(scene, place)
    if not bool(grid.there.all()):
        raise InputError(
            f"{place} without {int((~grid.there).sum())} of its cells", "a whole grid", "complete it, or give a video"
        )
    write_video(views_in_turn(grid.frames, options.views), target, options.fps)


def _checks(pairs: Sequence[Pair], videos: Path, options: MakeOptions, on_step: OnStep) -> list[Pair]:
    """Attention checks: a pair's own video beside the same one spoilt beyond doubt."""
    found = []
    for k in range(options.checks):
        base = pairs[(k * 7919 + options.seed) % len(pairs)]
        clip = read_clip(videos / base.first_video)
        name = _name(options.seed, "spoilt", k) + ".mp4"
        write_video(spoilt(clip, options.seed + k), videos / name, options.fps)
        good = _name(options.seed, "unspoilt", k) + ".mp4"  # both encoded alike, under names of their own
        write_video(clip, videos / good, options.fps)
        found.append(
            Pair(_name(options.seed, "check", k), base.scene, "good", "spoilt", good, name, base.text, check=True)
        )
        on_step(k + 1, options.checks)
    return found


def spoilt(clip: Tensor, seed: int) -> Tensor:
    """A clip ``(F, H, W, 3)`` in coarse blocks with noise over it: plainly the worse picture."""
    planes = clip.permute(0, 3, 1, 2)
    small = torch.nn.functional.avg_pool2d(planes, _SPOILT_PX, ceil_mode=True)
    large = torch.nn.functional.interpolate(small, clip.shape[1:3], mode="nearest")
    noise = torch.randn(large.shape, generator=torch.Generator().manual_seed(seed))
    return (large + 0.12 * noise).clamp(0, 1).permute(0, 2, 3, 1)


def _name(*parts: object) -> str:
    """A name that says nothing of what it is made of."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
