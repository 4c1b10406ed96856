"""Dense 3D tracks: sampling against a loop, the choice of points, and paths against the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fourreal_core.cameras import inside_image, intrinsics_from_focal, project
from fourreal_core.errors import InputError
from fourreal_core.flow.clip_flows import ClipFlows
from fourreal_core.geometry.geometry import Geometry
from fourreal_core.tracking import track3d
from fourreal_core.tracking.track3d import (
    TrackOptions,
    choose_points,
    keyframe_order,
    seen_from,
    track_times,
    track_views,
)
from fourreal_core.tracking.tracks import Tracks

from ..cancelling import Cancelled
from ..geometry.worlds import FOCAL_PX, SIZE, World, look, path


@pytest.fixture(scope="module")
def followed(walk: World) -> Tracks:
    """Tracks through the little world with its true geometry."""
    return track_views(walk.clip, walk.geometry)


def test_what_is_seen_lies_on_the_surface_in_the_image() -> None:
    k = intrinsics_from_focal(10.0, (8, 10))
    points = torch.tensor([[0.0, 0, 2.0], [0, 0, 2.1], [0, 0, 2.3], [0, 0, -2], [5.0, 0, 2.0], [0, 0, 1.7]])
    assert seen_from(points, torch.full((8, 10), 2.0), k).tolist() == [True, True, False, False, False, False]


@pytest.mark.parametrize("frames", [1, 2, 3, 5, 8, 9, 30])
def test_keyframes_are_all_frames_once_the_middle_first(frames: int) -> None:
    order = keyframe_order(frames)
    assert sorted(order) == list(range(frames))
    assert order[0] == frames // 2 and set(order[:3]) >= {0, frames - 1}


def test_points_start_once_on_every_surface(walk: World) -> None:
    valid = torch.ones(SIZE, dtype=torch.bool)
    keys, pixels, start = choose_points(walk.geometry, valid)
    h, w = SIZE
    assert int((keys == 2).sum()) == h * w  # all of the central frame
    order = keyframe_order(5)
    for place, k in enumerate(order[1:], 1):
        mine = start[keys == k]
        assert len(mine) < 0.4 * h * w and (len(mine) > 0 or place > 2)  # the two ends see beside the middle
        world = walk.cameras.to_world(mine, k)
        for j in order[:place]:  # none of them was there to be seen in a keyframe before
            there = walk.cameras[j].to_camera(world)[0]
            seen = seen_from(there, walk.depth[j], walk.cameras.intrinsics[j])
            assert not seen.any()
    torch.testing.assert_close(project(start, walk.cameras.intrinsics[keys]), pixels, rtol=0, atol=1e-3)  # float32


def test_the_same_view_twice_starts_no_point_twice(walk: World) -> None:
    g = walk.geometry
    twice = Geometry(g.depth[2:3].repeat(3, 1, 1), g.intrinsics[:3], g.mask[:3], torch.eye(4).repeat(3, 1, 1))
    keys, _, _ = choose_points(twice, torch.ones(SIZE, dtype=torch.bool))
    assert len(keys) == SIZE[0] * SIZE[1] and (keys == 1).all()


def test_no_point_starts_where_nothing_is_shown(walk: World) -> None:
    valid = torch.ones(SIZE, dtype=torch.bool)
    valid[10:20, 30:50] = False
    _, pixels, _ = choose_points(walk.geometry, valid)
    assert bool(valid[pixels[:, 1].long(), pixels[:, 0].long()].all())
    assert len(pixels) > int(valid.sum())


def test_what_a_mask_hides_in_a_keyframe_is_not_shown_there(walk: World) -> None:
    """A caption over the middle of every frame: what it covers in the central view starts in others, beside it."""
    valid = torch.ones(SIZE, dtype=torch.bool)
    valid[:, 50:58] = False
    keys, _, start = choose_points(walk.geometry, valid)
    for k in (0, 4):
        there = walk.cameras[2].to_camera(walk.cameras.to_world(start[keys == k], k))[0]
        column = project(there, walk.cameras.intrinsics[2])[:, 0]
        seen = seen_from(there, walk.depth[2], walk.cameras.intrinsics[2])
        assert int((seen & (column > 51) & (column < 57)).sum()) > 20


def test_tracks_follow_the_true_points(walk: World, followed: Tracks) -> None:
    start = followed.positions[followed.keyframe, torch.arange(len(followed))]
    world = torch.stack([walk.cameras.to_world(start, k) for k in range(5)])[
        followed.keyframe, torch.arange(len(followed))
    ]
    true = walk.cameras.to_camera(world)
    off_px = (
        project(followed.positions, followed.intrinsics[:, None]) - project(true, followed.intrinsics[:, None])
    ).norm(dim=-1)
    seen = followed.visible & inside_image(project(true, followed.intrinsics[:, None]), SIZE)
    # flow of this texture is good to 0.1 px in the middle; at the rim of the board it takes one side for the other
    assert float(off_px[seen].median()) < 0.15
    assert float(off_px[seen].quantile(0.9)) < 1.0
    depth_error = (followed.positions[..., 2] / true[..., 2] - 1).abs()
    assert float(depth_error[seen].median()) < 0.01


def test_who_sees_what(walk: World, followed: Tracks) -> None:
    each = torch.arange(len(followed))
    assert bool(followed.visible[followed.keyframe, each].all())  # its own keyframe sees it
    # the board hides some of the wall somewhere, and cameras turn away from some
    assert 0.5 < float(followed.visible.float().mean()) < 0.98
    rows, columns = _pixel_of(followed)
    colors = walk.frames[followed.keyframe, rows, columns]
    assert torch.equal(followed.colors, colors)


def _pixel_of(tracks: Tracks) -> tuple[torch.Tensor, torch.Tensor]:
    each = torch.arange(len(tracks))
    at = project(tracks.positions[tracks.keyframe, each], tracks.intrinsics[tracks.keyframe])
    return at[:, 1].long(), at[:, 0].long()


def test_hidden_points_are_carried_by_the_cameras(walk: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reach of one view: the ends are out of reach of the middle, so geometry alone carries its points there."""
    monkeypatch.setattr(track3d, "REACH", 1)
    tracks = track_views(walk.clip, walk.geometry)
    middle = tracks.keyframe == 2
    rigid = walk.cameras.to_camera(tracks.positions[2, middle])
    torch.testing.assert_close(tracks.positions[0, middle], rigid[0], rtol=0, atol=1e-6)
    assert not torch.equal(tracks.positions[1, middle], rigid[1])


def test_spacing_is_a_pixel_at_the_points_distance(followed: Tracks) -> None:
    start = followed.positions[followed.keyframe, torch.arange(len(followed)), 2]
    torch.testing.assert_close(followed.spacing, start / FOCAL_PX)


def test_fewer_points_are_a_seeded_draw_and_stand_wider(walk: World, followed: Tracks) -> None:
    options = TrackOptions(max_points=500)
    some, again = (track_views(walk.clip, walk.geometry, options=options) for _ in range(2))
    other = track_views(walk.clip, walk.geometry, options=replace(options, seed=1))
    assert len(some) == 500 and torch.equal(some.positions, again.positions)
    assert not torch.equal(some.positions, other.positions)
    wider = (len(followed) / 500) ** 0.5  # each point stands for as much more area
    start = some.positions[some.keyframe, torch.arange(500), 2]
    torch.testing.assert_close(some.spacing, start / FOCAL_PX * wider)


def test_a_board_that_slides_is_followed_in_time(moving: World) -> None:
    tracks = track_times(moving.clip, moving.geometry)
    assert tracks.frames == 4 and len(tracks) == SIZE[0] * SIZE[1] and tracks.depth is None
    torch.testing.assert_close(tracks.spacing, moving.depth[0].reshape(-1) / FOCAL_PX)  # a pixel, where it is
    board = moving.depth[0].reshape(-1) < 3
    inner = torch.nn.functional.max_pool2d((~board).float().view(1, 1, *SIZE), 9, 1, 4).view(-1) == 0
    away = torch.nn.functional.max_pool2d(board.float().view(1, 1, *SIZE), 27, 1, 13).view(-1) == 0
    for t in range(1, 4):
        moved = tracks.positions[t] - tracks.positions[0]
        # 2 px right and 1 px down a frame at distance 2.4; flow is good to a tenth of a pixel, which is 0.002 there
        expected = torch.tensor([0.04 * t, 0.02 * t, 0.0])
        assert float((moved[inner] - expected).norm(dim=-1).median()) < 0.004
        assert float(moved[away].norm(dim=-1).quantile(0.95)) == 0  # what stands, stands exactly
    assert float(tracks.visible[:, inner].float().mean()) > 0.9


def test_a_clip_that_stands_still_gives_tracks_that_stand_still(walk: World) -> None:
    tracks = track_times(ClipFlows(walk.frames[:1].repeat(3, 1, 1, 1)), walk.geometry)
    assert torch.equal(tracks.positions, tracks.positions[:1].expand_as(tracks.positions))
    assert bool(tracks.visible.all())


def test_one_time_is_a_clip_too(walk: World) -> None:
    tracks = track_times(ClipFlows(walk.frames[:1]), walk.geometry)
    assert tracks.frames == 1 and len(tracks) == SIZE[0] * SIZE[1]


def test_inputs_stay_as_they_were(walk: World) -> None:
    frames, geometry = walk.frames.clone(), walk.geometry
    depth = geometry.depth.clone()
    track_views(ClipFlows(frames[:3]), _first(geometry, 3), options=TrackOptions(max_points=100))
    track_times(ClipFlows(frames[:2]), geometry)
    assert torch.equal(frames, walk.frames) and torch.equal(geometry.depth, depth)


def _first(geometry: Geometry, count: int) -> Geometry:
    return Geometry(
        geometry.depth[:count], geometry.intrinsics[:count], geometry.mask[:count], geometry.world_to_cam[:count]
    )


def test_progress_counts_views_and_times(walk: World) -> None:
    seen: list[tuple[int, int]] = []
    pictures: list[torch.Tensor] = []

    def note(done: int, total: int, preview: torch.Tensor | None = None) -> None:
        pictures.extend([] if preview is None else [preview])
        seen.append((done, total))

    track_views(ClipFlows(walk.frames[:2]), _first(walk.geometry, 2), on_step=note)
    track_times(ClipFlows(walk.frames[:3]), walk.geometry, on_step=note)
    assert seen[:2] == [(1, 2), (2, 2)]
    times = seen[2:]
    assert times == sorted(times) and len({n for _, n in times}) == 1 and times[-1][0] == times[-1][1]
    for frame, picture in zip((walk.frames[0], walk.frames[1], walk.frames[2]), pictures, strict=True):
        drawn = picture.sum(-1) > 0  # the points that a frame sees, in their places
        assert drawn.float().mean() > 0.3 and (picture - frame)[drawn].abs().mean() < 0.1


@pytest.mark.parametrize("follow", [track_views, track_times])
def test_stopping_passes_through(walk: World, follow: object) -> None:
    def stop(done: int, total: int, preview: torch.Tensor | None = None) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        follow(walk.clip, walk.geometry, on_step=stop)


def test_geometry_of_another_clip_is_refused(walk: World) -> None:
    with pytest.raises(InputError, match="geometry of the same clip"):
        track_views(ClipFlows(walk.frames[:3]), walk.geometry)
    with pytest.raises(InputError, match="as the geometry"):
        track_times(ClipFlows(walk.frames[:, :40]), walk.geometry)
    with pytest.raises(InputError, match="geometry without cameras"):
        track_views(walk.clip, replace(walk.geometry, world_to_cam=None))


def test_options_are_checked() -> None:
    with pytest.raises(InputError, match="at most 0 points; expected at least 1"):
        TrackOptions(max_points=0)


def test_views_seen_from_an_arc_share_most_points() -> None:
    """More views of the same place add little: points are shared, not repeated."""
    counts = []
    for views in (3, 5):
        world = look(path(views, step=0.22 / (views - 1)))
        counts.append(len(choose_points(world.geometry, torch.ones(SIZE, dtype=torch.bool))[0]))
    assert counts[1] < 1.1 * counts[0]


def wall(views: int, flow: np.ndarray, back: np.ndarray) -> tuple[ClipFlows, Geometry]:
    """A camera that stands before a wall at distance 2, and an engine that has one flow each way."""
    h, w = flow.shape[:2]
    frames = (torch.arange(views) / 255)[:, None, None, None].expand(views, h, w, 3)

    def engine(a: np.ndarray, b: np.ndarray, init: np.ndarray | None = None) -> np.ndarray:
        return flow if a[0, 0] > b[0, 0] else back

    geometry = Geometry(
        torch.full((views, h, w), 2.0),
        intrinsics_from_focal(100.0, (h, w)).expand(views, 3, 3),
        torch.ones(views, h, w, dtype=torch.bool),
        torch.eye(4).expand(views, 4, 4),
    )
    return ClipFlows(frames, engine), geometry


def moved_px(tracks: Tracks, view: int) -> torch.Tensor:
    """By how many pixels the central keyframe's points are moved in a view, ``(H, W)`` along x."""
    central = tracks.keyframe == tracks.frames // 2
    pixels = [project(tracks.positions[v, central], tracks.intrinsics[v]) for v in (view, tracks.frames // 2)]
    return (pixels[0] - pixels[1])[:, 0].reshape(tracks.size)


def test_a_point_follows_flow_that_is_near_returns_and_stays_on_its_surface() -> None:
    flow, back = np.zeros((40, 140, 2), np.float32), np.zeros((40, 140, 2), np.float32)
    for first, by, returns in ((10, 2, 0.5), (30, 2, 1.5), (50, 20, 0), (90, 3, 0), (110, 3, 0)):
        flow[:, first : first + 10, 0] = by
        back[:, first + by : first + by + 10, 0] = returns - by
    clip, geometry = wall(2, flow, back)
    geometry.depth[0, :, 88:108] = 2.5  # where the fourth one leads, a quarter farther
    geometry.depth[0, :, 112:124] = 2.15  # the fifth: another depth of the same surface
    tracks = track_views(clip, geometry)
    moved = moved_px(tracks, 0)
    for column, expected in ((15, 2.0), (35, 0.0), (55, 0.0), (95, 0.0), (115, 3.0), (80, 0.0)):
        torch.testing.assert_close(moved[:, column], torch.full((40,), expected), rtol=0, atol=1e-3)
    central = tracks.positions[0, tracks.keyframe == 1].reshape(40, 140, 3)
    torch.testing.assert_close(central[:, 115, 2], torch.full((40,), 2.15))
    visible = tracks.visible[0, tracks.keyframe == 1].reshape(40, 140)
    # followed, though off the surface that its own depth predicts; not followed, but on it; neither
    assert visible[:, 115].all() and visible[:, 35].all() and not visible[:, 95].any()


def test_a_point_follows_the_flow_of_its_own_pixel() -> None:
    flow, back = np.zeros((24, 40, 2), np.float32), np.zeros((24, 40, 2), np.float32)
    flow[12, 20, 0], back[12, 22, 0] = 2, -2
    clip, geometry = wall(2, flow, back)
    expected = torch.zeros(24, 40)
    expected[12, 20] = 2
    torch.testing.assert_close(moved_px(track_views(clip, geometry), 0), expected, rtol=0, atol=1e-3)


def test_views_far_from_a_points_own_are_not_asked() -> None:
    flow = np.full((20, 40, 2), (1, 0), np.float32)
    clip, geometry = wall(9, flow, -flow)
    tracks = track_views(clip, geometry)
    assert [float(moved_px(tracks, v)[10, 20]) for v in (0, 1, 2, 3)] == pytest.approx([0, 1, 1, 1], abs=1e-3)


def test_a_point_that_leaves_the_picture_stays_rigid() -> None:
    flow = np.zeros((20, 40, 2), np.float32)
    flow[:, 36:, 0] = 6
    clip, geometry = wall(2, flow, np.zeros_like(flow) - flow)
    assert float(moved_px(track_views(clip, geometry), 0)[:, 36:].abs().max()) < 1e-3
