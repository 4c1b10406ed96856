"""The clip's cameras as a JSON that this project renders along, to be changed by hand."""

from __future__ import annotations

from pathlib import Path

from ...media.files import write_bytes
from ...progress import OnStep
from ..camera_paths import freeze_time_path, path_to_json
from ..scene4d import Scene4D
from .scene_format import ExportOptions


def write(scene: Scene4D, path: Path, options: ExportOptions, on_step: OnStep) -> list[Path]:
    """See SceneFormat."""
    written = write_bytes(path, path_to_json(freeze_time_path(scene, 0.0, scene.views)).encode())
    on_step(1, 1)
    return [written]
