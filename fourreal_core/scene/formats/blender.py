"""A Python script that sets the clip's cameras up in Blender, and a folder of ``.ply`` files as a moving point cloud.

Blender's world is x right, y away, z up; its cameras look down their -z with y up.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...media.files import write_bytes
from ...progress import OnStep
from ..scene4d import Scene4D
from .axes import Z_UP, opengl_poses
from .scene_format import ExportOptions

_SENSOR = 36.0  # mm, Blender's own default
_SCRIPT = '''"""Cameras of a 4D scene. Run this in Blender's Text Editor, or by `blender --python THIS_FILE`.

With a folder of .ply files (`fourreal export RUN -o splats`) the points are read too, one object a time step, each
shown at its own frame. Point clouds of splats show as points; add-ons for Gaussian splats render them.
"""

import json
import math
import os

import bpy
from mathutils import Matrix

PLY_FOLDER = %(ply)s  # beside this file; change it to read the points of another folder, "" for none
SCENE = json.loads(%(data)s)


def add_camera(collection, name, given):
    camera = bpy.data.cameras.new(name)
    camera.sensor_fit, camera.sensor_width, camera.lens = "HORIZONTAL", given["sensor"], given["lens"]
    camera.shift_x, camera.shift_y = given["shift"]
    camera.clip_start, camera.clip_end = 0.001, 10000.0
    added = bpy.data.objects.new(name, camera)
    added.matrix_world = Matrix(given["pose"])
    collection.objects.link(added)
    return added


def add_cameras(scene):
    """The cameras of the views, and one that goes along them, a frame a view."""
    collection = bpy.data.collections.new("4D cameras")
    scene.collection.children.link(collection)
    for view, given in enumerate(SCENE["cameras"]):
        add_camera(collection, f"view_{view:02}", given)
    along = add_camera(collection, "freeze_time", SCENE["cameras"][0])
    along.rotation_mode = "QUATERNION"
    for view, given in enumerate(SCENE["cameras"]):
        place, turn, _ = Matrix(given["pose"]).decompose()
        along.location, along.rotation_quaternion = place, turn
        along.keyframe_insert("location", frame=view + 1)
        along.keyframe_insert("rotation_quaternion", frame=view + 1)
    scene.camera = collection.objects["view_%%02d" %% (len(SCENE["cameras"]) // 2)]
    render = scene.render
    render.resolution_x, render.resolution_y = SCENE["size"]
    render.resolution_percentage = 100
    render.pixel_aspect_x, render.pixel_aspect_y = SCENE["pixel_aspect"]
    render.fps, render.fps_base = round(SCENE["fps"] * 1000), 1000.0
    scene.frame_start, scene.frame_end = 1, max(SCENE["times"], len(SCENE["cameras"]))


def add_points(scene, folder):
    """One object a file; an empty turns their axes (y down, z forward) to Blender's."""
    names = sorted(name for name in os.listdir(folder) if name.endswith(".ply"))
    turn = bpy.data.objects.new("4D points", None)
    turn.rotation_euler = (-math.pi / 2, 0.0, 0.0)
    scene.collection.objects.link(turn)
    for step, name in enumerate(names):
        bpy.ops.wm.ply_import(filepath=os.path.join(folder, name), forward_axis="Y", up_axis="Z")
        points = bpy.context.view_layer.objects.active
        points.parent = turn
        for frame, hidden in ((0, True), (step + 1, False), (step + 2, True)):
            points.hide_viewport = points.hide_render = hidden
            points.keyframe_insert("hide_viewport", frame=frame)
            points.keyframe_insert("hide_render", frame=frame)


def folder_of_script():
    """Where this file is, also when it was opened in the Text Editor."""
    text = getattr(getattr(bpy.context, "space_data", None), "text", None)
    path = text.filepath if text is not None and text.filepath else __file__
    return os.path.dirname(os.path.abspath(bpy.path.abspath(path)))


add_cameras(bpy.context.scene)
ply_folder = os.path.join(folder_of_script(), PLY_FOLDER)
if PLY_FOLDER and os.path.isdir(ply_folder):
    add_points(bpy.context.scene, ply_folder)
'''


def script(scene: Scene4D, fps: float = 8.0, ply_folder: str = "splats") -> str:
    """The script's text.

    Args:
        scene: Whose cameras.
        fps: Time steps a second, a frame each in Blender; frame 1 is time step 0.
        ply_folder: Of the ``.ply`` files, relative to the script.
    """
    poses = opengl_poses(scene.cameras, Z_UP).tolist()
    intrinsics = scene.cameras.intrinsics.detach().cpu().double().tolist()
    height, width = scene.cameras.size
    squash = intrinsics[0][0][0] / intrinsics[0][1][1]
    data: dict[str, Any] = {
        "size": [width, height],
        "pixel_aspect": [max(1.0, 1 / squash), max(1.0, squash)],
        "fps": fps,
        "times": scene.times,
        "cameras": [
            {
                "pose": pose,
                "sensor": _SENSOR,
                "lens": _SENSOR * k[0][0] / width,
                "shift": [(width / 2 - k[0][2]) / width, (k[1][2] - height / 2) / width * squash],
            }
            for k, pose in zip(intrinsics, poses, strict=True)
        ],
    }
    return _SCRIPT % {"ply": json.dumps(ply_folder), "data": repr(json.dumps(data))}


def write(scene: Scene4D, path: Path, options: ExportOptions, on_step: OnStep) -> list[Path]:
    """See SceneFormat."""
    written = write_bytes(path, script(scene, options.steps_per_second).encode())
    on_step(1, 1)
    return [written]
