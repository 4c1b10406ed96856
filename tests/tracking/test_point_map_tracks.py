"""Feed-forward reconstruction as a start, from made-up point maps whose noise is known."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fourreal_core.cameras import intrinsics_from_focal, lift, pixel_grid, project
from fourreal_core.errors import InputError
from fourreal_core.geometry.geometry import Geometry
from fourreal_core.geometry.pair_models import PairModel
from fourreal_core.geometry.point_map_geometry import PointMapGeometry, fit_similarity, focal_of
from fourreal_core.geometry.structure_from_motion import parallax_geometry
from fourreal_core.tracking.point_map_tracks import PointMapTracks
from fourreal_core.tracking.track_engines import FlowTracks
from fourreal_core.tracking.tracks import Tracks

from ..geometry.worlds import BOARD_Z, FOCAL_PX, SIZE, World

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
MadeUp = Callable[..., PairModel]


@pytest.fixture(scope="module")
def made_up() -> MadeUp:
    """The benchmark's network that is right but for noise of known strength in depth behind the board."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        network = importlib.import_module("feed_forward_starts").MadeUpNetwork
    finally:
        sys.path.remove(str(BENCHMARKS))

    def make(world: World, noise: float = 0.0) -> PairModel:
        found: PairModel = network(world.frames, world.depth, world.depth > BOARD_Z + 0.6, world.cameras, noise)
        return found

    return make


def true_positions(world: World, tracks: Tracks) -> Tensor:
    """Where the tracked pixels truly are in every view."""
    each = torch.arange(len(tracks))
    pixels = project(tracks.positions[tracks.keyframe, each], tracks.intrinsics[tracks.keyframe])
    at = pixels.floor().long()
    depth = world.depth[tracks.keyframe, at[:, 1].clamp(0, SIZE[0] - 1), at[:, 0].clamp(0, SIZE[1] - 1)]
    start = lift(pixels, depth, world.cameras.intrinsics[tracks.keyframe])
    point = torch.empty_like(start)
    for k in tracks.keyframe.unique().tolist():
        point[tracks.keyframe == k] = world.cameras.to_world(start[tracks.keyframe == k], k)
    return world.cameras.to_camera(point)


def errors(world: World, tracks: Tracks) -> tuple[float, float]:
    """Mean distance in pixels from where the points truly are seen, of the board's points and of those behind it."""
    truth = true_positions(world, tracks)
    seen_at = project(tracks.positions, tracks.intrinsics[:, None])
    apart = (seen_at - project(truth, world.cameras.intrinsics[:, None])).norm(dim=-1)
    away = torch.arange(tracks.frames)[:, None] != tracks.keyframe  # at its keyframe a point is where it was started
    front = truth[tracks.keyframe, torch.arange(len(tracks)), 2] < BOARD_Z + 0.6
    seen = tracks.visible & away
    return float(apart[seen & front].mean()), float(apart[seen & ~front].mean())


def test_true_maps_give_the_true_geometry(walk: World, made_up: MadeUp) -> None:
    found = PointMapGeometry(made_up(walk))(walk.clip)
    unit = float(walk.depth[2].median())
    torch.testing.assert_close(found.depth * unit, walk.depth, rtol=1e-3, atol=0)
    assert float(found.intrinsics[0, 0, 0]) == pytest.approx(FOCAL_PX, rel=1e-3)
    assert found.world_to_cam is not None
    expected = walk.cameras.world_to_cam.clone()
    expected[:, :3, 3] /= unit
    torch.testing.assert_close(found.world_to_cam, expected, rtol=0, atol=2e-3)


def test_true_maps_give_true_tracks_in_the_unit_of_the_geometry(walk: World, made_up: MadeUp) -> None:
    geometry = Geometry(walk.depth * 3, walk.cameras.intrinsics, walk.geometry.mask)
    tracks = PointMapTracks(made_up(walk)).track_views(walk.clip, geometry)
    assert tracks.frames == 5 and len(tracks) > SIZE[0] * SIZE[1]
    assert float((tracks.positions / 3 - true_positions(walk, tracks)).norm(dim=-1).median()) < 0.01
    central = tracks.keyframe == 2
    assert int(central.sum()) == SIZE[0] * SIZE[1]
    at = project(tracks.positions[2, central], tracks.intrinsics[2]).long()
    torch.testing.assert_close(tracks.colors[central], walk.frames[2, at[:, 1], at[:, 0]])


def test_a_point_keeps_its_pixel_under_another_focal_length(walk: World, made_up: MadeUp) -> None:
    intrinsics = intrinsics_from_focal(FOCAL_PX * 1.5, SIZE).expand(5, 3, 3)
    geometry = Geometry(walk.depth, intrinsics, walk.geometry.mask)
    tracks = PointMapTracks(made_up(walk)).track_views(walk.clip, geometry)
    plain = PointMapTracks(made_up(walk)).track_views(walk.clip, walk.geometry)
    a, b = (project(t.positions, t.intrinsics[:, None]) for t in (tracks, plain))
    torch.testing.assert_close(a, b, rtol=0, atol=0.02)


def test_noise_of_the_maps_stays_in_the_background_and_tracks_win_there(walk: World, made_up: MadeUp) -> None:
    """The paper's observation: the foreground is fine, the background noisy. Tracks that follow flow win behind it."""
    geometry = parallax_geometry(walk.clip)
    flow = errors(walk, FlowTracks().track_views(walk.clip, geometry))
    fed = errors(walk, PointMapTracks(made_up(walk, 0.12)).track_views(walk.clip, geometry))
    assert fed[0] < fed[1] < 2, "the foreground is better than what lies behind"
    assert flow[1] < fed[1] / 3, "flow's tracks are nearer there"


def test_noisy_points_disagree_between_keyframes(walk: World, made_up: MadeUp) -> None:
    """Entangled: points of one surface lie at several depths, as many layers as frames were paired."""
    clean, noisy = (PointMapTracks(made_up(walk, level)).track_views(walk.clip, walk.geometry) for level in (0.0, 0.12))
    assert len(noisy) > 1.2 * len(clean), "what should be one surface is added again and again"


def test_a_similarity_by_hand(generator: torch.Generator) -> None:
    source = torch.randn(200, 3, generator=generator)
    angle = torch.tensor(0.4)
    turn = torch.tensor([[angle.cos(), -angle.sin(), 0], [angle.sin(), angle.cos(), 0], [0, 0, 1.0]])
    target = 2.5 * source @ turn.T + torch.tensor([1.0, -2.0, 3.0])
    target[:30] += 5 * torch.randn(30, 3, generator=generator)  # outliers
    scale, motion = fit_similarity(source, target, torch.ones(200))
    assert scale == pytest.approx(2.5, abs=1e-3)
    torch.testing.assert_close(motion[:3, :3], turn, rtol=0, atol=1e-3)
    torch.testing.assert_close(motion[:3, 3], torch.tensor([1.0, -2.0, 3.0]), rtol=0, atol=5e-3)
    assert fit_similarity(source[:2], target[:2], torch.ones(2))[0] == 1.0


def test_focal_length_of_a_point_map() -> None:
    points = lift(pixel_grid((40, 60)), torch.rand(40, 60) + 1, intrinsics_from_focal(80.0, (40, 60)))
    ones = torch.ones(40, 60)
    assert focal_of(points, ones, ones.bool()) == pytest.approx(80, rel=1e-4)
    points[:5] *= torch.tensor([1.5, 1.5, 1.0])  # an eighth of it is distorted
    assert focal_of(points, ones, ones.bool()) == pytest.approx(80, rel=0.02)


def test_one_frame_is_no_clip(walk: World, made_up: MadeUp) -> None:
    from fourreal_core.flow.clip_flows import ClipFlows

    with pytest.raises(InputError, match="at least 2 frames"):
        PointMapGeometry(made_up(walk))(ClipFlows(walk.frames[:1]))
