"""What a person does: scrub, play, orbit, go to views, compare, draw a path and take it to the core."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fourreal_core.cameras import Cameras
from fourreal_core.cli import main
from fourreal_core.media import read_image
from fourreal_core.scene.camera_paths import path_from_json
from fourreal_core.scene.formats.scene_file import save_scene
from fourreal_core.scene.scene4d import Scene4D

from .pages import open_viewer, psnr, shown, still

pytestmark = pytest.mark.browser


def value(page: Any, expression: str) -> Any:
    return page.evaluate(f"fourrealViewer.{expression}")


def pose(page: Any) -> np.ndarray:
    camera = value(page, "camera")
    return np.concatenate([np.array(camera["rotation"]).reshape(3, 3), np.array(camera["translation"])[:, None]], 1)


def test_it_opens_at_the_central_view_and_says_what_it_shows(page: Any, scene: Scene4D) -> None:
    assert page.title() == "A lively <scene>"
    assert page.get_by_role("heading", name="A lively <scene>").is_visible()
    faint = int((scene.splats.opacities < 1 / 255).sum())
    assert f"{len(scene.splats) - faint:,} splats" in page.locator(".info").inner_text()
    assert page.locator(".info").inner_text().endswith(f"{-(-value(page, 'scene.bytes') // 1000)} kB")
    assert value(page, "atView") == scene.views // 2
    assert shown(page).std() > 20


def test_scrubbing_takes_fractions(page: Any) -> None:
    before = shown(page)
    slider = page.get_by_role("slider", name="Time")
    box = slider.bounding_box()
    page.mouse.click(box["x"] + 0.63 * box["width"], box["y"] + box["height"] / 2)
    time = value(page, "clock.time")
    assert 2 < time < 3 and time % 1 != 0
    page.locator(".transport .readout", has_text=f"{time:.2f} / 4").wait_for()
    assert np.abs(shown(page).astype(float) - before).mean() > 1
    slider.focus()
    page.keyboard.press("End")
    assert value(page, "clock.time") == 4


def test_time_runs_there_and_back_and_stops(page: Any) -> None:
    page.get_by_role("button", name="Play (space)").click()
    page.wait_for_function("fourrealViewer.clock.time > 0.5")
    page.wait_for_function("fourrealViewer.clock.direction < 0")
    page.keyboard.press("Space")
    stopped = value(page, "clock.time")
    page.wait_for_timeout(300)
    assert value(page, "clock.time") == stopped and not value(page, "running")


@pytest.mark.parametrize(("there_and_back", "times"), [(True, [3.0, 3.0, 1.0]), (False, [3.0, 0.0, 2.0])])
def test_the_clock_by_hand(page: Any, there_and_back: bool, times: list[float]) -> None:
    """Steps of 3, 2 and 2 over times 0 to 4; from the start again, the last one is held as long as any other."""
    found = page.evaluate(
        """(back) => {
          const { clock } = fourrealViewer;
          Object.assign(clock, { thereAndBack: back, phase: 0, direction: 1, speed: 1 });
          return [3, 2, 2].map((steps) => { clock.advance(steps / clock.stepsPerSecond); return clock.time; });
        }""",
        there_and_back,
    )
    assert found == pytest.approx(times)


def test_fewer_pixels_are_drawn_where_pictures_take_long(page: Any) -> None:
    """However long: also where not even two come in a second."""
    page.evaluate(
        """() => {
          const { renderer } = fourrealViewer.stage, draw = renderer.draw.bind(renderer);
          renderer.draw = (shot) => {
            for (const end = performance.now() + 700; performance.now() < end;);
            draw(shot);
          };
          fourrealViewer.togglePlaying();
        }"""
    )
    page.wait_for_function("fourrealViewer.stage.detail < 0.9 && fourrealViewer.clock.time > 0")


def test_dragging_turns_about_the_target_and_keeps_upright(page: Any) -> None:
    before, target = pose(page), np.array(value(page, "rig.target"))
    box = page.locator("canvas").first.bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 360, box["y"] + 230, steps=4)
    page.mouse.up()
    after = pose(page)
    assert np.abs(after - before).max() > 0.05
    assert after[:, :3] @ target + after[:, 3] == pytest.approx(before[:, :3] @ target + before[:, 3], abs=1e-6)
    assert after[0, 1] == pytest.approx(0, abs=1e-6)  # the picture's x axis stays level
    assert value(page, "atView") == -1
    page.wait_for_function("fourrealViewer.rig.viewWeight === 0")  # what the view differed by has faded


def test_wheel_shift_and_flight_move_as_they_say(page: Any) -> None:
    start = pose(page)
    target = np.array(value(page, "rig.target"))
    distance = np.linalg.norm(start[:, :3] @ target + start[:, 3])
    box = page.locator("canvas").first.bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.wheel(0, -200)
    page.wait_for_function("fourrealViewer.atView === -1")
    near = pose(page)
    assert np.linalg.norm(near[:, :3] @ target + near[:, 3]) < 0.9 * distance
    page.keyboard.down("Shift")
    page.mouse.down()
    page.mouse.move(box["x"] + 140, box["y"] + 100, steps=2)
    page.mouse.up()
    page.keyboard.up("Shift")
    moved = pose(page)
    assert moved[:, :3] == pytest.approx(near[:, :3]) and moved[0, 3] > near[0, 3]
    page.locator("canvas").first.focus()
    page.keyboard.down("w")
    page.wait_for_timeout(400)
    page.keyboard.up("w")
    assert pose(page)[2, 3] < moved[2, 3]


def test_two_fingers_shift_and_pinch(chromium: Any, scene_html: Path) -> None:
    with open_viewer(chromium, scene_html.as_uri(), 390, 700, has_touch=True, is_mobile=True) as page:
        before = pose(page)
        client = page.context.new_cdp_session(page)
        points = lambda gap: [{"x": 195 - gap, "y": 250, "id": 0}, {"x": 195 + gap, "y": 250, "id": 1}]  # noqa: E731
        client.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": points(40)})
        for gap in (60, 90):
            client.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": points(gap)})
        client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        assert pose(page)[2, 3] < before[2, 3] - 0.3
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_views_have_buttons_and_keys(page: Any, scene: Scene4D) -> None:
    page.get_by_role("button", name="Go to view 1 of the clip").click()
    assert pose(page) == pytest.approx(scene.cameras.world_to_cam[1, :3].numpy(), abs=1e-6)
    page.keyboard.press("4")
    assert value(page, "atView") == 3
    page.get_by_role("button", name="Go to view 3 of the clip", pressed=True).wait_for()


def test_bullet_time_is_that_of_the_core(page: Any, scene: Scene4D) -> None:
    from fourreal_core.scene.camera_paths import bullet_time_path

    page.get_by_role("button", name="Bullet time").click()
    assert value(page, "tour.name") == "bullet"
    path = bullet_time_path(scene, 9)
    for k in range(8):
        frame = page.evaluate("(phase) => fourrealViewer.tour.at(phase)", k / 8)
        assert frame["time"] == pytest.approx(float(path.times[k]), abs=1e-4)
        rotation = path.cameras.world_to_cam[k, :3, :3].flatten().tolist()
        assert frame["camera"]["rotation"] == pytest.approx(rotation, abs=1e-4)
    page.keyboard.press("Space")
    assert not value(page, "running")


def test_the_nearest_given_frame_is_beside_the_scene(page: Any) -> None:
    page.get_by_role("button", name="Go to view 2 of the clip").click()
    page.keyboard.press("c")
    page.wait_for_function("fourrealViewer.compare.shown?.view === 2")
    page.get_by_role("img", name="Given frame of view 2 at time 0").wait_for()
    value(page, "compare.wipe.value = 100, fourrealViewer.refresh()")
    over = shown(page)
    page.keyboard.press("c")
    page.keyboard.press("c")
    page.locator(".compare").wait_for(state="hidden")
    assert np.abs(over.astype(float) - shown(page)).mean() < 12  # the given frame lies exactly over the scene
    page.get_by_role("button", name="Go to view 0 of the clip").click()
    value(page, "setTime(3.2)")
    page.keyboard.press("c")
    page.wait_for_function("fourrealViewer.compare.shown?.view === 0 && fourrealViewer.compare.shown.time === 3")
    page.get_by_role("button", name="Go to this cell").click()
    assert value(page, "clock.time") == 3 and value(page, "atView") == 0


def record_path(page: Any) -> None:
    """Three keyframes: a view, a turned camera at another time, a nearer one."""
    page.keyboard.press("1")
    page.keyboard.press("k")
    value(page, "turn(0.35, 0.12)")
    value(page, "setTime(1.7)")
    page.get_by_role("button", name="Add this camera and time as a keyframe (K)").click()
    value(page, "approach(0.7)")
    value(page, "setTime(4)")
    page.get_by_role("button", name="Add this camera and time as a keyframe (K)").click()


@pytest.mark.parametrize("smooth", [True, False])
def test_a_path_means_the_same_to_the_core(page: Any, scene: Scene4D, smooth: bool) -> None:
    record_path(page)
    box = page.get_by_label("Smooth")
    box.set_checked(smooth)
    page.get_by_label("Frames of the video").fill("17")
    page.keyboard.press("Tab")
    path = path_from_json(value(page, "editor.text()"), scene)
    frames = value(page, "editor.path.frames()")
    assert len(frames) == len(path.cameras) == 17
    for k, frame in enumerate(frames):
        camera = frame["camera"]
        pose = path.cameras.world_to_cam[k]
        assert camera["rotation"] == pytest.approx(pose[:3, :3].flatten().tolist(), abs=1e-4)
        assert camera["translation"] == pytest.approx(pose[:3, 3].tolist(), abs=1e-4)
        assert frame["time"] == pytest.approx(float(path.times[k]), abs=1e-4)
        intrinsics = path.cameras.intrinsics[k]
        lens = [float(intrinsics[0, 0]), float(intrinsics[0, 2]), float(intrinsics[1, 2])]
        assert [camera["fx"], camera["cx"], camera["cy"]] == pytest.approx(lens, abs=1e-3)


def test_a_drawn_path_is_rendered_by_the_core(page: Any, scene: Scene4D, tmp_path: Path) -> None:
    record_path(page)
    page.get_by_label("Frames of the video").fill("5")
    page.keyboard.press("Tab")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the path as JSON").click()
    saved = tmp_path / "camera_path.json"
    download.value.save_as(saved)
    save_scene(scene, tmp_path / "scene.safetensors")
    out = tmp_path / "frames"
    command = ["render", str(tmp_path / "scene.safetensors"), "-o", str(out), "--mode", "path", "--path", str(saved)]
    assert main([*command, "--quiet", "--device", "cpu"]) == 0
    path = path_from_json(saved.read_text(), scene)
    for k in range(5):
        seen = still(page, path.cameras[k], float(path.times[k]))
        assert psnr(seen, read_image(out / f"frame_{k:04}.png")) > 38


def test_keyframes_are_chosen_moved_replaced_and_deleted(page: Any) -> None:
    record_path(page)
    keys = page.locator(".key")
    page.get_by_role("option", name="Keyframe 3", selected=True).wait_for()
    assert keys.count() == 3 and keys.nth(2).get_attribute("aria-selected") == "true"
    assert all(
        source.startswith("data:image/jpeg") for source in keys.locator("img").evaluate_all("a => a.map(i => i.src)")
    )
    page.get_by_role("button", name="Move the chosen keyframe to the left").click()
    assert [round(t, 1) for t in value(page, "editor.path.keyframes.map((key) => key.time)")] == [0, 4, 1.7]
    keys.nth(0).click()
    assert value(page, "clock.time") == 0
    value(page, "setTime(2)")
    page.get_by_role("button", name="Replace the chosen keyframe by this camera and time").click()
    assert value(page, "editor.path.keyframes[0].time") == 2
    page.get_by_role("listbox").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Delete")
    assert [round(t, 1) for t in value(page, "editor.path.keyframes.map((key) => key.time)")] == [2, 1.7]
    page.get_by_role("button", name="Preview the camera path").click()
    page.wait_for_function("fourrealViewer.rig.phase > 0.1")


def test_paths_are_loaded_and_wrong_ones_get_a_sentence(page: Any, scene: Scene4D, tmp_path: Path) -> None:
    page.keyboard.press("m")
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    frames = [{"view": 0.5}, {"position": [0.2, 0, -0.5], "target": [0, 0, 2], "focal_px": 80}]
    good.write_text(json.dumps({"frames": frames, "count": 7}))
    bad.write_text(json.dumps({"frames": [{"view": 0, "position": [0, 0, 0]}]}))
    page.get_by_label("Camera path file").set_input_files(good)
    page.wait_for_function("fourrealViewer.editor.path.keyframes.length === 2")
    path = path_from_json(good.read_text(), scene)
    for k, frame in enumerate(value(page, "editor.path.frames()")):
        assert frame["camera"]["rotation"] == pytest.approx(
            path.cameras.world_to_cam[k, :3, :3].flatten().tolist(), abs=1e-4
        )
        assert frame["time"] == pytest.approx(float(path.times[k]), abs=1e-4)
    page.get_by_label("Camera path file").set_input_files(bad)
    page.get_by_text("Frame 0 of the camera path must have one of view, world_to_camera or position.").wait_for()
    assert value(page, "editor.path.keyframes.length") == 2


def test_a_still_is_saved_as_png(page: Any, tmp_path: Path, scene: Scene4D) -> None:
    with page.expect_download() as download:
        page.keyboard.press("i")
    download.value.save_as(tmp_path / "still.png")
    assert download.value.suggested_filename == "scene_t0.00.png"
    canvas = page.locator("canvas").first.bounding_box()
    assert tuple(read_image(tmp_path / "still.png").shape) == (round(canvas["height"]), round(canvas["width"]), 3)


def test_every_control_has_a_name_and_the_list_of_keys_opens(page: Any) -> None:
    page.keyboard.press("m")
    nameless = page.evaluate(
        """() => [...fourrealViewer.frame.root.querySelectorAll(
            "button, input, select, canvas, [role=group], [role=listbox]")].filter(
          (e) => !(e.getAttribute("aria-label") || e.textContent.trim() || e.labels?.length || e.alt !== undefined)
        ).map((e) => e.outerHTML.slice(0, 80))"""
    )
    assert nameless == []
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys and gestures").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")


def test_it_fits_320_pixels(chromium: Any, scene_html: Path) -> None:
    with open_viewer(chromium, scene_html.as_uri(), 320, 560) as page:
        page.keyboard.press("m")
        outside = page.evaluate(
            """() => [...fourrealViewer.frame.root.querySelectorAll(".bar button, .transport *, .path-editor button")]
              .filter((e) => !e.closest("[hidden]") && e.getBoundingClientRect().right > 320.5
                && !e.closest("svg, select")).map((e) => e.outerHTML.slice(0, 90))"""
        )
        assert outside == []
        assert page.locator("canvas").first.bounding_box()["height"] > 120


def test_two_cameras_are_kept_apart(page: Any, scene: Scene4D) -> None:
    """A still doesn't disturb what is shown."""
    before = shown(page)
    other = Cameras(torch.eye(4)[None], scene.cameras.intrinsics[:1], scene.cameras.size)
    still(page, other, 3.0)
    assert np.array_equal(before, shown(page))
