"""Canonical splats: rigid motions found among outliers, and cameras split from what the views disagree in."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from fourreal_core.cameras import Cameras, intrinsics_from_focal, rotations_from_quats_wxyz
from fourreal_core.errors import InputError
from fourreal_core.reconstruction.canonical import CanonicalOptions, canonical_scene, fit_rigid_motion
from fourreal_core.tracking.tracks import Tracks

SIZE = (20, 30)


def motion(degrees: float = 25.0, axis: tuple[float, float, float] = (0.6, 0.0, 0.8)) -> torch.Tensor:
    half = math.radians(degrees) / 2
    out = torch.eye(4)
    out[:3, :3] = rotations_from_quats_wxyz(torch.tensor([[math.cos(half), *(math.sin(half) * a for a in axis)]]))[0]
    out[:3, 3] = torch.tensor([0.3, -0.2, 0.5])
    return out


def cloud(generator: torch.Generator, count: int = 200) -> torch.Tensor:
    return torch.rand(count, 3, generator=generator) * torch.tensor([2.0, 1.5, 1.0]) + torch.tensor([-1.0, -0.7, 1.5])


def apply(move: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    return points @ move[:3, :3].T + move[:3, 3]


@pytest.mark.parametrize("degrees", [0.0, 5.0, 90.0, 180.0])
def test_a_rigid_motion_is_found_exactly(generator: torch.Generator, degrees: float) -> None:
    p = cloud(generator)
    found = fit_rigid_motion(p, apply(motion(degrees), p), torch.ones(len(p)))
    torch.testing.assert_close(found, motion(degrees), rtol=0, atol=1e-5)  # float32 points


def test_a_third_of_outliers_is_outvoted(generator: torch.Generator) -> None:
    p = cloud(generator, 300)
    q = apply(motion(), p)
    q[:100] += torch.randn(100, 3, generator=generator)
    # a wrong point at 100 widths weighs 1e-8, and the width shrinks from round to round
    torch.testing.assert_close(fit_rigid_motion(p, q, torch.ones(300)), motion(), rtol=0, atol=1e-3)


def test_points_of_no_weight_do_not_count(generator: torch.Generator) -> None:
    p = cloud(generator)
    q, weight = apply(motion(), p), torch.ones(len(p))
    q[:150], weight[:150] = 7.0, 0.0
    torch.testing.assert_close(fit_rigid_motion(p, q, weight), motion(), rtol=0, atol=1e-5)
    q[150:162] += 0.5  # nor do they say how large an error is usual: a quarter of the others is outvoted as before
    torch.testing.assert_close(fit_rigid_motion(p, q, weight), motion(), rtol=0, atol=1e-3)


@pytest.mark.parametrize("flat", [True, False])
def test_the_answer_is_a_rotation_never_a_mirror(generator: torch.Generator, flat: bool) -> None:
    p = cloud(generator)
    if flat:
        p[:, 2] = 2.0  # of points in a plane the mirror fits as well
    mirror = torch.tensor([1.0, 1.0, 1.0 if flat else -1.0])
    found = fit_rigid_motion(p, apply(motion(), p * mirror), torch.ones(len(p)))[:3, :3]
    torch.testing.assert_close(found @ found.T, torch.eye(3), rtol=0, atol=1e-5)
    assert float(torch.det(found)) == pytest.approx(1, abs=1e-5)


def test_too_few_points_mean_no_motion(generator: torch.Generator) -> None:
    p = cloud(generator, 2)
    assert torch.equal(fit_rigid_motion(p, p + 1, torch.ones(2)), torch.eye(4))


def make_tracks(generator: torch.Generator, views: int = 3, jitter: float = 0.0) -> tuple[Tracks, Cameras]:
    points = cloud(generator)
    poses = torch.stack([motion(6.0 * (v - views // 2)) for v in range(views)])
    poses[:, :3, 3] *= 0.3 * (torch.arange(views) - views // 2)[:, None]
    cameras = Cameras(poses, intrinsics_from_focal(25.0, SIZE).repeat(views, 1, 1), SIZE)
    positions = cameras.to_camera(points)
    positions = positions + jitter * torch.randn(positions.shape, generator=generator)
    n = len(points)
    tracks = Tracks(
        positions,
        torch.ones(views, n, dtype=torch.bool),
        torch.rand(n, 3, generator=generator),
        torch.zeros(n, dtype=torch.long),
        torch.full((n,), 0.08),
        cameras.intrinsics,
        SIZE,
        torch.full((views, *SIZE), 2.0),
    )
    return tracks, cameras


def test_cameras_are_found_and_the_middle_is_the_world(generator: torch.Generator) -> None:
    tracks, cameras = make_tracks(generator)
    scene = canonical_scene(tracks, 4)
    torch.testing.assert_close(scene.cameras.world_to_cam, cameras.world_to_cam, rtol=0, atol=1e-5)  # float32
    assert torch.equal(scene.splats.means, tracks.positions[1])
    assert float(scene.view_offsets.abs().max()) < 1e-5


@pytest.mark.parametrize("views", [2, 3, 5])
def test_cameras_and_offsets_together_are_the_tracks(generator: torch.Generator, views: int) -> None:
    tracks, _ = make_tracks(generator, views, jitter=0.02)
    scene = canonical_scene(tracks, 4)
    for v in range(views):
        torch.testing.assert_close(scene.in_view(v, 0), tracks.positions[v], rtol=0, atol=1e-6)  # float32 sums
    # the canonical frame's own error is in every view's offsets: sqrt(2) of the jitter
    assert 0.5 * 0.02 < float(scene.view_offsets[0].std()) < 2 * 0.02


def test_without_offsets_the_cameras_stay(generator: torch.Generator) -> None:
    tracks, _ = make_tracks(generator, jitter=0.02)
    rigid = canonical_scene(tracks, 4, CanonicalOptions(view_offsets=False))
    assert not rigid.view_offsets.any()
    assert torch.equal(rigid.cameras.world_to_cam, canonical_scene(tracks, 4).cameras.world_to_cam)


def test_every_point_becomes_one_splat_of_its_size(generator: torch.Generator) -> None:
    tracks, _ = make_tracks(generator)
    tracks.visible[2, ::3] = False
    scene = canonical_scene(tracks, 4)
    assert torch.equal(scene.visible, tracks.visible)
    assert len(scene.splats) == len(tracks) and scene.times == 4 and scene.deformation is None
    torch.testing.assert_close(scene.splats.scales, torch.full((len(tracks),), 0.04))  # half the spacing
    torch.testing.assert_close(scene.splats.opacities, torch.full((len(tracks),), 0.9))
    assert torch.equal(scene.splats.colors, tracks.colors) and not scene.motion_weight.any()
    assert torch.equal(scene.background, tracks.colors.mean(0)) and torch.equal(scene.view_depth, tracks.depth)


def test_tracks_without_depth_get_that_of_the_splats(generator: torch.Generator) -> None:
    tracks, _ = make_tracks(generator)
    tracks.positions[:, 0] = torch.tensor([0.0, 0.0, 0.9])  # before all others, in the middle of every view
    tracks.spacing[0] = 0.9
    scene = canonical_scene(replace(tracks, depth=None), 4)
    assert scene.view_depth.shape == (3, *SIZE)
    for v in range(3):
        assert float(scene.view_depth[v, 10, 15]) < 1.2  # all others are beyond 1.5
        assert float(scene.view_depth[v, 0, 0]) == pytest.approx(float(tracks.positions[v, :, 2].max()), abs=1e-4)


def test_tracks_are_not_written_to(generator: torch.Generator) -> None:
    tracks, _ = make_tracks(generator)
    before = {name: getattr(tracks, name).clone() for name in ("positions", "colors", "spacing", "depth")}
    canonical_scene(tracks, 4)
    assert all(torch.equal(getattr(tracks, name), value) for name, value in before.items())


def test_no_points_are_refused(generator: torch.Generator) -> None:
    tracks, _ = make_tracks(generator)
    with pytest.raises(InputError, match="tracks without points"):
        canonical_scene(tracks.select(torch.zeros(len(tracks), dtype=torch.bool)), 4)


def camera_error(found: torch.Tensor, true: torch.Tensor, points: torch.Tensor) -> float:
    """How far points appear from where they should, in 500ths of their distance."""
    a, b = (here[:, :2] / here[:, 2:] for here in (apply(found, points), apply(true, points)))
    return 500 * float((a - b).norm(dim=-1).mean())


def tracks_through(points: torch.Tensor, true: torch.Tensor) -> Tracks:
    """Points seen by two views; the second is the canonical one, ``true`` leads to the first."""
    n = len(points)
    return Tracks(
        torch.stack([apply(true, points), points]),
        torch.ones(2, n, dtype=torch.bool),
        torch.zeros(n, 3),
        torch.zeros(n, dtype=torch.long),
        torch.ones(n),
        intrinsics_from_focal(25.0, SIZE).repeat(2, 1, 1),
        SIZE,
        torch.ones(2, *SIZE),
    )


def test_near_points_count_more_for_a_camera() -> None:
    """Depth is the less sure the farther away; uniform weights would let the far half decide."""
    weighted, uniform = [], []
    for seed in range(10):
        rng = torch.Generator().manual_seed(seed)
        points = torch.cat([cloud(rng, 150), 8 * cloud(rng, 150)])
        tracks = tracks_through(points, motion(6.0))
        noise = torch.randn(300, 3, generator=rng) * torch.tensor([0.002, 0.002, 0.01])
        tracks.positions[0] += noise * tracks.positions[0, :, 2:] ** 2
        found = canonical_scene(tracks, 2).cameras.world_to_cam[0]
        weighted.append(camera_error(found, motion(6.0), points))
        found = fit_rigid_motion(points, tracks.positions[0], torch.ones(300))
        uniform.append(camera_error(found, motion(6.0), points))
    assert sum(weighted) < 0.85 * sum(uniform)


@pytest.mark.parametrize("hidden_in", ["this view", "the canonical view"])
def test_points_that_either_view_does_not_see_have_no_part_in_its_camera(
    generator: torch.Generator, hidden_in: str
) -> None:
    points = cloud(generator, 200)
    tracks = tracks_through(points, motion(6.0))
    tracks.positions[0, :130] = apply(motion(-20.0), points[:130])  # a majority that agrees on another camera
    tracks.visible[0 if hidden_in == "this view" else 1, :130] = False
    found = canonical_scene(tracks, 2).cameras.world_to_cam[0]
    torch.testing.assert_close(found, motion(6.0), rtol=0, atol=1e-3)


def test_points_behind_the_canonical_camera_have_no_part_in_a_camera(generator: torch.Generator) -> None:
    points = cloud(generator, 200)
    points[:20, 2] = -0.1  # their weight by nearness would be a thousand times the others'
    tracks = tracks_through(points, motion(6.0))
    tracks.positions[0, :20] = apply(motion(-20.0), points[:20])
    found = canonical_scene(tracks, 2).cameras.world_to_cam[0]
    torch.testing.assert_close(found, motion(6.0), rtol=0, atol=1e-3)
    tracks.visible[0, 20:190] = False  # nor where so few are seen that all in front are taken
    found = canonical_scene(tracks, 2).cameras.world_to_cam[0]
    torch.testing.assert_close(found, motion(6.0), rtol=0, atol=1e-3)


def test_where_hardly_any_point_is_seen_all_of_them_make_the_camera(generator: torch.Generator) -> None:
    points = cloud(generator, 200)
    tracks = tracks_through(points, motion(6.0))
    tracks.visible[0, 20:] = False
    tracks.positions[0, :20] = apply(motion(-20.0), points[:20])  # the few that are seen are wrong
    found = canonical_scene(tracks, 2).cameras.world_to_cam[0]
    torch.testing.assert_close(found, motion(6.0), rtol=0, atol=1e-3)


def test_few_points_far_away_are_points_too(generator: torch.Generator) -> None:
    """Weights by nearness are small in small units; that must not read as too little to go by."""
    p = cloud(generator, 30) * 1000
    move = motion()
    move[:3, 3] *= 1000
    found = fit_rigid_motion(p, apply(move, p), 1 / p[:, 2])
    torch.testing.assert_close(found, move, rtol=1e-4, atol=1e-2)  # float32 at a thousand
