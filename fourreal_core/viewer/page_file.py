"""The viewer's page as a format of scenes."""

from __future__ import annotations

from pathlib import Path

from ..progress import OnStep
from ..scene.formats.scene_format import ExportOptions
from ..scene.scene4d import Scene4D
from .given_frames import frames_of_run
from .html import write_viewer
from .payload import PayloadOptions, viewer_payload


def write(scene: Scene4D, path: Path, options: ExportOptions, on_step: OnStep) -> list[Path]:
    """See SceneFormat."""
    folder, compact = options.run_folder, bool(options.compact)
    title = path.stem if folder is None else folder.resolve().name
    shown = PayloadOptions(title=title, steps_per_second=options.steps_per_second, differences=not compact)
    frames = [] if compact or folder is None else frames_of_run(folder, scene)
    return [write_viewer(viewer_payload(scene, frames, shown, on_step), title, path)]
