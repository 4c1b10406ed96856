"""The viewer's pictures against those of the core's own rasterizer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from fourreal_core.cameras import Cameras, interpolate, orbit
from fourreal_core.rasterizer import RasterOptions
from fourreal_core.scene.render import render_camera, render_cell
from fourreal_core.scene.scene4d import Scene4D

from .pages import open_viewer, psnr, still

pytestmark = pytest.mark.browser

LIKE_THE_RASTERIZER_DB = 38.0
TIMES = (0.0, 1.4, 3.75)


@pytest.fixture(scope="module")
def page(chromium: Any, scene_html: Path) -> Iterator[Any]:
    """One page for all pictures of this module: none of them depends on what was looked at before."""
    with open_viewer(chromium, scene_html.as_uri()) as opened:
        yield opened


def cameras_to_try(scene: Scene4D) -> dict[str, Cameras]:
    """Two on the clip's path, one nearer, one from the side, one in a larger picture."""
    nearer = scene.cameras.world_to_cam[scene.views // 2].clone()
    nearer[2, 3] -= 0.6
    middle = scene.cameras[scene.views // 2]
    side = orbit(middle, torch.tensor([0.0, 0.0, 2.0]), 8, 30.0)[2]
    return {
        "first view": scene.cameras[0],
        "between views": interpolate(scene.cameras, torch.tensor([1.3])),
        "nearer": Cameras(nearer[None], middle.intrinsics, middle.size),
        "from the side": side,
        "larger": middle.scaled((150, 200)),
    }


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("name", ["first view", "between views", "nearer", "from the side", "larger"])
def test_a_free_camera_sees_what_the_core_renders(page: Any, scene: Scene4D, name: str, time: float) -> None:
    camera = cameras_to_try(scene)[name]
    true = render_camera(scene, camera, time).image.detach().clamp(0, 1)
    assert float(true.std()) > 0.05  # there is something to see
    assert psnr(still(page, camera, time), true) > LIKE_THE_RASTERIZER_DB


@pytest.mark.parametrize("view", [0, 3])
def test_a_view_of_the_clip_shows_its_own_offsets_and_colours(page: Any, scene: Scene4D, view: int) -> None:
    true = render_cell(scene, view, 2.5).image.detach().clamp(0, 1)
    seen = still(page, scene.cameras[view], 2.5, view)
    assert psnr(seen, true) > LIKE_THE_RASTERIZER_DB
    assert psnr(still(page, scene.cameras[view], 2.5), true) < LIKE_THE_RASTERIZER_DB - 3  # and differs without them


def test_size_and_background_are_taken_along(page: Any, scene: Scene4D) -> None:
    camera = scene.cameras[1]
    full = still(page, camera, 0)
    page.evaluate("fourrealViewer.setSizeFactor(0.1); fourrealViewer.setBackground([1, 0, 1])")
    fine = still(page, camera, 0)
    page.evaluate("fourrealViewer.setSizeFactor(1); fourrealViewer.setBackground(null)")
    assert float(fine[..., 1].mean()) < 0.75 * float(full[..., 1].mean())  # magenta shows between the splats


def test_a_larger_picture_shows_no_gaps_between_splats(page: Any, scene: Scene4D) -> None:
    """What is added to every splat grows with the picture: exactly the rasterizer's with as much more of it."""
    page.evaluate("fourrealViewer.stage.settled()")
    seen = page.evaluate(
        """() => {
          const { shot } = fourrealViewer.stage;
          return [shot.enlarged, shot.camera.fx / fourrealViewer.camera.fx, fourrealViewer.frame.canvas.width];
        }"""
    )
    assert seen[0] == pytest.approx(seen[1]) and seen[0] > 5
    camera = scene.cameras[1].scaled((192, 256))  # four times as large, a side
    options = RasterOptions(low_pass=RasterOptions().low_pass * 16)
    true = render_camera(scene, camera, 1.4, options).image.detach().clamp(0, 1)
    assert psnr(still(page, camera, 1.4, enlarged=4), true) > LIKE_THE_RASTERIZER_DB
    assert psnr(still(page, camera, 1.4), true) < LIKE_THE_RASTERIZER_DB - 6  # and differs without it


def test_it_sorts_in_the_page_as_in_the_worker(page: Any) -> None:
    same = page.evaluate(
        """async () => {
          const { stage } = fourrealViewer;
          fourrealViewer.setTime(1.5);
          fourrealViewer.rig.viewWeight = 0;
          await stage.settled();
          const order = [...stage.renderer.kept.subarray(0, stage.renderer.drawn)];
          const depth = (n) => {
            const { rotation: r, translation: t } = stage.shot.camera;
            const s = fourrealViewer.scene, { key, next, part } = s.keysAround(1.5);
            const moved = (i) => s.positions[3 * n + i] + (n < s.moving ? s.units[n] * (
              (s.motion[key]?.[3 * n + i] ?? 0) * (1 - part) + (s.motion[next]?.[3 * n + i] ?? 0) * part) : 0);
            return r[6] * moved(0) + r[7] * moved(1) + r[8] * moved(2) + t[2];
          };
          const depths = order.map(depth);
          const falls = depths.filter((z, k) => k && z < depths[k - 1] - 1e-3 * z).length;
          return [order.length, new Set(order).size, falls];
        }"""
    )
    assert same[0] > 1000 and same[0] == same[1] and same[2] == 0


@pytest.mark.parametrize("degrees", [3.0, 60.0])
def test_after_a_jump_no_picture_is_drawn_in_the_order_of_before(page: Any, degrees: float) -> None:
    """Turned a little, the picture follows at once; after a jump it waits for the splats' new order."""
    apart = page.evaluate(
        """async (degrees) => {
          const { stage, rig, scene } = fourrealViewer, { renderer } = stage, ways = [];
          fourrealViewer.goTo(scene.cameras[0]);
          await stage.settled();
          const draw = renderer.draw.bind(renderer);
          renderer.draw = (shot) => { // how far the camera looks from where it looked when the splats were put in order
            const { rotation } = shot.camera;
            const cosine = [6, 7, 8].reduce((sum, k, i) => sum + rotation[k] * stage.orderedWay[i], 0);
            ways.push(Math.acos(Math.min(cosine, 1)) * 180 / Math.PI);
            draw(shot);
          };
          fourrealViewer.turn(degrees * Math.PI / 180, 0);
          const shot = { camera: rig.camera, time: 0, view: -1, viewWeight: 0, sizeFactor: 1, background: [0, 0, 0] };
          stage.draw(shot, false); // before any order can have come
          const atOnce = ways.length;
          await stage.settled();
          stage.draw(shot, false);
          renderer.draw = draw;
          return [atOnce, ways.length, Math.max(...ways)];
        }""",
        degrees,
    )
    at_once, drawn, widest = apart
    assert at_once == (1 if degrees < 8 else 0)
    assert drawn > at_once and widest < 8


def test_the_page_asks_for_nothing(chromium: Any, scene_html: Path) -> None:
    asked: list[str] = []
    with open_viewer(chromium, scene_html.as_uri(), on_request=lambda request: asked.append(request.url)):
        pass
    assert [url for url in asked if not url.startswith(("blob:", "data:"))] == [scene_html.as_uri()]
