"""What 'Render 4D Scene' is queued with, by its mode."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

Part = Callable[[str], ModuleType]
FRONT_END = Path(__file__).resolve().parents[2] / "web" / "render_inputs.js"
WIRED = {"grid": ["1", 0], "camera_info": ["2", 2], "camera_path": ["2", 1]}
SET = {"frames": 16, "time": 2.0, "view": 1.5, "degrees": 30.0, "colors": "splats"}


@pytest.fixture
def modes(part: Part) -> ModuleType:
    return part("nodes.render_modes")


def queued(modes: ModuleType, mode: Any, **inputs: Any) -> dict[str, Any]:
    """The inputs that reach the host."""
    node = {"class_type": modes.NODE, "inputs": {"scene": ["2", 0], "mode": mode, **SET, **WIRED, **inputs}}
    return modes.without_unused({"prompt": {"5": node}, "client_id": "x"})["prompt"]["5"]["inputs"]


def test_what_a_mode_does_not_use_makes_no_difference(modes: ModuleType) -> None:
    for mode, used in modes.USED.items():
        plain = queued(modes, mode)
        assert plain["scene"] == ["2", 0] and plain["mode"] == mode
        for name, other in {"frames": 9, "time": 1.0, "view": 0.5, "degrees": 3.0, "colors": "source",
                            "grid": ["9", 0], "camera_info": ["9", 0], "camera_path": "{}"}.items():  # fmt: skip
            assert (queued(modes, mode, **{name: other}) != plain) == (name in used), (mode, name)
            if name in used:
                assert plain[name] == (SET | WIRED)[name]


def test_the_rest_of_a_request_is_left_alone(modes: ModuleType) -> None:
    assert queued(modes, ["4", 0])["frames"] == 16 and queued(modes, "no such mode")["grid"] == ["1", 0]
    assert queued(modes, "orbit", new_input=4)["new_input"] == 4
    for request in (
        {},
        {"prompt": None},
        {"prompt": {"1": {"class_type": "KSampler", "inputs": {"mode": "orbit", "frames": 3}}, "2": "nothing"}},
        {"prompt": {"1": {"class_type": modes.NODE}}},
    ):
        assert modes.without_unused(copy.deepcopy(request)) == request


def test_the_defaults_are_the_schemas(modes: ModuleType, part: Part) -> None:
    declared = {one.id: one for one in part("nodes.render").RenderScene.define_schema().inputs}
    assert {name: declared[name].default for name in modes.DEFAULTS} == modes.DEFAULTS
    sometimes = {name for used in modes.USED.values() for name in used}
    assert sometimes <= set(declared)
    assert all(declared[name].optional for name in sometimes - set(modes.DEFAULTS))


def test_the_front_end_shows_what_is_used(modes: ModuleType) -> None:
    table = re.search(r"USED = \{\n(.*?)\n\};", FRONT_END.read_text("utf-8"), re.DOTALL)
    assert table is not None
    shown = {
        name.strip('"'): tuple(re.findall(r'"(\w+)"', values))
        for name, values in re.findall(r'^ *("[\w ]+"|\w+): \[(.*)\],$', table[1], re.MULTILINE)
    }
    wires = {"grid", "camera_info"}  # these have no widget
    assert shown == {mode: tuple(name for name in used if name not in wires) for mode, used in modes.USED.items()}
