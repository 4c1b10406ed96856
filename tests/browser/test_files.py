"""Files that are broken, empty or newer, and browsers that can't: a sentence, never a blank canvas."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fourreal_core.scene.scene4d import Scene4D
from fourreal_core.viewer import viewer_payload
from fourreal_core.viewer.html import write_viewer

from ..viewer.scenes import as_version_1, unpack
from .pages import open_viewer

pytestmark = pytest.mark.browser


def with_head(payload: bytes, **changes: object) -> bytes:
    size = struct.unpack("<I", payload[8:12])[0]
    head = json.dumps({**json.loads(payload[12 : 12 + size]), **changes}).encode()
    return payload[:8] + struct.pack("<I", len(head)) + head + payload[12 + size :]


def damaged(payload: bytes) -> bytes:
    at = 12 + struct.unpack("<I", payload[8:12])[0] + 200
    return payload[:at] + bytes(64) + payload[at + 64 :]


BROKEN = {
    "empty": (lambda p: b"", "The file is empty."),
    "another kind": (lambda p: b"<!doctype html> something else entirely", "not a 4D scene for the viewer"),
    "cut in the head": (lambda p: p[:300], "ends after 300 bytes"),
    "cut in the motion": (lambda p: p[: int(len(p) * 0.4)], "in the middle of the scene"),
    "damaged": (damaged, "damaged"),
    "newer": (lambda p: with_head(p, version=7), "version 7 of the format"),
    "other format": (lambda p: with_head(p, format="something"), "not a 4D scene for the viewer"),
    "senseless head": (lambda p: with_head(p, moving=10**9), "head of the file is damaged"),
    "no cameras": (lambda p: with_head(p, cameras=[]), "head of the file is damaged"),
    "no splats": (lambda p: with_head(p, splats=0, moving=0), "This scene has no splats."),
    "wrong length": (lambda p: with_head(p, splats=17, moving=3), "expected"),
}


@pytest.fixture(scope="module")
def payload(scene: Scene4D) -> bytes:
    return viewer_payload(scene)


@pytest.mark.parametrize("name", list(BROKEN))
def test_broken_files_get_a_sentence(chromium: Any, payload: bytes, tmp_path: Path, name: str) -> None:
    change, says = BROKEN[name]
    address = write_viewer(change(payload), "Broken", tmp_path / "broken.html").as_uri()
    with open_viewer(chromium, address, 500, 400) as page:
        message = page.get_by_role("alert")
        message.wait_for()
        assert says in message.inner_text()
        assert len(message.locator(".remedy").inner_text()) > 10


@pytest.mark.parametrize("version", [1, 3])
def test_the_page_reads_the_same_numbers(chromium: Any, payload: bytes, tmp_path: Path, version: int) -> None:
    """Those of a reader written apart from the viewer's, from this and from the format's first version."""
    written = as_version_1(payload) if version == 1 else payload
    address = write_viewer(written, "Numbers", tmp_path / "numbers.html").as_uri()
    with open_viewer(chromium, address, 500, 400) as page:
        read = page.evaluate(
            """() => {
              const { scene } = fourrealViewer;
              const { head, count, moving, positions, scales, rgba, units, motion, differences } = scene;
              const plain = (array, size) => [...array.subarray(0, size)];
              return {
                version: head.version, positions: [...positions], scales: [...scales], rgba: plain(rgba, 4 * count),
                lifetimes: plain(scene.lifetimes, 2 * count),
                units: [...units], motion: motion.slice(1).map((steps) => plain(steps, 3 * moving)),
                differences: differences.map((d) => [plain(d.offsets, 3 * count), plain(d.colors, 3 * count)]) };
            }"""
        )
    found = unpack(payload)
    assert read["version"] == version
    assert np.array_equal(np.array(read["positions"]).reshape(-1, 3), found.means)
    np.testing.assert_allclose(read["scales"], found.scales, rtol=1e-6)
    assert np.array_equal(np.array(read["rgba"]).reshape(-1, 4)[:, 3] / 255, found.opacities)
    dark, bright = found.head["color_range"]
    np.testing.assert_allclose(
        np.array(read["rgba"]).reshape(-1, 4)[:, :3] / 255 * (bright - dark) + dark, found.colors, atol=1e-12
    )
    assert found.lifetimes is not None
    np.testing.assert_allclose(np.array(read["lifetimes"]).reshape(-1, 2), found.lifetimes, rtol=1e-6)
    steps = np.array(read["motion"]).reshape(len(found.motion) - 1, -1, 3)
    assert np.array_equal(steps * np.array(read["units"])[:, None], found.motion[1:]) and np.abs(steps).max() > 20
    for view, (offsets, colors) in enumerate(read["differences"]):
        pose = np.array(found.head["cameras"][view]["world_to_camera"])
        depth = found.means @ pose[2, :3] + pose[2, 3]
        unit = found.head["view_step_px"] * depth / found.head["cameras"][view]["intrinsics"][0]
        np.testing.assert_allclose(np.reshape(offsets, (-1, 3)) * unit[:, None], found.offsets[view], atol=1e-12)
        assert np.array_equal(np.reshape(colors, (-1, 3)) / 255, found.view_colors[view])


def test_without_webgl2_it_says_so(chromium: Any, payload: bytes, tmp_path: Path) -> None:
    address = write_viewer(payload, "Page", tmp_path / "page.html").as_uri()
    page = chromium.new_page()
    page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    page.goto(address)
    page.get_by_role("alert").wait_for()
    assert "no WebGL2" in page.get_by_role("alert").inner_text()
    page.close()


def test_the_first_time_step_shows_before_the_rest_is_there(chromium: Any, payload: bytes, tmp_path: Path) -> None:
    """The page is given the head and the splats only, then the rest."""
    address = write_viewer(b"", "Slow", tmp_path / "slow.html").as_uri()
    with open_viewer(chromium, address, 500, 400) as page:
        size = struct.unpack("<I", payload[8:12])[0]
        sections = json.loads(payload[12 : 12 + size])["sections"]
        shown = [section["kind"] for section in sections].index("splats")
        first = 12 + size + sum(section["bytes"] for section in sections[: shown + 1])
        page.evaluate(
            """(pieces) => {
              let more;
              window.giveMore = () => more();
              async function* slow() {
                yield new Uint8Array(pieces[0]);
                await new Promise((done) => (more = done));
                yield new Uint8Array(pieces[1]);
              }
              void fourrealViewer.load(slow());
            }""",
            [list(payload[:first]), list(payload[first:])],
        )
        page.wait_for_function("fourrealViewer.stage.ordered && fourrealViewer.stage.renderer.drawn > 1000")
        assert page.evaluate("fourrealViewer.scene.loadedTime") == 0
        assert page.get_by_role("progressbar").is_visible()
        page.evaluate("giveMore()")
        page.wait_for_function("fourrealViewer.scene.loadedTime === 4")
        page.wait_for_function("fourrealViewer.frame.root.getAttribute('aria-busy') === 'false'")


def test_a_scene_of_one_moment_has_no_time_to_run(chromium: Any, scene: Scene4D, tmp_path: Path) -> None:
    still = replace(scene, times=1, deformation=None, motion_residual=None)
    address = write_viewer(viewer_payload(still), "Still", tmp_path / "still.html").as_uri()
    with open_viewer(chromium, address, 500, 400) as page:
        assert page.get_by_role("slider", name="Time").is_hidden()
        assert page.get_by_role("button", name="Bullet time").is_hidden()
        page.keyboard.press("Space")
        assert not page.evaluate("fourrealViewer.running")


def test_the_context_comes_back_after_it_was_lost(page: Any) -> None:
    page.evaluate(
        """async () => {
          const { gl } = fourrealViewer.stage.renderer;
          const lose = gl.getExtension("WEBGL_lose_context");
          lose.loseContext();
          await new Promise((done) => setTimeout(done, 100));
          lose.restoreContext();
          await new Promise((done) => setTimeout(done, 300));
        }"""
    )
    page.wait_for_function("fourrealViewer.stage.renderer.drawn > 1000 && !fourrealViewer.stage.renderer.lost")
    colors = page.evaluate("[...fourrealViewer.still(fourrealViewer.camera, 0).data].filter((x, k) => k % 4 === 0)")
    assert max(colors) - min(colors) > 100
