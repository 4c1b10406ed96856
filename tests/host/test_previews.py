"""The previews in the host's own front end, in a real browser: classic nodes and Vue nodes.

``COMFYUI_FRONT_END`` may name the ``static`` folder of another front end than the one the host pins.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from fourreal_core.media import write_video
from fourreal_core.scene.formats.scene_file import save_scene
from fourreal_core.scene.render import render_cell

from ..browser.conftest import chromium
from ..browser.pages import TIMEOUT
from ..viewer.scenes import lively_scene

__all__ = ["chromium"]
pytestmark = [pytest.mark.host, pytest.mark.browser]

READY = "!!window.LiteGraph?.registered_node_types?.FourRealPreviewScene && !!window.app"
SHOWN = """(() => {
  const roots = [...document.querySelectorAll(".fourreal-preview > div")].flatMap((e) => e.shadowRoot ?? []);
  const viewer = roots.map((root) => root.querySelector(".viewer")).find((found) => found);  // not the grid's preview
  return viewer?.getAttribute("aria-busy") === "false";
})()"""
ADD = """([kinds, links]) => {
  const { app, LiteGraph } = window;
  app.graph.clear();
  const nodes = kinds.map(([kind, x, y, widgets]) => {
    const node = LiteGraph.createNode(kind);
    node.pos = [x, y];
    app.graph.add(node);
    for (const [name, value] of Object.entries(widgets)) node.widgets.find((w) => w.name === name).value = value;
    return node;
  });
  for (const [from, to] of links) nodes[from].connect(0, nodes[to], 0);
  app.canvas.ds.offset = [0, 0];
  app.canvas.ds.scale = 1;
  app.canvas.setDirty(true, true);
}"""
VUE_NODES_SINCE = (1, 28)
PREVIEW = "window.app.graph._nodes.find((n) => n.comfyClass === 'FourRealPreviewScene')"


@contextmanager
def front_end(chromium: Any, host: Any, vue: bool) -> Iterator[Any]:
    """The host's page, with nodes rendered by Vue or by the canvas."""
    page = chromium.new_page(viewport={"width": 1200, "height": 800})
    page.set_default_timeout(TIMEOUT)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(host.address)
    page.wait_for_function(READY)
    page.wait_for_timeout(2000)
    version = page.evaluate("window.__COMFYUI_FRONTEND_VERSION__ ?? ''")
    if vue and tuple(int(n) for n in re.findall(r"\d+", version)[:2]) < VUE_NODES_SINCE:
        page.close()
        pytest.skip(f"front end {version} shows an empty canvas with Vue nodes, without the host's own nodes, too")
    page.evaluate("(on) => window.app.extensionManager?.setting?.set?.('Comfy.VueNodes.Enabled', on)", vue)
    page.keyboard.press("Escape")
    try:
        yield page
    finally:
        page.close()
    assert not [text for text in wrong if "fourreal" in text.lower()], wrong


@pytest.fixture(scope="module")
def scene_file(host: Any) -> str:
    """A scene in the host's input folder, as 'Load 4D Scene' names it."""
    save_scene(lively_scene(1500), host.base / "input" / "lively.safetensors")
    return "lively.safetensors [input]"


@pytest.mark.parametrize("vue", [False, True], ids=["classic", "vue"])
def test_a_path_is_drawn_saved_and_rendered(chromium: Any, host: Any, scene_file: str, vue: bool) -> None:
    with front_end(chromium, host, vue) as page:
        kinds = [["FourRealLoadScene", 10, 60, {"file": scene_file}], ["FourRealPreviewScene", 360, 60, {}]]
        page.evaluate(ADD, [kinds, [[0, 1]]])
        page.evaluate(f"{PREVIEW}.setSize([640, 600])")
        page.evaluate("window.app.queuePrompt(0, 1)")
        page.wait_for_function(SHOWN)
        canvas = page.locator(".fourreal-preview canvas").first
        canvas.focus()
        page.keyboard.press("1")
        page.keyboard.press("k")
        place = page.evaluate(f"[...{PREVIEW}.pos]")
        for _ in range(4):
            page.keyboard.press("ArrowRight")
        page.keyboard.press("End")
        page.keyboard.press("k")
        assert page.evaluate(f"[...{PREVIEW}.pos]") == place  # the graph didn't take the keys
        keys = json.loads(page.evaluate(f"{PREVIEW}.widgets.find((w) => w.name === 'keyframes').value"))
        assert [frame["time"] for frame in keys["frames"]] == [0, 4]
        prompt = page.evaluate("window.app.graphToPrompt().then((made) => made.output)")
        saved = page.evaluate("window.app.graphToPrompt().then((made) => JSON.stringify(made.workflow))")
        assert "world_to_camera" in saved
        page.evaluate("window.app.queuePrompt(0, 1)")
        page.wait_for_timeout(3000)
        assert page.locator(".fourreal-preview .key").count() == 2  # the queue left the viewer as it was

    number = next(key for key, node in prompt.items() if node["class_type"] == "FourRealPreviewScene")
    prompt["90"] = {
        "class_type": "FourRealRenderScene",
        "inputs": {"scene": [number, 0], "mode": "camera path", "frames": 8, "time": 0.0, "view": 0.0, "degrees": 10.0,
                   "colors": "source", "camera_path": [number, 1]},
    }  # fmt: skip
    prompt["91"] = {"class_type": "PreviewImage", "inputs": {"images": ["90", 0]}}
    run = host.run(prompt)
    assert not run.error and len(run.outputs["91"]["images"]) == 48


def test_the_viewer_comes_back_from_a_saved_workflow_and_out_of_sight(
    chromium: Any, host: Any, scene_file: str
) -> None:
    keyframes = json.dumps({"count": 9, "frames": [{"view": 0, "time": 0}, {"view": 2, "time": 3}]})
    with front_end(chromium, host, False) as page:
        kinds = [
            ["FourRealLoadScene", 10, 60, {"file": scene_file}],
            ["FourRealPreviewScene", 360, 60, {"keyframes": keyframes}],
        ]
        page.evaluate(ADD, [kinds, [[0, 1]]])
        page.evaluate("window.app.queuePrompt(0, 1)")
        page.wait_for_function(SHOWN)
        page.wait_for_function(
            "document.querySelector('.fourreal-preview > div').shadowRoot.querySelectorAll('.key').length === 2"
        )
        page.evaluate("window.app.canvas.ds.offset = [-5000, 0], window.app.canvas.setDirty(true, true)")
        page.wait_for_function(
            "[...document.querySelectorAll('.fourreal-preview > div')].every((e) => !e.shadowRoot)"  # given back
        )
        page.evaluate("window.app.canvas.ds.offset = [0, 0], window.app.canvas.setDirty(true, true)")
        page.wait_for_function(SHOWN)
        page.evaluate(f"window.app.graph.remove({PREVIEW})")
        page.wait_for_function("!document.querySelector('.fourreal-preview > div')")


def test_given_frames_come_with_the_grid(chromium: Any, host: Any, scene_file: str) -> None:
    scene = lively_scene(1500)
    rows = {"column.mp4": [(v, 0) for v in range(scene.views)], "row.mp4": [(0, t) for t in range(scene.times)]}
    for name, cells in rows.items():
        clip = torch.stack([render_cell(scene, v, t).image.detach().clamp(0, 1) for v, t in cells])
        write_video(clip, host.base / "input" / name, crf=8)
    with front_end(chromium, host, False) as page:
        page.evaluate(
            ADD,
            [
                [
                    ["LoadVideo", 10, 60, {"file": "column.mp4"}],
                    ["LoadVideo", 10, 300, {"file": "row.mp4"}],
                    ["FourRealGridFromVideos", 300, 60, {}],
                    ["FourRealLoadScene", 300, 400, {"file": scene_file}],
                    ["FourRealPreviewScene", 560, 60, {}],
                ],
                [[3, 4]],
            ],
        )
        page.evaluate(
            """() => {
              const [column, row, grid, , preview] = window.app.graph._nodes;
              const link = (from, to, word) => from.connect(0, to, to.inputs.findIndex((i) => i.name.includes(word)));
              link(column, grid, "freeze");
              link(row, grid, "fixed");
              link(grid, preview, "grid");
              window.app.queuePrompt(0, 1);
            }"""
        )
        page.wait_for_function(SHOWN)
        page.locator(".fourreal-preview canvas").first.focus()
        page.keyboard.press("1")
        page.keyboard.press("c")
        page.get_by_alt_text("Given frame of view 0 at time 0").wait_for()


def test_a_workflow_saved_before_the_node_took_a_grid_opens_as_it_was(chromium: Any, host: Any) -> None:
    keyframes = json.dumps({"count": 9, "frames": [{"view": 0, "time": 0}, {"view": 2, "time": 3}]})
    with front_end(chromium, host, False) as page:
        kinds = [["FourRealLoadScene", 10, 60, {}], ["FourRealPreviewScene", 360, 60, {"keyframes": keyframes}]]
        page.evaluate(ADD, [kinds, [[0, 1]]])
        opened = page.evaluate(
            """async () => {
              const saved = window.app.graph.serialize();
              const node = saved.nodes.find((n) => n.type === "FourRealPreviewScene");
              node.inputs = node.inputs.filter((input) => input.name !== "grid");
              await window.app.loadGraphData(JSON.parse(JSON.stringify(saved)));
              const { output } = await window.app.graphToPrompt();
              return Object.values(output).find((n) => n.class_type === "FourRealPreviewScene").inputs;
            }"""
        )
        assert opened.pop("scene")[1] == 0 and opened == {"keyframes": keyframes}
        assert "grid" in page.evaluate(f"{PREVIEW}.inputs.map((input) => input.name)")


def test_it_plays_inside_a_subgraph(chromium: Any, host: Any, scene_file: str) -> None:
    with front_end(chromium, host, False) as page:
        kinds = [["FourRealLoadScene", 10, 60, {"file": scene_file}], ["FourRealPreviewScene", 360, 60, {}]]
        page.evaluate(ADD, [kinds, [[0, 1]]])
        page.evaluate(
            f"""() => {{
              const {{ app }} = window;
              const {{ subgraph, node }} = app.graph.convertToSubgraph(new Set([{PREVIEW}]));
              app.canvas.openSubgraph(subgraph, node);
              app.canvas.ds.offset = [200, 100];
              app.queuePrompt(0, 1);
            }}"""
        )
        page.wait_for_function(SHOWN)


def test_a_grid_is_looked_through(chromium: Any, host: Any) -> None:
    with front_end(chromium, host, False) as page:
        page.evaluate(
            ADD,
            [
                [
                    ["LoadVideo", 10, 60, {"file": "freeze_time.mp4"}],
                    ["LoadVideo", 10, 300, {"file": "fixed_view.mp4"}],
                    ["FourRealGridFromVideos", 300, 60, {}],
                    ["FourRealPreviewGrid", 640, 60, {}],
                ],
                [[2, 3]],
            ],
        )
        page.evaluate(
            """() => {
              const [a, b, grid] = window.app.graph._nodes;
              grid.inputs.forEach((input, k) => {
                if (/freeze/.test(input.name)) a.connect(0, grid, k);
                if (/fixed/.test(input.name)) b.connect(0, grid, k);
              });
              window.app.queuePrompt(0, 1);
            }"""
        )
        stage = page.locator(".fourreal-preview .stage")
        page.get_by_alt_text("View 0, time 0, given").wait_for()
        stage.focus()
        page.keyboard.press("ArrowRight")
        page.get_by_alt_text("View 0, time 1, given").wait_for()
        page.keyboard.press("ArrowDown")
        page.get_by_text("view 1 · time 1 · not filled").wait_for()
