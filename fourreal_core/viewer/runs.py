"""The runs that lie below a folder, for an index with pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError

SCENE_FILE, PICTURE = "scene.safetensors", "contact_sheet.png"
_DEEPEST, _MOST = 4, 500


@dataclass(frozen=True)
class Run:
    """A saved scene and what a run left beside it.

    Attributes:
        name: To show.
        scene: The scene's file.
        picture: A picture of it, or None.
    """

    name: str
    scene: Path
    picture: Path | None

    @property
    def folder(self) -> Path:
        """Where the scene lies."""
        return self.scene.parent


def find_runs(place: Path) -> list[Run]:
    """The scene that is a file or lies in a folder, or else all those below the folder.

    Raises:
        InputError: Nothing there, or no scene.
    """
    if not place.exists():
        raise InputError(f"{place} does not exist", "the output folder of a run, or a scene", "check the path")
    if place.is_file():
        return [_run(place, place.stem)]
    if (place / SCENE_FILE).is_file():
        return [_run(place / SCENE_FILE, place.resolve().name)]
    found = []
    for depth in range(1, _DEEPEST + 1):
        found += [path for path in place.glob("/".join(["*"] * depth + [SCENE_FILE])) if path.is_file()]
    if not found:
        raise InputError(
            f"no {SCENE_FILE} in {place} or below",
            "the output folder of `fourreal run` or `fourreal demo`",
            "check the path",
        )
    found.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    return [_run(path, path.parent.relative_to(place).as_posix()) for path in found[:_MOST]]


def _run(scene: Path, name: str) -> Run:
    picture = scene.parent / PICTURE
    return Run(name, scene, picture if picture.is_file() else None)
