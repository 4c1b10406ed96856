"""Cameras: projection and its inverse, rotations, and paths."""

from __future__ import annotations

import math

import pytest
import torch

from fourreal_core.cameras import (
    Cameras,
    inside_image,
    interpolate,
    intrinsics_from_focal,
    lift,
    orbit,
    pixel_grid,
    project,
    quats_wxyz_from_rotations,
    rotations_from_quats_wxyz,
    sample_map,
)
from fourreal_core.errors import InputError

from .geometry.worlds import World


def turn_y(degrees: float) -> torch.Tensor:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return torch.tensor([[c, 0, s], [0, 1.0, 0], [-s, 0, c]])


def camera(rot: torch.Tensor, centre: tuple[float, float, float], size: tuple[int, int] = (30, 40)) -> Cameras:
    w2c = torch.eye(4)
    w2c[:3, :3], w2c[:3, 3] = rot, -rot @ torch.tensor(centre)
    return Cameras(w2c[None], intrinsics_from_focal(50.0, size)[None], size)


def test_pixel_centres_start_at_one_half():
    grid = pixel_grid((2, 3))
    assert grid.shape == (2, 3, 2)
    assert grid[0, 0].tolist() == [0.5, 0.5] and grid[1, 2].tolist() == [2.5, 1.5]


def test_the_optical_axis_hits_the_middle():
    k = intrinsics_from_focal(50.0, (30, 40))
    assert project(torch.tensor([0.0, 0.0, 7.0]), k).tolist() == [20.0, 15.0]
    assert project(torch.tensor([1.0, 0.0, 5.0]), k).tolist() == [30.0, 15.0]  # right is right


def test_lift_undoes_project(generator):
    k = intrinsics_from_focal(50.0, (30, 40))
    points = torch.rand(100, 3, generator=generator) * torch.tensor([2.0, 2.0, 4.0]) + torch.tensor([-1.0, -1.0, 1.0])
    torch.testing.assert_close(lift(project(points, k), points[:, 2], k), points)


def test_points_behind_the_camera_project_to_finite_pixels():
    pixels = project(torch.tensor([[1.0, 1.0, -1.0], [0.0, 0.0, 0.0]]), intrinsics_from_focal(50.0, (30, 40)))
    assert pixels.isfinite().all()


def test_to_camera_moves_the_cameras_centre_to_the_origin():
    cameras = camera(turn_y(30), (1.0, 2.0, 3.0))
    seen = cameras.to_camera(torch.tensor([[1.0, 2.0, 3.0]]))
    torch.testing.assert_close(seen, torch.zeros(1, 1, 3), atol=1e-6, rtol=0)


def test_scaled_cameras_see_the_same_at_another_size():
    cameras = camera(turn_y(0), (0.0, 0.0, 0.0))
    point = torch.tensor([0.3, -0.2, 2.0])
    big = project(point, cameras.scaled((60, 120)).intrinsics[0])
    torch.testing.assert_close(big, project(point, cameras.intrinsics[0]) * torch.tensor([3.0, 2.0]))


def test_indexing_keeps_a_batch():
    many = Cameras(torch.eye(4).repeat(3, 1, 1), torch.eye(3).repeat(3, 1, 1), (4, 4))
    many.world_to_cam[:, 0, 3] = torch.arange(3.0)
    assert [float(many[i].world_to_cam[0, 0, 3]) for i in (0, 1, -1)] == [0.0, 1.0, 2.0]
    assert len(many[1:]) == 2


@pytest.mark.parametrize("angle", [0.0, 1e-4, 90.0, 179.9999, 180.0, 270.0])
@pytest.mark.parametrize("axis", [(1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0), (0.6, 0.0, -0.8)])
def test_quaternions_and_rotations_agree(angle, axis):
    half = math.radians(angle) / 2
    quat = torch.tensor([[math.cos(half), *(math.sin(half) * a for a in axis)]], dtype=torch.float64)
    rot = rotations_from_quats_wxyz(quat)
    torch.testing.assert_close(rot @ rot.transpose(1, 2), torch.eye(3, dtype=torch.float64)[None])
    back = quats_wxyz_from_rotations(rot)
    assert back[0, 0] >= 0
    torch.testing.assert_close(rotations_from_quats_wxyz(back), rot)


def test_interpolation_meets_its_ends_and_turns_evenly():
    a, b = camera(turn_y(0), (0.0, 0.0, 0.0)), camera(turn_y(40), (2.0, 0.0, 0.0))
    both = Cameras(torch.cat([a.world_to_cam, b.world_to_cam]), torch.cat([a.intrinsics, b.intrinsics]), a.size)
    path = interpolate(both, torch.tensor([-1.0, 0.0, 0.25, 1.0, 9.0]))
    torch.testing.assert_close(path.world_to_cam[0], a.world_to_cam[0])
    torch.testing.assert_close(path.world_to_cam[4], b.world_to_cam[0])
    torch.testing.assert_close(path.world_to_cam[2], camera(turn_y(10), (0.5, 0.0, 0.0)).world_to_cam[0])


def test_orbit_keeps_its_target_in_place():
    start, target = camera(turn_y(10), (0.0, 0.0, -4.0)), torch.tensor([0.2, 0.1, 0.3])
    path = orbit(start, target, 12, 20.0)
    seen = path.to_camera(target[None])
    torch.testing.assert_close(seen, seen[:1].expand_as(seen), atol=1e-5, rtol=0)
    torch.testing.assert_close(path.world_to_cam[0], start.world_to_cam[0], atol=1e-6, rtol=0)
    turn = path.world_to_cam[3, :3, :3] @ start.world_to_cam[0, :3, :3].T
    assert math.degrees(math.acos((float(turn.trace()) - 1) / 2)) > 19  # a quarter of the way is the far side


def test_wrong_shapes_are_refused():
    with pytest.raises(InputError, match="one transform and one intrinsics"):
        Cameras(torch.eye(4)[None], torch.eye(3).repeat(2, 1, 1), (4, 4))


@pytest.mark.parametrize(
    ("index", "picked"),
    [(0, [0]), (2, [2]), (-1, [2]), (-3, [0]), (slice(1, 3), [1, 2]), (torch.tensor([2, 2, 0]), [2, 2, 0])],
)
def test_cameras_are_picked_as_in_a_list(index, picked):
    three = Cameras(torch.eye(4) * torch.arange(1, 4)[:, None, None], torch.eye(3).repeat(3, 1, 1), (30, 40))
    assert three[index].world_to_cam[:, 0, 0].tolist() == [k + 1 for k in picked]


def slow_sample(values: torch.Tensor, x: float, y: float) -> torch.Tensor:
    h, w = values.shape[:2]
    x, y = min(max(x - 0.5, 0), w - 1), min(max(y - 0.5, 0), h - 1)
    x0, y0 = min(int(x), w - 2), min(int(y), h - 2)
    fx, fy = x - x0, y - y0
    top = values[y0, x0] * (1 - fx) + values[y0, x0 + 1] * fx
    return top * (1 - fy) + (values[y0 + 1, x0] * (1 - fx) + values[y0 + 1, x0 + 1] * fx) * fy


@pytest.mark.parametrize("channels", [(), (4,)])
def test_samples_are_the_slow_loop(generator: torch.Generator, channels: tuple[int, ...]) -> None:
    values = torch.rand(7, 9, *channels, generator=generator, dtype=torch.float64)
    pixels = torch.rand(200, 2, generator=generator, dtype=torch.float64) * torch.tensor([13.0, 11.0]) - 2
    expected = torch.stack([slow_sample(values, x, y) for x, y in pixels.tolist()])
    torch.testing.assert_close(sample_map(values, pixels), expected, rtol=0, atol=1e-12)  # float64


def test_samples_at_pixel_centres_are_the_pixels() -> None:
    values = torch.arange(12.0).view(3, 4)
    at = torch.tensor([[0.5, 0.5], [3.5, 0.5], [1.0, 0.5], [-9.0, 99.0]])
    assert sample_map(values, at).tolist() == pytest.approx([0, 3, 0.5, 8], abs=1e-5)


def test_the_image_ends_where_its_last_pixel_does() -> None:
    at = torch.tensor([[0.0, 0.0], [5.99, 3.99], [6.0, 1.0], [1.0, 4.0], [-0.01, 1.0]])
    assert inside_image(at, (4, 6)).tolist() == [True, True, False, False, False]


def test_the_world_is_where_the_cameras_put_it(walk: World, generator: torch.Generator) -> None:
    points = torch.rand(20, 3, generator=generator)
    back = torch.stack([walk.cameras.to_world(walk.cameras[v].to_camera(points)[0], v) for v in range(5)])
    torch.testing.assert_close(back, points.expand(5, 20, 3), rtol=0, atol=1e-5)  # float32
