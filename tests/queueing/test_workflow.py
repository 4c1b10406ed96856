"""Writing rows into a workflow, and what is refused before anything is queued."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from fourreal_core.errors import InputError
from fourreal_core.queueing.workflow import Setting, Template, find_node, parse_setting, read_workflow

from .fake_host import OBJECT_INFO, WORKFLOW


def template(*settings: str, prompt: dict[str, Any] | None = None) -> Template:
    return Template(prompt or WORKFLOW, [parse_setting(text) for text in settings], OBJECT_INFO, "host")


def test_settings_name_a_node_by_title_or_id():
    assert parse_setting("Clip v1.0.file={freeze}") == Setting("Clip v1.0", "file", "{freeze}")
    assert parse_setting("3.prefix=a={id}_{x y}").columns == ["id", "x y"]
    made = template("Clip v1.0.file={clip}", "3.prefix=run/{id}", "Fit.steps={n}", "Fit.weight=0.5", "Fit.deep=true")
    assert made.columns == ["clip", "id", "n"]
    filled = made.filled({"clip": "b.mp4", "id": "a", "n": "7", "other": "x"})
    assert filled["1"]["inputs"] == {"file": "b.mp4"} and filled["3"]["inputs"] == {
        "images": ["2", 0],
        "prefix": "run/a",
    }
    assert filled["2"]["inputs"] == {"clip": ["1", 0], "steps": 7, "mode": "fast", "weight": 0.5, "deep": True}
    assert WORKFLOW["2"]["inputs"]["steps"] == 3


@pytest.mark.parametrize("text", ["steps=3", "Fit.steps", ".steps=3", "Fit.=3"])
def test_settings_without_place_or_value(text):
    with pytest.raises(InputError, match="TITLE.FIELD=VALUE"):
        parse_setting(text)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("Fitt.steps=3", "no node 'Fitt' in the workflow"),
        ("Fit.stepps=3", "no input 'stepps' of 'Fit'; expected one of clip, steps, mode, weight, deep"),
        ("Fit.clip=x", "Fit.clip, which is linked"),
    ],
)
def test_settings_of_what_is_not_there(setting, sentence):
    with pytest.raises(InputError, match=sentence):
        template(setting)


def test_a_title_that_two_nodes_have_names_neither():
    prompt = copy.deepcopy(WORKFLOW)
    prompt["1"]["_meta"]["title"] = "Fit"
    with pytest.raises(InputError, match=r"2 nodes with the title 'Fit' \(1, 2\)"):
        find_node(prompt, "Fit")


def test_a_workflow_that_a_host_cannot_run():
    prompt = copy.deepcopy(WORKFLOW)
    prompt["4"] = {"class_type": "Strange", "inputs": {}}
    prompt["2"]["inputs"] = {"clip": ["9", 0], "mode": "fast"}
    with pytest.raises(InputError) as info:
        template(prompt=prompt)
    assert "a workflow that host can't run: Fit without steps; Fit.clip comes from node 9" in str(info.value)
    assert "no node Strange (Strange)" in str(info.value)


@pytest.mark.parametrize(
    ("setting", "value", "fault"),
    [
        ("Fit.steps={n}", "x", "Fit.steps: 'x', expected a whole number"),
        ("Fit.weight={n}", "x", "Fit.weight: 'x', expected a number"),
        ("Fit.deep={n}", "x", "Fit.deep: 'x', expected true or false"),
        ("Fit.mode={n}", "x", "Fit.mode: 'x', expected one of fast, slow"),
        ("Fit.mode={n}", "slow", None),
        ("Clip v1.0.file={n}", "any.mp4", None),
    ],
)
def test_values_are_judged_by_what_the_host_says_of_the_input(setting, value, fault):
    assert template(setting).fault({"n": value}) == fault
    assert template(setting).fault({}) is None and template(setting).fault({"n": value}, ["n"]) is None


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "can't be read"),
        (json.dumps({"nodes": [], "links": []}), r"Export \(API\)"),
        ("[]", "is no workflow"),
        ('{"1": {"inputs": {}}}', "is no workflow"),
    ],
)
def test_files_that_are_no_workflow(tmp_path, content, sentence):
    (tmp_path / "w.json").write_text(content)
    with pytest.raises(InputError, match=sentence):
        read_workflow(tmp_path / "w.json")
