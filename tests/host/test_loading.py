"""The extension as the host sees it before anything runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.host
REPOSITORY = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted(path.stem for path in (REPOSITORY / "workflows").glob("*.json"))
NODES = {
    "FourRealSampleClips",
    "FourRealTwoClipsTo4D",
    "FourRealGridFromVideos",
    "FourRealGridFromViews",
    "FourRealGridToImages",
    "FourRealGeometryFromParallax",
    "FourRealTracks3D",
    "FourRealCanonicalSplats",
    "FourRealPruneFloaters",
    "FourRealFitDeformation",
    "FourRealRenderScene",
    "FourRealSceneToSplat",
    "FourRealSaveScene",
    "FourRealLoadScene",
    "FourRealApplyParallelSync",
    "FourRealFreezeTimeConditioning",
    "FourRealParallelSyncSampler",
    "FourRealDecode4DLatent",
    "FourRealPreviewGrid",
    "FourRealEvaluateGrid",
    "FourRealPreviewScene",
    "FourRealSyncStrength",
    "FourRealGeometryFromDepth",
    "FourRealGeometryFromDepthNetwork",
    "FourRealExportScene",
    "FourRealLoadModel",
    "FourRealExtendGrid",
}


@pytest.fixture(scope="module")
def object_info(host: Any) -> dict[str, Any]:
    """Everything the host can do."""
    return host.get_json("/object_info")


def test_every_node_is_there_and_explained(object_info: dict[str, Any]) -> None:
    ours = {name: info for name, info in object_info.items() if name.startswith("FourReal")}
    assert set(ours) == NODES
    for name, info in ours.items():
        assert info["category"].startswith("4Real/") and info["description"], name
        for section in (info["input"].get("required", {}), info["input"].get("optional", {})):
            for key, spec in section.items():
                assert len(spec) > 1 and spec[1].get("tooltip"), f"{name}.{key} has no tooltip"


def test_newer_hosts_get_search_aliases(object_info: dict[str, Any]) -> None:
    host_has_them = any("search_aliases" in info for info in object_info.values())
    got = {bool(info.get("search_aliases")) for name, info in object_info.items() if name in NODES}
    assert got == {host_has_them}


def test_the_host_serves_the_nodes_pages_and_their_pictures(host: Any) -> None:
    """Where its front end asks for them."""
    for name in NODES:
        page = host.get(f"/extensions/comfyui-4real/docs/{name}.md").decode("utf-8")
        assert page == (REPOSITORY / "web" / "docs" / f"{name}.md").read_text("utf-8")
        for picture in re.findall(r"!\[[^]]+\]\(([^)]+)\)", page):
            assert len(host.get(f"/extensions/comfyui-4real/docs/{picture}")) > 1000


def test_the_host_hands_out_names_in_other_languages(host: Any) -> None:
    said = host.get_json("/i18n")
    for language in ("de", "zh", "ja"):
        own = json.loads((REPOSITORY / "locales" / language / "nodeDefs.json").read_text("utf-8"))
        assert {name: said[language]["nodeDefs"][name] for name in NODES} == own


def test_the_host_lists_the_extension_as_imported(host: Any) -> None:
    line = re.search(r"[\d.]+ seconds( \(IMPORT FAILED\))?: .*comfyui-4real", host.log.read_text("utf-8", "replace"))
    assert line is not None, "the host did not list the extension among its imports"
    assert line[1] is None


def test_template_browser_lists_the_workflows(host: Any) -> None:
    assert sorted(host.get_json("/workflow_templates")["comfyui-4real"]) == WORKFLOWS
    for name in WORKFLOWS:
        served = host.get_json(f"/api/workflow_templates/comfyui-4real/{name}.json")
        assert served == json.loads((REPOSITORY / "workflows" / f"{name}.json").read_text("utf-8"))
        assert host.get(f"/api/workflow_templates/comfyui-4real/{name}.jpg")[:3] == b"\xff\xd8\xff"


@pytest.mark.parametrize("name", WORKFLOWS)
def test_ui_workflow_opens_with_no_missing_node(object_info: dict[str, Any], name: str) -> None:
    workflow = json.loads((REPOSITORY / "workflows" / f"{name}.json").read_text("utf-8"))
    drawn_by_the_front_end = {"MarkdownNote", "Note"}
    types = {node["type"] for node in workflow["nodes"]}
    assert types - drawn_by_the_front_end <= set(object_info)
