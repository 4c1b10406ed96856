"""Camera paths: the usual ones start, turn and end where they should; written ones say the same twice."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch

from fourreal_core.cameras import Cameras, interpolate_smoothly, project
from fourreal_core.errors import InputError
from fourreal_core.scene import camera_paths
from fourreal_core.scene.camera_paths import CameraPath, path_from_json, path_to_json
from fourreal_core.scene.scene4d import Scene4D

from .scenes import PIXEL, SIZE, wall_scene


@pytest.fixture(scope="module")
def scene() -> Scene4D:
    return wall_scene(5, 4)


def centres(path: CameraPath) -> torch.Tensor:
    rot, trans = path.cameras.world_to_cam[:, :3, :3], path.cameras.world_to_cam[:, :3, 3:]
    return -(rot.transpose(1, 2) @ trans)[..., 0]


def read(frames: list[dict], scene: Scene4D, **more: object) -> CameraPath:
    return path_from_json(json.dumps({"frames": frames} | more), scene)


def test_bullet_time_goes_there_and_back_while_the_clip_plays(scene: Scene4D) -> None:
    path = camera_paths.bullet_time_path(scene, 9)
    # a camera a pixel apart, five of them: from -2 pixels to 2 and back
    expected = (torch.tensor([0, 1, 2, 3, 4, 3, 2, 1, 0]) - 2) * PIXEL
    torch.testing.assert_close(centres(path)[:, 0], expected, rtol=0, atol=1e-6)  # float32
    torch.testing.assert_close(path.times, torch.linspace(0, 3, 9))


def test_the_others_stand_in_one_of_the_two(scene: Scene4D) -> None:
    frozen, fixed = camera_paths.freeze_time_path(scene, 1.5, 3), camera_paths.fixed_view_path(scene, 0.5, 3)
    assert frozen.times.tolist() == [1.5, 1.5, 1.5] and fixed.times.tolist() == [0, 1.5, 3]
    torch.testing.assert_close(centres(frozen)[:, 0], torch.tensor([-2.0, 0, 2]) * PIXEL, rtol=0, atol=1e-6)
    torch.testing.assert_close(centres(fixed)[:, 0], torch.full((3,), -1.5 * PIXEL), rtol=0, atol=1e-6)


def test_an_orbit_keeps_the_middle_in_the_middle(scene: Scene4D) -> None:
    moved = Cameras(scene.cameras.world_to_cam.clone(), scene.cameras.intrinsics, SIZE)
    moved.world_to_cam[:, 2, 3] += 0.5  # the central camera is not the world
    path = camera_paths.orbit_path(replace(scene, cameras=moved), 2.0, 7, 15.0)
    wall = torch.tensor([[0.0, 0.0, 2.0]])
    at = project(path.cameras.to_camera(wall), path.cameras.intrinsics[:, None])[:, 0]
    # the wall's point straight ahead is what the camera turns about; float32 in pixels
    torch.testing.assert_close(at, torch.tensor([[SIZE[1] / 2, SIZE[0] / 2]]).expand(7, 2), rtol=0, atol=1e-3)
    assert float((centres(path) - centres(path)[0]).norm(dim=-1).max()) > 0.3  # 2.5 units away, up to 15 degrees


def test_one_camera_may_stand_while_time_runs(scene: Scene4D) -> None:
    path = camera_paths.passing_path(scene, scene.cameras[3], 4)
    assert torch.equal(path.cameras.world_to_cam, scene.cameras.world_to_cam[[3] * 4])
    assert path.times.tolist() == [0, 1, 2, 3]


def test_cameras_are_passed_evenly_while_time_runs(scene: Scene4D) -> None:
    path = camera_paths.passing_path(scene, scene.cameras[torch.tensor([0, 2])], 3)
    assert torch.allclose(centres(path)[[0, 2]], centres(camera_paths.freeze_time_path(scene, 0, 5))[[0, 2]], atol=1e-6)
    assert torch.allclose(centres(path)[1], centres(path)[[0, 2]].mean(0), atol=1e-6)
    assert path.times.tolist() == [0, 1.5, 3]


def test_a_smooth_path_passes_its_keyframes_without_corners(scene: Scene4D) -> None:
    places = [0.0, 1.5, 0.5, 3.0]
    keys = [{"view": view, "time": 0} for view in places]
    smooth = centres(read(keys, scene, count=301, interpolation="smooth"))
    straight = centres(read(keys, scene, count=301))
    assert torch.allclose(smooth[::100], straight[::100], atol=1e-5)  # both pass the keyframes
    assert torch.allclose(read(keys, scene, count=301, interpolation="linear").times, torch.zeros(301))
    bends = [(path[2:] - 2 * path[1:-1] + path[:-2]).norm(dim=1).max() for path in (smooth, straight)]
    assert float(bends[0]) < 0.1 * float(bends[1])


def test_a_smooth_path_between_two_is_straight_and_one_stands(scene: Scene4D) -> None:
    keys = [{"view": 0, "time": 0}, {"view": 1, "time": 1}]
    both = [read(keys, scene, count=5, interpolation=name) for name in ("smooth", "linear")]
    assert torch.allclose(centres(both[0]), centres(both[1]), atol=1e-6)
    one = read(keys[:1], scene, count=3, interpolation="smooth")
    assert torch.allclose(one.cameras.world_to_cam, scene.cameras.world_to_cam[[0] * 3], atol=1e-6)


def test_a_smooth_turn_takes_the_shorter_way() -> None:
    """Quaternions of one rotation have two signs; three turns beyond a half-turn cross from one to the other."""
    turns = torch.tensor([2.6, 3.0, 3.4, 3.8])
    poses = torch.eye(4).repeat(4, 1, 1)
    poses[:, 0, 0] = poses[:, 2, 2] = turns.cos()
    poses[:, 0, 2], poses[:, 2, 0] = turns.sin(), -turns.sin()
    cameras = Cameras(poses, torch.eye(3).repeat(4, 1, 1), (8, 8))
    found = interpolate_smoothly(cameras, torch.tensor([0.5, 1.5, 2.5])).world_to_cam
    angles = torch.atan2(found[:, 0, 2], found[:, 0, 0]) % (2 * math.pi)
    assert angles.tolist() == pytest.approx([2.8, 3.2, 3.6], abs=2e-3)


def test_a_path_comes_back_from_json(scene: Scene4D) -> None:
    path = camera_paths.bullet_time_path(scene, 5)
    back = path_from_json(path_to_json(path), scene)
    torch.testing.assert_close(back.cameras.world_to_cam, path.cameras.world_to_cam, rtol=0, atol=1e-6)
    torch.testing.assert_close(back.cameras.intrinsics, path.cameras.intrinsics, rtol=0, atol=1e-3)
    torch.testing.assert_close(back.times, path.times, rtol=0, atol=1e-6)


def test_places_can_be_said_in_three_ways(scene: Scene4D) -> None:
    path = read(
        [
            {"view": 3.5},
            {"world_to_camera": scene.cameras.world_to_cam[1].tolist()},
            {"position": [0.3, -0.2, 0.1], "target": [0.3, -0.2, 5.0], "focal_px": 50.0},
        ],
        scene,
    )
    torch.testing.assert_close(centres(path)[:, 0], torch.tensor([1.5 * PIXEL, -PIXEL, 0.3]), rtol=0, atol=1e-6)
    torch.testing.assert_close(path.cameras.world_to_cam[2, :3, :3], torch.eye(3))  # straight ahead is the world's own
    assert path.cameras.intrinsics[:, 0, 0].tolist() == [32.0, 32.0, 50.0]
    assert path.times.tolist() == [0, 1.5, 3]  # none was said: once over the clip


def test_looking_sideways_stays_upright(scene: Scene4D) -> None:
    path = read([{"position": [0, 0, 0], "target": [2, 1, 1]}], scene)
    pose = path.cameras.world_to_cam[0, :3, :3]
    ahead = torch.tensor([2.0, 1, 1]) / 6**0.5
    torch.testing.assert_close(pose @ ahead, torch.tensor([0.0, 0, 1]), rtol=0, atol=1e-6)
    assert float(pose[0, 1]) == pytest.approx(0, abs=1e-6)  # the picture's rows lie level ...
    assert float(pose[1, 1]) > 0  # ... and down is down


def test_keyframes_are_filled_in(scene: Scene4D) -> None:
    path = read([{"view": 0, "time": 0}, {"view": 4, "time": 1}, {"view": 4, "time": 3}], scene, count=5)
    torch.testing.assert_close(centres(path)[:, 0], torch.tensor([-2.0, 0, 2, 2, 2]) * PIXEL, rtol=0, atol=1e-6)
    assert path.times.tolist() == [0, 0.5, 1, 2, 3]
    assert len(read([{"view": 1}], scene, count=3).cameras) == 3


def test_a_path_in_another_size_sees_the_same(scene: Scene4D) -> None:
    path = camera_paths.freeze_time_path(scene, 0, 2).scaled((48, 64))
    assert path.cameras.size == (48, 64) and path.cameras.intrinsics[0].tolist() == [
        [64, 0, 32],
        [0, 64, 24],
        [0, 0, 1],
    ]


SKEWED = (torch.eye(4) * 1.1).tolist()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        ("[]", "without frames"),
        ("{}", "without frames"),
        ('{"frames": []}', "without frames"),
        ('{"frames": [3]}', "without frames"),
        ('{"frames": [{}]}', "no place"),
        ('{"frames": [{"view": 0, "position": [0, 0, 0]}]}', "view and position"),
        ('{"frames": [{"view": 0, "time": 0}, {"view": 1}]}', "1 of 2 frames"),
        ('{"frames": [{"view": 5}]}', "view 5; expected 0 to 4"),
        ('{"frames": [{"view": -1}]}', "view -1"),
        ('{"frames": [{"view": 0, "time": 3.5}]}', "time 3.5; expected 0 to 3"),
        ('{"frames": [{"view": "a"}]}', "the view of frame 0"),
        ('{"frames": [{"view": true}]}', "finite number"),
        ('{"frames": [{"view": NaN}]}', "finite number"),
        ('{"frames": [{"view": 0, "focal_px": 0}]}', "focal length of 0"),
        ('{"frames": [{"position": [0, 0, 0]}]}', "the target of frame 0"),
        ('{"frames": [{"position": [0, 0], "target": [0, 0, 1]}]}', "the position of frame 0"),
        ('{"frames": [{"position": [0, 0, 0], "target": [0, 5, 0]}]}', "straight up, down or nowhere"),
        ('{"frames": [{"position": [1, 0, 0], "target": [1, 0, 0]}]}', "straight up, down or nowhere"),
        ('{"frames": [{"world_to_camera": [[1, 0], [0, 1, 2]]}]}', "world_to_camera of frame 0"),
        (json.dumps({"frames": [{"world_to_camera": SKEWED}]}), "no rigid motion"),
        ('{"frames": [{"view": 0}], "count": 0}', "count of 0"),
        ('{"frames": [{"view": 0}], "count": "9"}', "count of '9'"),
        ('{"frames": [{"view": 0}], "count": 9, "interpolation": "round"}', "interpolation 'round'"),
    ],
)
def test_what_cannot_be_a_path_is_named(scene: Scene4D, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        path_from_json(text, scene)


def test_times_and_cameras_go_together(scene: Scene4D) -> None:
    with pytest.raises(InputError, match="as many times as cameras"):
        CameraPath(scene.cameras, torch.zeros(2))
    with pytest.raises(InputError, match="view 4.5; expected 0 to 4"):
        camera_paths.fixed_view_path(scene, 4.5, 3)
