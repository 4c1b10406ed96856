"""What moves in every view, and what tracks found beyond the field, on a wall whose right half slides."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fourreal_core.cameras import pixel_grid
from fourreal_core.reconstruction.motion_segmentation import ClipMotion, motion_maps, splat_motion
from fourreal_core.reconstruction.scene_flow import SceneFlow
from fourreal_core.reconstruction.track_residual import residual_maps
from fourreal_core.reconstruction.view_correspondence import matches_with_first
from fourreal_core.scene.pixel_points import pixel_points, view_points
from fourreal_core.scene.scene4d import Scene4D

from ..scene.scenes import DISTANCE, PIXEL, SIZE, sliding, wall_scene

HALF = SIZE[1] // 2
TIMES = 4


def halves(views: int) -> Tensor:
    """Pictures of the wall: the left half is dark and the right one bright, with fine texture on both."""
    at = pixel_grid(SIZE)
    texture = 0.04 * torch.sin(at.sum(-1) * 2.1)[..., None].expand(-1, -1, 3)
    frames = []
    for view in range(views):  # cameras step one pixel to the right, so the picture moves one to the left
        edge = HALF - view
        frames.append(torch.where(at[..., :1] < edge, 0.2, 0.8) + texture)
    return torch.stack(frames)


def right_half_slides(unsure: int = 0, pixels: float = 5.0) -> SceneFlow:
    """View 0's pixels as tracks; the right half slides evenly; ``unsure`` columns beside the edge say the opposite."""
    points = view_points(wall_scene(), 0)
    column = pixel_grid(SIZE)[..., 0].reshape(-1)
    moves = column > HALF
    visible = torch.ones(TIMES, len(points), dtype=torch.bool)
    wrong = (column > HALF - unsure) & (column < HALF)
    visible[1:, wrong] = False
    moves = moves | wrong
    offsets = torch.zeros(TIMES, len(points), 3)
    offsets[:, moves, 0] = torch.arange(TIMES)[:, None] / (TIMES - 1) * pixels * PIXEL
    pixels_of = pixel_grid(SIZE).reshape(-1, 2)
    return SceneFlow(points, offsets, visible, pixels_of, moves * pixels, torch.full((len(points),), 1 / PIXEL))


def seen_by(scene: Scene4D, flow: SceneFlow, frames: Tensor) -> ClipMotion:
    """The views matched by geometry."""
    return ClipMotion(scene, frames, flow, matches_with_first(scene, frames, None))


def outline(view: int) -> Tensor:
    return (pixel_grid(SIZE)[..., 0] > HALF - view).float()


@pytest.mark.parametrize("unsure", [0, 3])
def test_every_view_moves_up_to_its_own_outline(unsure: int) -> None:
    maps = motion_maps(seen_by(wall_scene(), right_half_slides(unsure), halves(3)))
    assert maps.shape == (3, *SIZE) and set(maps.unique().tolist()) == {0.0, 1.0}
    for view in range(3):
        assert torch.equal(maps[view], outline(view))


def test_a_plain_body_that_seems_to_stand_moves_with_its_rim() -> None:
    motion, frames = right_half_slides(), halves(3)
    frames[..., HALF:, :] = 0.8  # no texture on what moves
    inner = (motion.pixels[:, 0] > HALF + 4) & (motion.pixels[:, 0] < SIZE[1] - 4)
    motion = replace(motion, travel_px=torch.where(inner, 0.0, motion.travel_px))
    assert torch.equal(motion_maps(seen_by(wall_scene(), motion, frames))[0], outline(0))


def test_nothing_moves_where_no_track_does() -> None:
    motion = right_half_slides()
    still = replace(motion, travel_px=torch.zeros_like(motion.travel_px))
    assert not motion_maps(seen_by(wall_scene(), still, halves(3))).any()


def test_what_view_0_does_not_see_takes_the_answer_of_its_region() -> None:
    scene, motion = wall_scene(), right_half_slides()
    depth = scene.view_depth.clone()
    depth[0, :, 4:8] = DISTANCE / 2  # something near hides a strip from view 0
    hidden = replace(scene, view_depth=depth)
    assert torch.equal(motion_maps(seen_by(hidden, motion, halves(3)))[2], outline(2))


def test_splats_take_the_answer_of_the_views_that_see_them() -> None:
    scene = wall_scene()
    maps = motion_maps(seen_by(scene, right_half_slides(), halves(3)))
    weight = splat_motion(scene, maps)
    half = PIXEL * (torch.tensor([SIZE[1], SIZE[0]]) / 2 - 3)
    inside = (scene.splats.means[:, :2].abs() < half).all(1)  # on every view's picture
    edge = PIXEL * -1.0  # the world is the middle camera, one pixel to the right of camera 0
    clear = (scene.splats.means[:, 0] - edge).abs() > PIXEL
    assert torch.equal(weight[inside & clear], (scene.splats.means[:, 0] > edge)[inside & clear].float())


def moving_scene(deformation_pixels: float) -> tuple[ClipMotion, Tensor]:
    motion = seen_by(wall_scene(deformation=sliding(TIMES, (deformation_pixels, 0.0))), right_half_slides(), halves(3))
    return motion, motion_maps(motion)


@pytest.mark.parametrize("field", [0.0, 2.0, 5.0])
def test_field_and_residual_together_are_the_tracks(field: float) -> None:
    motion, maps = moving_scene(field)
    residual = residual_maps(motion, maps, motion.scene.deformation, cell=1)
    assert residual.shape == (3, TIMES, 3, *SIZE) and not residual[:, 0].any()
    for view in range(3):
        points = pixel_points(replace(motion.scene, view_motion=maps, motion_residual=residual), view)
        for time in (1, 1.5, 3):
            shift = (points.at(time) - points.rest).view(*SIZE, 3)[..., 0] / PIXEL
            expected = outline(view) * 5 * time / (TIMES - 1)
            # bilinear reading mixes the two columns at the outline; float32 solves elsewhere
            away = (pixel_grid(SIZE)[..., 0] - (HALF - view)).abs() > 1.5
            torch.testing.assert_close(shift[away], expected[away], rtol=0, atol=2e-3)


def test_a_field_that_follows_leaves_no_residual() -> None:
    motion, maps = moving_scene(5.0)
    residual = residual_maps(motion, maps, motion.scene.deformation)
    assert residual.shape == (3, TIMES, 3, SIZE[0] // 2, SIZE[1] // 2)
    moving = torch.nn.functional.avg_pool2d(maps[0][None], 2)[0] == 1
    assert float(residual[0, 3, 0][moving].abs().max()) * DISTANCE / PIXEL < 2e-3  # pixels; float32 solves
