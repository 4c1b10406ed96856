"""Supplement eq. 3: the plain sum, the scene's cached offsets and those that are being trained agree."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fourreal_core.reconstruction.trained_motion import TrainedMotion
from fourreal_core.scene.deformation_field import DeformationSpec, random_field
from fourreal_core.scene.motion_residual import SampledResidual
from fourreal_core.scene.pixel_points import pixel_points
from fourreal_core.scene.points_in_time import TimeOffsets, clip_position, displaced_points
from fourreal_core.scene.scene4d import Scene4D

from .scenes import PIXEL, SIZE, sliding, wall_scene

TIMES = 4
ALL_TIMES = [-1.0, 0, 0.4, 1, 1.5, 2, 2.9, 3, 4.5]


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def turned_scene(knots: int, residual: bool, weights: str) -> Scene4D:
    """A wall of which everything of eq. 3 is at work: turned cameras, view offsets, a field, a residual, weights."""
    field = random_field(DeformationSpec(features=20, frequencies=(1.0, 4.0), knots=knots), rng(0))
    field = replace(field, weights=0.02 * torch.randn(field.weights.shape, generator=rng(1)))
    scene = wall_scene(3, TIMES, field).select(torch.arange(0, 1920, 71))
    n = len(scene.splats)
    angle = torch.tensor(0.3)
    turn = torch.eye(3)
    turn[0, 0], turn[0, 2], turn[2, 0], turn[2, 2] = angle.cos(), angle.sin(), -angle.sin(), angle.cos()
    scene.cameras.world_to_cam[2, :3, :3] = turn
    weight = {
        "all": torch.ones(n),
        "some": torch.rand(n, generator=rng(2)).round(),
        "shares": torch.rand(n, generator=rng(2)) * torch.rand(n, generator=rng(3)).round(),
        "none": torch.zeros(n),
    }[weights]
    visible = torch.rand(3, n, generator=rng(4)) < 0.6
    return replace(
        scene,
        motion_weight=weight,
        visible=visible,
        view_offsets=0.01 * torch.randn(3, n, 3, generator=rng(5)),
        motion_residual=0.01 * torch.randn(3, TIMES, 3, 12, 16, generator=rng(6)) if residual else None,
    )


def slow_sum(scene: Scene4D, time: float, view: int | None) -> Tensor:
    """Eq. 3 splat by splat in float64."""
    field, spec = scene.deformation, scene.deformation.spec
    at = min(max(time, 0.0), TIMES - 1.0)
    out = []
    for n in range(len(scene.splats)):
        p = scene.splats.means[n].double()
        moved, weight = torch.zeros(3, dtype=torch.float64), float(scene.motion_weight[n])
        if at > 0 and weight:
            x, y, z = p
            unit = torch.stack([x / z, y / z, spec.depth_gain * z.log()]) / spec.extent
            feature = torch.cat([torch.sin(unit @ field.frequencies.double() + field.phases), torch.ones(1).double()])
            for k in range(spec.knots):
                hat = max(0.0, 1 - abs(at / (TIMES - 1) * spec.knots - (k + 1)))
                moved += hat * (feature @ field.weights[:, 3 * k : 3 * k + 3].double()) * z * spec.extent
            if scene.motion_residual is not None:
                moved += _slow_residual(scene, n, at) * z
        p = p + weight * moved
        if view is not None:
            camera = scene.cameras.world_to_cam[view].double()
            p = camera[:3, :3] @ p + camera[:3, 3] + scene.view_offsets[view, n]
        out.append(p)
    return torch.stack(out)


def _slow_residual(scene: Scene4D, n: int, at: float) -> Tensor:
    """Bilinear in the first view that sees the splat, linear in time; zero at time 0."""
    seen = [v for v in range(3) if scene.visible[v, n]] or [0]
    v, maps = seen[0], scene.motion_residual.double()
    p = scene.cameras.world_to_cam[v].double() @ torch.cat([scene.splats.means[n].double(), torch.ones(1).double()])
    p = p[:3] + scene.view_offsets[v, n]
    k = scene.cameras.intrinsics[v].double()
    column = (p[0] / p[2] * k[0, 0] + k[0, 2]) / SIZE[1] * 16 - 0.5
    row = (p[1] / p[2] * k[1, 1] + k[1, 2]) / SIZE[0] * 12 - 0.5
    column, row = float(column.clamp(0, 15)), float(row.clamp(0, 11))
    low = int(at)
    total = torch.zeros(3, dtype=torch.float64)
    for step, share in ((low, 1 - (at - low)), (min(low + 1, TIMES - 1), at - low)):
        for r, by_row in ((int(row), 1 - row % 1), (min(int(row) + 1, 11), row % 1)):
            for c, by_column in ((int(column), 1 - column % 1), (min(int(column) + 1, 15), column % 1)):
                if step > 0:
                    total += share * by_row * by_column * maps[v, step, :, r, c]
    return total


@pytest.mark.parametrize("knots", [3, 2])
@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("weights", ["all", "some", "shares", "none"])
def test_cached_trained_and_plain_ways_agree(knots: int, residual: bool, weights: str) -> None:
    scene = turned_scene(knots, residual, weights)
    motion = TrainedMotion(scene, scene.deformation)
    for time in ALL_TIMES:
        plain = slow_sum(scene, time, None)
        trained = displaced_points(scene.splats.means, motion.offsets, time).detach()
        torch.testing.assert_close(scene.deformed(time).double(), plain, rtol=0, atol=2e-6)  # float32 sums of 20
        assert torch.equal(trained, scene.deformed(time)) or weights == "shares"  # one product the more, rounded
        torch.testing.assert_close(trained.double(), plain, rtol=0, atol=2e-6)
        for view in (0, 2):
            rotation = scene.cameras.world_to_cam[view, :3, :3]
            trained = displaced_points(scene.in_view(view, 0), motion.offsets, time, rotation).detach()
            plain = slow_sum(scene, time, view)
            torch.testing.assert_close(scene.in_view(view, time).double(), plain, rtol=0, atol=2e-6)
            torch.testing.assert_close(trained.double(), plain, rtol=0, atol=2e-6)


def test_at_time_0_points_are_at_rest_bit_for_bit() -> None:
    scene = turned_scene(3, True, "all")
    for time in (0, -1.0):
        assert scene.deformed(time) is scene.splats.means  # nothing is even looked up
        assert torch.equal(scene.in_view(2, time), scene.in_view(2, 0))
        assert torch.equal(pixel_points(scene, 1).at(time), pixel_points(scene, 1).rest)


def test_beyond_its_ends_the_clip_is_held() -> None:
    scene = turned_scene(3, True, "all")
    assert torch.equal(scene.deformed(7.5), scene.deformed(3))
    assert [clip_position(t, 4) for t in (-2, 0, 1.5, 3, 4.5)] == [0, 0, 0.5, 1, 1] and clip_position(0, 1) == 0


def test_what_does_not_move_is_left_bit_for_bit() -> None:
    scene = turned_scene(3, True, "some")
    still = scene.motion_weight == 0
    assert torch.equal(scene.deformed(2)[still], scene.splats.means[still])
    assert bool((scene.deformed(2) != scene.splats.means)[~still].any(-1).all())


def test_pixels_follow_the_weights_that_the_tracks_gave() -> None:
    scene = wall_scene(deformation=sliding(TIMES, (3.0, 0.0)))
    fitted = replace(sliding(TIMES, (1.0, 0.0)), frequencies=scene.deformation.frequencies)
    refined = replace(scene, deformation=fitted, tracked_weights=scene.deformation.weights)
    assert torch.equal(pixel_points(refined, 1).at(2), pixel_points(scene, 1).at(2))
    assert not torch.equal(refined.deformed(2), scene.deformed(2))
    shift = pixel_points(replace(refined, tracked_weights=None), 1).at(3) - pixel_points(refined, 1).rest
    torch.testing.assert_close(shift, torch.tensor([PIXEL, 0, 0]).expand_as(shift), rtol=0, atol=1e-6)


def test_pixels_read_their_own_places_of_the_residual() -> None:
    """Each pixel is moved by what the map of its view says there; views that stand still take no part."""
    scene = wall_scene(deformation=sliding(TIMES, (0.0, 0.0)))
    maps = torch.zeros(3, TIMES, 3, *SIZE)
    maps[1, 2, 0] = torch.arange(SIZE[0] * SIZE[1]).view(SIZE) * 1e-4
    scene = replace(scene, motion_residual=maps)
    moved = (pixel_points(scene, 1).at(2) - pixel_points(scene, 1).rest)[:, 0]
    depth = scene.view_depth[1].reshape(-1)
    torch.testing.assert_close(moved, maps[1, 2, 0].reshape(-1) * depth, rtol=0, atol=1e-5)
    assert torch.equal(pixel_points(scene, 0).at(2), pixel_points(scene, 0).rest)
    half = replace(scene, view_motion=0.5 * scene.view_motion)
    torch.testing.assert_close((pixel_points(half, 1).at(2) - pixel_points(half, 1).rest)[:, 0], moved / 2)


def test_gradients_reach_the_offsets_at_the_knots() -> None:
    knots = [torch.randn(4, 3, generator=rng(k)).double().requires_grad_() for k in range(3)]
    rest, turn = torch.randn(6, 3, generator=rng(8)).double(), torch.linalg.qr(torch.randn(3, 3).double()).Q

    def moved(*at_knots: Tensor) -> Tensor:
        return displaced_points(rest, TimeOffsets(torch.tensor([5, 0, 2, 3]), at_knots, TIMES), 1.3, turn)

    assert torch.autograd.gradcheck(moved, knots)


@pytest.mark.parametrize(
    ("time", "expected"), [(-1.0, 0.0), (0.0, 0.0), (0.5, 1.0), (1.0, 2.0), (1.25, 3.0), (9.0, 6.0)]
)
def test_residuals_are_read_between_times_and_held_beyond(time: float, expected: float) -> None:
    maps = torch.tensor([5.0, 2.0, 6.0])[None, :, None, None, None].expand(2, 3, 3, 2, 2)  # at time 0 nothing moves
    points = torch.tensor([[0.0, 0, 1], [0, 0, 2]])
    got = SampledResidual(maps, torch.tensor([0, 1]), torch.zeros(2, 2), points, torch.tensor([1.0, 0.5])).at(time)
    torch.testing.assert_close(got, torch.ones(2, 3) * expected)  # twice as far away, and half the weight
