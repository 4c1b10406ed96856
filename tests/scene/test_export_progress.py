"""Every format says how far it is, up to the end, and may be stopped on the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from fourreal_core.scene.formats.registry import FORMATS
from fourreal_core.scene.formats.scene_format import ExportOptions, SceneFormat, export_scene

from ..cancelling import Cancelled
from .scenes import sliding, wall_scene

TIMES = 3
SCENES = [form for form in FORMATS if form.package is None]


def exported(form: SceneFormat, folder: Path, on_step) -> list[Path]:
    options = ExportOptions()
    scene = wall_scene(2, TIMES, sliding(TIMES, (4.0, 2.0)))
    ending = form.ending(options)
    name = ending if ending and not ending.startswith(".") else f"out{ending}"
    return export_scene(scene, form, folder / name, options, on_step)


@pytest.mark.parametrize("form", SCENES, ids=lambda form: form.name)
def test_progress_ends_at_its_total(form: SceneFormat, tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    written = exported(form, tmp_path, lambda done, total, preview=None: steps.append((done, total)))
    assert steps and steps[-1][0] == steps[-1][1]
    assert [done for done, _ in steps] == sorted({done for done, _ in steps}) and steps[0][0] >= 1
    assert written and all(path.exists() for path in written)


@pytest.mark.parametrize("form", SCENES, ids=lambda form: form.name)
def test_stopping_passes_through(form: SceneFormat, tmp_path: Path) -> None:
    def stop(done: int, total: int, preview=None) -> None:
        raise Cancelled("export")

    with pytest.raises(Cancelled):
        exported(form, tmp_path, stop)
