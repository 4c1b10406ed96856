"""True 4D grids from videos that several standing cameras took of one scene at the same time.

A scene is a folder with a video a camera, ``cam01.mp4``, ``cam02.mp4`` and so on, or with such videos in a folder
``videos`` of its own, as SynCamMaster's data set has them. Views follow the cameras' names.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

from ...errors import InputError
from ...media.clips import read_clip
from ...media.images import natural_key
from .captions import caption_of
from .pseudo4d import VIDEO_SUFFIXES, fit
from .sources import Captioned, Skipped, try_items

_CAMERA = re.compile(r"(.*[^a-z])?cam(era)?[ _-]?\d+", re.IGNORECASE)


class MultiCameraVideos:
    """Grids from a folder of scenes, each with a video a camera.

    Args:
        root: Searched with its subfolders.
        views: V cameras are taken from a scene's, consecutive ones from a random start.
        times: T consecutive frames (or every second or third), the same of all cameras.
        size: ``(height, width)`` to cut and resize to.

    Raises:
        InputError: No scene of two cameras.
    """

    def __init__(self, root: Path | str, views: int, times: int, size: tuple[int, int]) -> None:
        self.views, self.times, self.size, self.skipped = views, times, size, Skipped()
        self.scenes = find_scenes(Path(root))
        if not self.scenes:
            raise InputError(
                f"no videos of several cameras in {root}",
                "folders with cam01.mp4, cam02.mp4 and so on, one folder a scene",
                "check the path and the names",
            )

    def draw(self, position: int, generator: torch.Generator) -> Tensor:
        """See GridSource; scenes with too few cameras or frames are skipped, counted and named."""
        return try_items(self.scenes, generator, lambda s: self._read(s, generator), self.skipped, "scenes").grid

    def take(self, position: int, generator: torch.Generator) -> Captioned:
        """See CaptionedSource; the caption is that of the scene's folder."""
        return try_items(self.scenes, generator, lambda s: self._read(s, generator), self.skipped, "scenes", position)

    def _read(self, scene: Path, generator: torch.Generator) -> Captioned:
        cameras = camera_videos(scene)
        if len(cameras) < self.views:
            raise InputError(f"{scene} has {len(cameras)} cameras", f"at least {self.views}", "leave it out")
        first = int(torch.randint(len(cameras) - self.views + 1, (), generator=generator))
        clips = [read_clip(path) for path in cameras[first : first + self.views]]
        length = min(len(clip) for clip in clips)
        if length < self.times:
            raise InputError(f"{scene} has {length} frames", f"at least {self.times}", "leave it out")
        most = min(3, (length - 1) // (self.times - 1)) if self.times > 1 else 1
        step = 1 + int(torch.randint(most, (), generator=generator))
        start = int(torch.randint(length - step * (self.times - 1), (), generator=generator))
        rows = [fit(clip[start : start + step * (self.times - 1) + 1 : step], self.size) for clip in clips]
        folder = scene.parent if scene.name == "videos" else scene
        return Captioned((torch.stack(rows) * 255).round().to(torch.uint8), caption_of(folder))


def find_scenes(root: Path) -> list[Path]:
    """Folders under ``root``, itself among them, that hold the videos of at least two cameras."""
    folders = {path.parent for path in root.rglob("*") if _is_camera(path)}
    return sorted(folder for folder in folders if len(camera_videos(folder)) > 1)


def camera_videos(scene: Path) -> list[Path]:
    """A scene's videos in the order of the cameras' numbers."""
    return sorted((path for path in scene.iterdir() if _is_camera(path)), key=natural_key)


def _is_camera(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES and _CAMERA.fullmatch(path.stem) is not None and path.is_file()
