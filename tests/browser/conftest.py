"""A real Chromium that draws on the processor; without one these tests skip."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fourreal_core.scene.scene4d import Scene4D
from fourreal_core.viewer import GivenFrame, PayloadOptions, viewer_payload
from fourreal_core.viewer.html import write_viewer

from ..viewer.scenes import lively_scene, mortal
from .pages import FLAGS, open_viewer


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The browser; while it is there its event loop runs, in which no later test could run one of its own."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    path = os.environ.get("CHROMIUM_PATH") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not path or not Path(path).exists():
        pytest.skip("needs Chromium: install it, or name it with CHROMIUM_PATH")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def scene() -> Scene4D:
    """Small, with everything a payload can hold."""
    return mortal(lively_scene(3000))


@pytest.fixture(scope="session")
def scene_html(scene: Scene4D, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scene's page on the disk."""
    from fourreal_core.media.images import to_uint8, webp_bytes
    from fourreal_core.scene.render import render_cell

    cells = [(0, 0), (0, 3), (2, 0)]
    frames = [GivenFrame(v, t, webp_bytes(to_uint8(render_cell(scene, v, t).image.detach()))) for v, t in cells]
    payload = viewer_payload(scene, frames, PayloadOptions(title="A lively <scene>"))
    return write_viewer(payload, "A lively <scene>", tmp_path_factory.mktemp("page") / "scene.html")


@pytest.fixture()
def page(chromium: Any, scene_html: Path) -> Iterator[Any]:
    """The viewer on its page, loaded; a test fails that leaves an error in the console."""
    with open_viewer(chromium, scene_html.as_uri()) as opened:
        yield opened
