"""Cameras that other programs wrote: each sees points where the file's own convention says."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fourreal_core.cameras import Cameras, project
from fourreal_core.errors import InputError
from fourreal_core.geometry.camera_files import cameras_of_views, read_camera_file, sized_cameras

POINTS = torch.tensor([[0.3, -0.2, 2.0], [-0.5, 0.4, 3.0], [0.0, 0.1, 5.0]])
QUAT = (math.cos(0.2), 0.0, math.sin(0.2), 0.0)  # a turn by 0.4 about the y axis


def colmap(folder: Path, model: str = "PINHOLE 640 480 500 510 320 236", names: tuple[str, ...] = ("a/1.png",)) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cameras.txt").write_text(f"# Camera list\n7 {model}\n")
    lines = ["# Image list with two lines of data per image:"]
    for k, name in enumerate(names):
        lines += [f"{k + 1} {' '.join(map(str, QUAT))} {0.1 * k} 0.2 0.3 7 {name}", "1 2 -1 3 4 17" if k else ""]
    (folder / "images.txt").write_text("\n".join(lines) + "\n")
    return folder


def seen(cameras: Cameras, view: int = 0) -> torch.Tensor:
    return project(cameras.to_camera(POINTS)[view], cameras.intrinsics[view])


def test_colmaps_model_is_taken_as_it_is(tmp_path: Path) -> None:
    found = read_camera_file(colmap(tmp_path / "sparse" / "0", names=("b.png", "a.png")).parents[1])
    assert [camera.name for camera in found] == ["a.png", "b.png"]
    got = seen(sized_cameras(found, (480, 640)), 1)
    # by hand: the turn takes (x, z) to (cos x + sin z, cos z - sin x)
    c, s = math.cos(0.4), math.sin(0.4)
    for (x, y, z), pixel in zip(POINTS.tolist(), got.tolist(), strict=True):
        cam = (c * x + s * z, y + 0.2, -s * x + c * z + 0.3)
        assert pixel == pytest.approx([500 * cam[0] / cam[2] + 320, 510 * cam[1] / cam[2] + 236], abs=1e-3)


def test_cameras_follow_the_size_of_the_frames(tmp_path: Path) -> None:
    found = read_camera_file(colmap(tmp_path))
    torch.testing.assert_close(seen(sized_cameras(found, (240, 320))) * 2, seen(sized_cameras(found, (480, 640))))
    with pytest.raises(InputError, match="times as wide as high in frames of 480 x 480"):
        sized_cameras(found, (480, 480))


@pytest.mark.parametrize("model", ["RADIAL 640 480 500 320 240 0.02 0", "OPENCV 640 480 500 500 320 240 0.1 0 0 0"])
def test_distortion_is_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture, model: str) -> None:
    with caplog.at_level(logging.WARNING, logger="fourreal_core"):
        found = read_camera_file(colmap(tmp_path, model))
    assert "which is left out here" in caplog.text
    assert found[0].lens == pytest.approx((500 / 640, 500 / 480, 0.5, 0.5))


def transforms(path: Path, frames: list[dict[str, Any]], **values: Any) -> Path:
    path.write_text(json.dumps({**values, "frames": frames}))
    return path


def looking_ahead(place: tuple[float, float, float], scale: float = 1.0) -> list[list[float]]:
    """A camera in its own axes (y up, looking down -z): the world that this project's camera sees turned over x."""
    pose = np.diag([scale, scale, scale, 1.0])
    pose[:3, 3] = place
    return pose.tolist()


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_transforms_look_down_their_own_axis(tmp_path: Path, scale: float) -> None:
    lens = {"fl_x": 500, "fl_y": 510, "cx": 320, "cy": 236, "w": 640, "h": 480}
    frame = {"file_path": "./images/r_0", "transform_matrix": looking_ahead((0.1, 0.2, 0.3), scale)}
    (camera,) = read_camera_file(transforms(tmp_path / "transforms.json", [frame], **lens))
    cameras = sized_cameras([camera], (480, 640))
    at = torch.tensor([[0.1 + 0.4, 0.2 + 0.3, 0.3 - 2.0]])  # to the right, above, and two units ahead
    pixel = project(cameras.to_camera(at)[0], cameras.intrinsics[0])[0].tolist()
    assert pixel == pytest.approx([320 + 500 * 0.2, 236 - 510 * 0.15], abs=1e-3)


def test_blenders_angle_needs_no_size(tmp_path: Path) -> None:
    frame = {"file_path": "a", "transform_matrix": looking_ahead((0, 0, 0))}
    (camera,) = read_camera_file(transforms(tmp_path / "t.json", [frame], camera_angle_x=math.pi / 2))
    k = sized_cameras([camera], (100, 300)).intrinsics[0]
    assert k.tolist() == [pytest.approx([150, 0, 150]), pytest.approx([0, 150, 50]), [0, 0, 1]]


def test_a_frames_own_lens_counts(tmp_path: Path) -> None:
    frames = [
        {"file_path": "a", "transform_matrix": looking_ahead((0, 0, 0))},
        {"file_path": "b", "transform_matrix": looking_ahead((0, 0, 0)), "fl_x": 800, "fl_y": 800},
    ]
    found = read_camera_file(transforms(tmp_path / "t.json", frames, fl_x=500, fl_y=500, w=640, h=480))
    assert [round(c.lens[0] * 640) for c in found] == [500, 800]


@pytest.mark.parametrize(
    "names",
    [
        ("images/left/000.png", "images/right/000.png"),
        ("left.png", "right.png"),
        ("left/5.png", "right/5.png", "right/6.png", "left/6.png", "elsewhere/6.png"),
    ],
)
def test_views_find_their_cameras_by_name(tmp_path: Path, names: tuple[str, ...]) -> None:
    found = read_camera_file(colmap(tmp_path, names=names))
    if len(names) > 2:  # many pictures of one place
        same = [(c, next(f for f in found if f.name.split("/")[0] == c.name.split("/")[0])) for c in found]
        found = [type(c)(c.name, first.world_to_cam, c.lens) for c, first in same]
    chosen = cameras_of_views(found, ("right", "left"))
    assert ["right" in c.name for c in chosen] == [True, False]


def test_views_named_by_number_find_their_cells(tmp_path: Path) -> None:
    found = read_camera_file(colmap(tmp_path, names=("v10_t0.png", "v2_t0.png")))
    assert [c.name for c in cameras_of_views(found, ("v2", "v10"))] == ["v2_t0.png", "v10_t0.png"]


def test_as_many_cameras_as_views_go_in_order(tmp_path: Path) -> None:
    found = read_camera_file(colmap(tmp_path, names=("10.png", "9.png")))
    assert [c.name for c in cameras_of_views(found, ("left", "right"))] == ["9.png", "10.png"]


def test_what_cannot_be_matched_is_said(tmp_path: Path) -> None:
    found = read_camera_file(colmap(tmp_path, names=("a.png", "b.png", "x.png")))
    with pytest.raises(InputError, match="no camera for the view 'c'"):
        cameras_of_views(found, ("a", "c"))
    with pytest.raises(InputError, match="no camera for the view 'p' and 1 more"):
        cameras_of_views(found, ("p", "q"))
    moving = read_camera_file(colmap(tmp_path, names=("a/1.png", "b/1.png", "a/2.png")))
    with pytest.raises(InputError, match="a camera of the view 'a' that moves"):
        cameras_of_views(moving, ("a", "b"))


def test_files_that_hold_no_cameras_are_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no cameras in"):
        read_camera_file(tmp_path)
    with pytest.raises(InputError, match="no file of cameras"):
        read_camera_file(transforms(tmp_path / "t.json", [{"file_path": "a", "transform_matrix": [[1]]}], w=4, h=4))
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(InputError, match="no file of cameras"):
        read_camera_file(tmp_path / "broken.json")
    (tmp_path / "images.bin").write_bytes(b"")
    with pytest.raises(InputError, match="model_converter"):
        read_camera_file(tmp_path)
    with pytest.raises(InputError, match="of the model FISHEYE"):
        read_camera_file(colmap(tmp_path / "f", "FISHEYE 640 480 500 320 240"))
    broken = colmap(tmp_path / "g")
    (broken / "images.txt").write_text("1 1 0 0 0 0 0 zero 7 a.png\n\n")
    with pytest.raises(InputError, match="'zero' in"):
        read_camera_file(broken)
