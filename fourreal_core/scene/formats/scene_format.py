"""What a format of scene files says of itself, and writing one; reading the table loads no writer and no torch."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ...errors import InputError
from ...progress import OnStep, no_progress
from .packages import NeededPackage

if TYPE_CHECKING:
    from ..scene4d import Scene4D

OPTIONS = ("times", "time", "view", "fps", "compact")
"""Options that a format may take, by their names in ExportOptions and, with ``--``, on the command line."""


@dataclass(frozen=True)
class ExportOptions:
    """What a user may say about a file; a format takes what its ``takes`` names and passes over the rest.

    Attributes:
        times: Time steps of a sequence, fractions allowed; all of the scene's when None.
        time: Time step of a still moment, fractions allowed; the first when None.
        view: One of the clip's cameras, whose view-dependent offsets and colours are taken along; none when None.
        fps: Time steps a second; 8 when None.
        compact: Leave out what only the clip's own views need.
        run_folder: Where the scene's run left its frames, for formats that take frames along.
    """

    times: Sequence[float] | None = None
    time: float | None = None
    view: int | None = None
    fps: float | None = None
    compact: bool | None = None
    run_folder: Path | None = None

    @property
    def moment(self) -> float:
        """The time step of a still moment."""
        return 0.0 if self.time is None else self.time

    @property
    def steps_per_second(self) -> float:
        """Time steps a second.

        Raises:
            InputError: Not a positive number.
        """
        fps = 8.0 if self.fps is None else self.fps
        if not (fps > 0 and math.isfinite(fps)):
            raise InputError(f"{fps} time steps a second", "a positive number", "use 8")
        return fps


Writer = Callable[["Scene4D", Path, ExportOptions, OnStep], list[Path]]
"""Writes a scene to a path and returns the files that appeared, each whole or not at all."""


@dataclass(frozen=True)
class SceneFormat:
    """A format that a scene can be exported to.

    Attributes:
        name: Of ``--format``, a word.
        endings: Of its files, with the dot, the first being the usual one; or a whole file name, without, which may
            stand after ``_``.
        writes: What appears, in a few words.
        module: Where its writer is, a function ``write``: a module of the core by its full name.
        takes: Which of OPTIONS it looks at.
        package: What it needs that the project does not depend on.
        folder: Whether a path without an ending becomes a folder of files.
    """

    name: str
    endings: tuple[str, ...]
    writes: str
    module: str
    takes: frozenset[str] = frozenset()
    package: NeededPackage | None = None
    folder: bool = False

    @property
    def label(self) -> str:
        """What a menu shows."""
        return f"{self.name}, {self.writes}"

    def writer(self) -> Writer:
        """Its writer, loaded only now."""
        return cast(Writer, importlib.import_module(self.module).write)

    def ending(self, options: ExportOptions) -> str:
        """What a free name gets at its end; empty where a folder is written."""
        if self.folder and (options.time is None or not self.endings):
            return ""
        return self.endings[0]

    def fits(self, path: Path) -> bool:
        """Whether a path has one of the endings."""
        name = path.name.lower()
        return any(name.endswith(e if e.startswith(".") else f"_{e}") or name == e for e in self.endings)


def export_scene(
    scene: Scene4D, form: SceneFormat, path: Path, options: ExportOptions, on_step: OnStep = no_progress
) -> list[Path]:
    """Writes a scene; folders are made if needed.

    Args:
        scene: What to write.
        form: How.
        path: A file, or a folder where the format is one.
        options: See ExportOptions; times and a view are checked against the scene before anything is written.
        on_step: Progress.

    Returns:
        What appeared.

    Raises:
        InputError: Options that the format doesn't take or the scene doesn't have, a package that is missing, values
            that are not finite, or a path that cannot be written.
    """
    from ...media.files import prepare_folder
    from ..camera_paths import check_place

    given = [name for name in OPTIONS if getattr(options, name) is not None and name not in form.takes]
    if given:
        raise InputError(f"{given[0]} for {form.name}", _taken(form), "leave it out, or choose another format")
    for time in [options.time, *(options.times or ())]:
        check_place(scene, time, options.view)
    if "fps" in form.takes:
        options.steps_per_second  # noqa: B018 - checked before the first file is written
    if form.package is not None:
        form.package.load(form.package.module)
    prepare_folder(path.parent if form.fits(path) else path)
    return form.writer()(scene, path, options, on_step)


def _taken(form: SceneFormat) -> str:
    names = [name for name in OPTIONS if name in form.takes]
    return "one of " + ", ".join(names) if names else "none"
