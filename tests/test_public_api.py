"""The package's own names: lazy, typed, complete; and the example script that uses them."""

from __future__ import annotations

import ast
import importlib
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import fourreal_core
from fourreal_core.media import read_clip, write_video
from fourreal_core.synthetic.sample_scenes import sample_clips

ROOT = Path(__file__).resolve().parents[1]


def names_for_type_checkers() -> set[tuple[str, str]]:
    """Module and name of everything that ``__init__.py`` imports where types are checked."""
    tree = ast.parse((ROOT / "fourreal_core" / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    return {(node.module, alias.name) for node in block.body for alias in node.names}


def test_types_and_the_lazy_table_say_the_same():
    table = {(module, name) for module, names in fourreal_core._MODULES.items() for name in names}
    assert table == names_for_type_checkers()
    assert sorted(name for _, name in table) == sorted(fourreal_core.__all__)


def test_the_version_is_the_same_in_both_places():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'\nversion = "{fourreal_core.__version__}"' in text


@pytest.mark.parametrize("name", fourreal_core.__all__)
def test_every_name_is_what_its_module_defines(name):
    module = next(m for m, names in fourreal_core._MODULES.items() if name in names)
    value = getattr(importlib.import_module(f"fourreal_core.{module}"), name)
    assert getattr(fourreal_core, name) is value and name in dir(fourreal_core)


def test_other_names_are_no_attributes():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = fourreal_core.nothing


def test_importing_the_package_loads_nothing_else():
    code = (
        "import sys, fourreal_core; print(sorted(m for m in sys.modules if m.startswith(('fourreal_core.', 'torch'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_the_example_makes_a_grid_and_a_scene(tmp_path, capsys):
    truth = sample_clips("puppet", (48, 64), 3, 3)
    clips = [tmp_path / "around.mp4", tmp_path / "moving.mp4"]
    for frames, path in zip((truth.frames[:, 0], truth.frames[0]), clips, strict=True):
        write_video(frames, path, crf=8)
    out = tmp_path / "out"
    script = runpy.run_path(str(ROOT / "docs" / "examples" / "two_clips_to_4d.py"))
    script["main"]([*map(str, clips), str(out), "--views", "3", "--times", "3"])
    assert len(read_clip(out / "view_2.mp4")) == 3 and len(read_clip(out / "bullet_time.mp4")) == 12
    assert fourreal_core.load_scene(out / "scene.safetensors").times == 3
    assert "completion: " in capsys.readouterr().out
