"""Cameras in other programs' files: every splat lands on the pixel where this project's own camera sees it."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fourreal_core.cameras import rotations_from_quats_wxyz
from fourreal_core.scene.formats.blender import script
from fourreal_core.scene.formats.colmap import colmap_texts
from fourreal_core.scene.formats.nerfstudio import transforms
from fourreal_core.scene.formats.ply import save_ply_sequence
from fourreal_core.scene.formats.registry import format_of
from fourreal_core.scene.scene4d import Scene4D

from .compass import FORWARD, HERE, RIGHT, SIZE, TIMES, UP, VIEWS, compass, seen_at

Z_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])


@pytest.fixture
def scene() -> Scene4D:
    return compass()


def rows(text: str) -> list[list[str]]:
    """Lines of a COLMAP text that are no remarks."""
    return [line.split() for line in text.splitlines() if not line.startswith("#")]


def through_opengl(pose: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points of a camera that looks down its -z with y up, brought to x right, y down, z forward."""
    return (points - pose[:3, 3]) @ pose[:3, :3] * [1, -1, -1]


def test_colmaps_cameras_see_what_ours_do(scene: Scene4D) -> None:
    texts = colmap_texts(scene)
    cameras = {row[0]: row[1:] for row in rows(texts["cameras.txt"])}
    images = rows(texts["images.txt"])
    assert [row for row in images[1::2]] == [[]] * VIEWS  # a line of points each, empty
    for view, row in enumerate(images[::2]):
        assert row[0] == str(view + 1) and row[9] == f"v{view}_t0.png"
        model, width, height, *numbers = cameras[row[8]]
        assert (model, int(width), int(height)) == ("PINHOLE", SIZE[1], SIZE[0])
        fx, fy, cx, cy = map(float, numbers)
        quat = torch.tensor([[float(x) for x in row[1:5]]], dtype=torch.float64)
        seen = scene.splats.means.double().numpy() @ rotations_from_quats_wxyz(quat)[0].numpy().T
        seen += [float(x) for x in row[5:8]]
        pixels = seen[:, :2] / seen[:, 2:] * [fx, fy] + [cx, cy]
        np.testing.assert_allclose(pixels, seen_at(scene, view), atol=1e-3)


def test_colmaps_points_are_the_splats(scene: Scene4D) -> None:
    points = rows(colmap_texts(scene)["points3D.txt"])
    assert [int(row[0]) for row in points] == list(range(1, len(scene.splats) + 1))
    places = np.array([[float(x) for x in row[1:4]] for row in points])
    colors = np.array([[int(x) for x in row[4:7]] for row in points])
    np.testing.assert_allclose(places, scene.splats.means.numpy(), rtol=1e-7)
    np.testing.assert_allclose(colors / 255, scene.splats.colors.numpy(), atol=0.51 / 255)
    assert {len(row) for row in points} == {8}  # an error, and no track


def test_nerfstudios_cameras_see_what_ours_do(scene: Scene4D) -> None:
    data = json.loads(json.dumps(transforms(scene)))
    applied = np.array(data["applied_transform"])
    points = scene.splats.means.double().numpy() @ applied[:, :3].T + applied[:, 3]
    directions = [points[k] - points[HERE] for k in (RIGHT, UP, FORWARD)]
    np.testing.assert_allclose(directions, [[1, 0, 0], [0, 0, 1], [0, 1, 0]], atol=1e-9)
    assert data["camera_model"] == "OPENCV" and len(data["frames"]) == VIEWS
    for view, frame in enumerate(data["frames"]):
        assert (frame["file_path"], frame["w"], frame["h"]) == (f"grid/v{view}_t0.png", SIZE[1], SIZE[0])
        seen = through_opengl(np.array(frame["transform_matrix"]), points)
        pixels = seen[:, :2] / seen[:, 2:] * [frame["fl_x"], frame["fl_y"]] + [frame["cx"], frame["cy"]]
        np.testing.assert_allclose(pixels, seen_at(scene, view), atol=1e-3)


def test_blenders_cameras_see_what_ours_do(scene: Scene4D) -> None:
    text = script(scene, fps=12)
    compile(text, "cameras.py", "exec")
    (literal,) = re.findall(r"json\.loads\('(.*)'\)", text)
    data = json.loads(literal)
    assert (data["size"], data["fps"], data["times"]) == ([SIZE[1], SIZE[0]], 12, TIMES)
    points = scene.splats.means.double().numpy() @ Z_UP.T
    across, down = data["pixel_aspect"]
    for view, given in enumerate(data["cameras"]):
        seen = through_opengl(np.array(given["pose"]), points)
        # Blender's film is as wide as its sensor; shifts are parts of that width, and pixels may be taller than wide
        film = seen[:, :2] / seen[:, 2:] * given["lens"] / given["sensor"] - np.array(given["shift"]) * [1, -1]
        pixels = film * SIZE[1] * [1, across / down] + [SIZE[1] / 2, SIZE[0] / 2]
        np.testing.assert_allclose(pixels, seen_at(scene, view), atol=1e-3)


def test_of_two_formats_that_fit_a_name_the_longer_ending_is_meant() -> None:
    assert format_of(Path("run/transforms.json")).name == "nerfstudio"
    assert format_of(Path("run/cameras.json")).name == "cameras" and format_of(Path("a.usda")).name == "usd"


IN_BLENDER = """
import json, runpy, sys
import bpy
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Vector
runpy.run_path(sys.argv[1], run_name="__main__")
scene, seen = bpy.context.scene, {}
scene.frame_set(1)
for view in range(3):
    camera = bpy.data.objects[f"view_{view:02}"]
    seen[view] = [list(world_to_camera_view(scene, camera, Vector(p))) for p in json.loads(sys.argv[2])]
    scene.frame_set(view + 1)
    shown = [o.name for o in bpy.data.objects if o.type == "MESH" and o.parent and not o.hide_render]
    along = bpy.data.objects["freeze_time"].matrix_world
    seen[f"along {view}"] = max(abs(a - b) for x, y in zip(along, camera.matrix_world) for a, b in zip(x, y))
    there = [bpy.data.objects[name] for name in shown]
    seen[f"shown {view}"] = [[list(o.matrix_world @ v.co) for v in o.data.vertices] for o in there]
print("FOUND" + json.dumps(seen))
"""


def test_blender_itself_agrees(tmp_path: Path, scene: Scene4D) -> None:
    if importlib.util.find_spec("bpy") is None:
        pytest.skip("bpy is not installed")
    (tmp_path / "cameras.py").write_text(script(scene))
    save_ply_sequence(scene, tmp_path / "splats")
    points = (scene.splats.means.double().numpy() @ Z_UP.T).tolist()
    command = [sys.executable, "-c", IN_BLENDER, str(tmp_path / "cameras.py"), json.dumps(points)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert "FOUND" in done.stdout, done.stderr
    found = json.loads(done.stdout.split("FOUND")[1].splitlines()[0])
    for view in range(VIEWS):
        place = np.array(found[str(view)])
        pixels = np.stack([place[:, 0] * SIZE[1], (1 - place[:, 1]) * SIZE[0]], 1)
        np.testing.assert_allclose(pixels, seen_at(scene, view), atol=0.01)
        assert found[f"along {view}"] < 1e-5
        (shown,) = found[f"shown {view}"]  # one time step at a time
        with torch.no_grad():
            np.testing.assert_allclose(shown, scene.deformed(view).double().numpy() @ Z_UP.T, atol=1e-5)
