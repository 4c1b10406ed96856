"""What moves, where pixels stand in the world, and where they came from."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fourreal_core.cameras import pixel_grid, project
from fourreal_core.rasterizer import RasterOptions
from fourreal_core.reconstruction.scene_flow import scene_flow
from fourreal_core.scene.pixel_points import look_up, pixel_points, render_source_map, view_points
from fourreal_core.tracking.tracks import Tracks

from .scenes import DISTANCE, FOCAL, PIXEL, SIZE, sliding, true_time_tracks, wall_scene


def test_tracks_of_view_0_become_motion_of_the_world() -> None:
    scene = wall_scene()
    # one point straight ahead of camera 0, which stands one pixel left of the world's origin
    positions = torch.tensor([[[0.0, 0.0, DISTANCE]], [[0.5, 0.0, DISTANCE]], [[1.0, 0.0, DISTANCE]]])
    visible = torch.tensor([[True], [True], [False]])
    tracks = Tracks(
        positions,
        visible,
        torch.zeros(1, 3),
        torch.zeros(1, dtype=torch.long),
        torch.ones(1),
        scene.cameras.intrinsics,
        SIZE,
    )
    motion = scene_flow(scene, tracks)
    assert motion.points[0].tolist() == pytest.approx([-PIXEL, 0, DISTANCE])
    assert motion.offsets[:, 0, 0].tolist() == pytest.approx([0, 0.5, 1.0])
    assert motion.pixels[0].tolist() == pytest.approx([16.0, 12.0])
    assert motion.travel_px.tolist() == pytest.approx([1.0 / DISTANCE * FOCAL])  # the unsure last place counts too


def test_motion_of_a_turned_view_is_turned_back() -> None:
    scene = wall_scene()
    turn = torch.tensor([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    scene.cameras.world_to_cam[0, :3, :3] = turn
    tracks = true_time_tracks(wall_scene())
    motion = scene_flow(scene, tracks)
    torch.testing.assert_close(scene.cameras[0].to_camera(motion.points)[0], tracks.positions[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("view", [0, 1, 2])
def test_a_views_points_project_to_its_pixels(view: int) -> None:
    scene = wall_scene()
    here = scene.cameras[view].to_camera(view_points(scene, view))[0]
    torch.testing.assert_close(
        project(here, scene.cameras.intrinsics[view]), pixel_grid(SIZE).reshape(-1, 2), rtol=0, atol=1e-4
    )  # float32 pixels
    torch.testing.assert_close(here[:, 2], scene.view_depth[view].reshape(-1))


def test_a_views_points_move_with_the_scene() -> None:
    scene = wall_scene(deformation=sliding(4, (3.0, 0.0)))
    points = pixel_points(scene, 1)
    start, end = (scene.cameras[1].to_camera(points.at(t))[0] for t in (0, 3))
    torch.testing.assert_close(end - start, torch.tensor([3 * PIXEL, 0, 0]).expand_as(start), rtol=0, atol=1e-5)


@pytest.mark.parametrize("backend", ["torch", "auto"])
@pytest.mark.parametrize(("time", "source"), [(3, 0), (0, 3), (2, 1), (1, 1)])
def test_the_source_of_a_slide_is_where_it_came_from(time: int, source: int, backend: str) -> None:
    scene = wall_scene(deformation=sliding(4, (3.0, -1.5)))
    with torch.no_grad():
        shift, alpha = render_source_map(pixel_points(scene, 2), time, source, RasterOptions(backend=backend))
    expected = torch.tensor([3.0, -1.5]) * (source - time) / 3
    inner = (slice(4, -4), slice(4, -4))
    # a constant composited over a constant: only where alpha ends does rounding of float32 show
    torch.testing.assert_close(shift[inner], expected.expand_as(shift[inner]), rtol=0, atol=1e-4)
    assert float(alpha[inner].min()) > 0.9 and float(alpha.max()) <= 1


def test_what_slid_out_leaves_a_hole() -> None:
    scene = wall_scene(deformation=sliding(4, (12.0, 0.0)))
    with torch.no_grad():
        _, alpha = render_source_map(pixel_points(scene, 1), 3, 0)
    assert float(alpha[:, :9].max()) < 0.05 and float(alpha[4:-4, 16:].min()) > 0.9


@pytest.mark.parametrize("distance", [0.2, 2.0, 20.0])
def test_a_view_sees_points_near_its_depth_on_its_picture(distance: float) -> None:
    scene = wall_scene()
    scene = replace(scene, view_depth=torch.full_like(scene.view_depth, distance))
    at = torch.tensor([[0.0, 0, 1.03], [0, 0, 0.97], [0, 0, 1.1], [0, 0, 0.9], [3.0, 0, 1], [0, 0, -1.0]])
    column, row, seen = look_up(scene, 1, at * distance, 0.06)  # view 1 stands at the world's origin
    assert seen.tolist() == [True, True, False, False, False, False]
    assert (column[0], row[0]) == (16, 12) and int(column.max()) < SIZE[1]


def test_points_beyond_the_picture_are_looked_up_at_its_rim() -> None:
    """Points of the wall ten pixels beyond the middle of each side: to the left, the right, above and below."""
    middle = torch.tensor([SIZE[1] / 2, SIZE[0] / 2])
    far = torch.tensor([[-10.0, 12.5], [SIZE[1] + 10.0, 12.5], [16.5, -10.0], [16.5, SIZE[0] + 10.0]])
    points = torch.cat([(far - middle) * PIXEL, torch.full((4, 1), DISTANCE)], 1)
    column, row, seen = look_up(wall_scene(), 1, points, 0.05)
    assert column.tolist() == [0, SIZE[1] - 1, 16, 16] and row.tolist() == [12, 12, 0, SIZE[0] - 1]
    assert not seen.any()


def test_what_travels_less_than_tracks_are_sure_of_stands() -> None:
    scene = wall_scene()
    positions = torch.tensor([[0.0, 0.0, DISTANCE]]).repeat(3, 4, 1)
    positions[1, :, 0] += torch.tensor([0.0, 0.6, 0.8, 5.0]) * PIXEL
    positions[2, :3] = positions[1, :3]  # the last one goes and comes back
    tracks = Tracks(
        positions,
        torch.ones(3, 4, dtype=torch.bool),
        torch.zeros(4, 3),
        torch.zeros(4, dtype=torch.long),
        torch.ones(4),
        scene.cameras.intrinsics,
        SIZE,
    )
    flow = scene_flow(scene, tracks)
    assert flow.moves.tolist() == [False, False, True, True]
    assert flow.px_per_unit.tolist() == pytest.approx([FOCAL / DISTANCE] * 4)
    assert flow.select(flow.moves).travel_px.tolist() == pytest.approx([0.8, 5.0], abs=1e-4)
