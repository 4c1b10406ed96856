"""The shipped templates in the host's own front end, as a new user meets them: classic nodes and Vue nodes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from ..browser.conftest import chromium
from .test_previews import SHOWN, front_end

__all__ = ["chromium"]
pytestmark = [pytest.mark.host, pytest.mark.browser]
REPOSITORY = Path(__file__).resolve().parents[2]
NAMES = sorted(path.stem for path in (REPOSITORY / "workflows").glob("*.json"))
LAPTOP = {"width": 1366, "height": 768}
SECONDS = 900
OPEN = """async (name) => {
  const answer = await fetch(`/api/workflow_templates/comfyui-4real/${name}.json`);
  await window.app.loadGraphData(await answer.json());
  await new Promise((done) => setTimeout(done, 1500));
}"""
BOXES = """(vue) => {
  const { ds } = window.app.canvas;
  const boxes = {};
  for (const node of window.app.graph._nodes) {
    const name = `${node.id} ${node.title}`;
    const element = vue && document.querySelector(`[data-node-id="${node.id}"]`);
    if (element) {
      const r = element.getBoundingClientRect();
      const [x, y] = [r.left / ds.scale - ds.offset[0], r.top / ds.scale - ds.offset[1]];
      boxes[name] = [x, y, x + r.width / ds.scale, y + r.height / ds.scale];
    } else {
      const [x, y] = node.pos;
      boxes[name] = [x, y - 30, x + node.size[0], y + node.size[1]];
    }
  }
  return boxes;
}"""
"""Left, top, right and bottom of all nodes with their titles, in the graph's own pixels."""
PROMPT = "window.app.graphToPrompt().then((made) => made.output)"
SHOWN_WIDGETS = """(kind) => window.app.graph._nodes.find((n) => n.comfyClass === kind).widgets
  .filter((w) => !w.hidden).map((w) => w.name)"""
both = pytest.mark.parametrize("vue", [False, True], ids=["classic", "vue"])


def overlapping(page: Any, vue: bool) -> list[str]:
    """Pairs of nodes that lie on each other, by their sizes in the running front end."""
    boxes = list(page.evaluate(BOXES, vue).items())
    assert len(boxes) > 5 and all(right - left > 100 and bottom - top > 40 for _, (left, top, right, bottom) in boxes)
    return [
        f"{one} and {other}"
        for k, (one, (l1, t1, r1, b1)) in enumerate(boxes)
        for other, (l2, t2, r2, b2) in boxes[:k]
        if min(r1, r2) - max(l1, l2) > 1 and min(b1, b2) - max(t1, t2) > 1
    ]


def finished(page: Any, host: Any) -> dict[str, Any]:
    """The history's newest entry, when the queue is empty."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        page.wait_for_timeout(1000)
        queue = host.get_json("/queue")
        if not queue["queue_running"] and not queue["queue_pending"]:
            history = list(host.get_json("/history").values())
            if history:
                return history[-1]
    raise AssertionError("the run did not end")


@both
def test_nodes_keep_clear_of_each_other(chromium: Any, host: Any, vue: bool) -> None:
    with front_end(chromium, host, vue) as page:
        page.set_viewport_size(LAPTOP)
        for name in NAMES:
            page.evaluate(OPEN, name)
            assert not overlapping(page, vue), name


@both
def test_a_new_user_runs_the_template_and_films_a_path(chromium: Any, host: Any, vue: bool) -> None:
    with front_end(chromium, host, vue) as page:
        page.set_viewport_size(LAPTOP)
        page.evaluate(OPEN, "two_clips_to_4d")
        boxes = page.evaluate(BOXES, vue)
        offset = page.evaluate("[...window.app.canvas.ds.offset, window.app.canvas.ds.scale]")
        for name, (left, top, right, _) in boxes.items():  # what one works with is on the laptop's screen at 100 %
            if "fixed-view clip" not in name:
                assert left + offset[0] >= 60 and right + offset[0] <= 1366 and 90 <= top + offset[1] <= 700, name
        assert offset[2] == 1
        prompt = page.evaluate(PROMPT)
        assert "LoadVideo" not in {node["class_type"] for node in prompt.values()}
        page.evaluate(
            """() => {
              const set = (kind, values) => {
                const { widgets } = window.app.graph._nodes.find((n) => n.comfyClass === kind);
                for (const [name, value] of Object.entries(values)) widgets.find((w) => w.name === name).value = value;
              };
              set("FourRealSampleClips", { width: 160, height: 96 });  // less of what takes long
              set("FourRealTwoClipsTo4D", { quality: "draft" });
            }"""
        )
        page.get_by_role("button", name="Run", exact=True).first.click()
        first = finished(page, host)
        assert first["status"]["status_str"] == "success", first["status"]
        page.wait_for_function(SHOWN)
        page.get_by_alt_text("View 0, time 0, given").wait_for()
        page.wait_for_timeout(1000)
        assert not overlapping(page, vue)
        page.locator(".fourreal-preview canvas").last.focus()
        for key in ("1", "k", *["ArrowRight"] * 4, "End", "k"):
            page.keyboard.press(key)
        page.get_by_role("button", name="Run", exact=True).first.click()
        second = finished(page, host)
        assert second["status"]["status_str"] == "success" and second["prompt"][1] != first["prompt"][1]
        cached = {n for kind, data in second["status"]["messages"] if kind == "execution_cached" for n in data["nodes"]}
        assert {"1", "2", "3"} <= cached and not {"4", "5"} & cached  # the job itself did not run again
        videos = [next(iter(run["outputs"]["7"].values()))[0]["filename"] for run in (first, second)]
        assert videos[0] != videos[1]


@both
def test_render_shows_what_its_mode_uses(chromium: Any, host: Any, vue: bool) -> None:
    with front_end(chromium, host, vue) as page:
        page.evaluate(
            """() => {
              window.app.graph.clear();
              const node = window.LiteGraph.createNode("FourRealRenderScene");
              node.pos = [100, 100];
              window.app.graph.add(node);
            }"""
        )
        for mode, used in (
            ("complete grid", ["colors"]),
            ("orbit", ["frames", "time", "degrees"]),
            ("fixed view", ["frames", "view"]),
            ("camera path", ["camera_path"]),
        ):
            page.evaluate(
                """(mode) => {
                  const [node] = window.app.graph._nodes;
                  const widget = node.widgets.find((w) => w.name === "mode");
                  widget.value = mode;
                  widget.callback?.(mode);
                  node.widgets.find((w) => w.name === "degrees").value = 25;
                }""",
                mode,
            )
            shown = page.evaluate(SHOWN_WIDGETS, "FourRealRenderScene")
            assert [name for name in shown if name not in ("mode", "camera_motion")] == used
            if vue:
                page.wait_for_timeout(500)
                text = page.locator("[data-node-id]").first.inner_text()
                hidden = {"frames", "time", "view", "degrees"} - set(used)
                assert not [name for name in hidden if name in text.split()], text
        inputs = next(iter(page.evaluate(PROMPT).values()))["inputs"]
        assert inputs["frames"] == 48 and inputs["degrees"] == 25  # out of sight, and still queued in their places


def test_our_wires_have_a_colour_each(chromium: Any, host: Any) -> None:
    with front_end(chromium, host, False) as page:
        colours = page.evaluate(
            """() => ["FOURREAL_GRID", "FOURREAL_TRACKS", "FOURREAL_SCENE"].flatMap((type) => [
              window.app.canvas.default_connection_color_byType[type],
              window.app.canvas.constructor.link_type_colors[type],
              getComputedStyle(document.documentElement).getPropertyValue(`--color-datatype-${type}`).trim(),
            ])"""
        )
        assert len(set(colours)) == 3 and all(colours)
        assert [colours[k] == colours[k + 1] == colours[k + 2] for k in (0, 3, 6)] == [True] * 3


def test_the_steps_are_a_blueprint(chromium: Any, host: Any) -> None:
    blueprints = sorted((REPOSITORY / "subgraphs").glob("*.json"))
    assert blueprints
    try:
        listed = host.get_json("/global_subgraphs")
    except OSError:
        pytest.skip("this ComfyUI lists no blueprints")
    ours = {entry["name"]: key for key, entry in listed.items() if "4real" in entry["info"]["node_pack"]}
    assert sorted(ours) == [path.stem for path in blueprints]
    data = json.loads(host.get_json(f"/global_subgraphs/{ours[blueprints[0].stem]}")["data"])
    with front_end(chromium, host, False) as page:
        page.evaluate("(data) => window.app.loadGraphData(data)", data)
        page.wait_for_timeout(1500)
        page.evaluate(
            """() => {
              const { app, LiteGraph } = window;
              const [steps] = app.graph._nodes;
              const add = (kind, values) => {
                const node = LiteGraph.createNode(kind);
                app.graph.add(node);
                for (const [name, value] of Object.entries(values)) {
                  node.widgets.find((w) => w.name === name).value = value;
                }
                return node;
              };
              const clips = add("FourRealSampleClips", { width: 128, height: 80 });
              clips.connect(0, steps, 0);
              clips.connect(1, steps, 1);
              steps.connect(0, add("FourRealPreviewGrid", {}), 0);
              steps.connect(1, add("FourRealSaveScene", {}), 0);
            }"""
        )
        prompt = page.evaluate(PROMPT)
    classes = {node["class_type"]: node for node in prompt.values()}
    assert {"FourRealGridFromVideos", "FourRealTracks3D", "FourRealFitDeformation"} <= set(classes)
    classes["FourRealFitDeformation"]["inputs"] |= {"steps": 4, "refit": 4}
    run = host.run(prompt)
    assert not run.error, run.error
    assert [output["files"] for output in run.outputs.values() if "files" in output]
