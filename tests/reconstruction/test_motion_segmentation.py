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
from fourreal_core.reconstruction.view_correspondence import match_by_geometry
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
    return ClipMotion(scene, frames, flow, [match_by_geometry(scene, v) for v in range(scene.views)])


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


def shifted(motion: ClipMotion, columns: int) -> ClipMotion:
    """Every match of the other views is off by so many columns."""
    wrong = [replace(m, column=(m.column + columns).clamp(0, SIZE[1] - 1)) for m in motion.matches[1:]]
    return replace(motion, matches=[motion.matches[0], *wrong])


@pytest.mark.parametrize("columns", [-3, 3])
def test_labels_beside_an_outline_are_not_transferred(columns: int) -> None:
    """Matches are off by as much as the rim, and every view still moves up to its own outline."""
    maps = motion_maps(shifted(seen_by(wall_scene(), right_half_slides(), halves(3)), columns))
    for view in range(3):
        assert torch.equal(maps[view], outline(view))


def test_matches_without_confidence_are_not_followed() -> None:
    motion = seen_by(wall_scene(), right_half_slides(), halves(3))
    match = motion.matches[1]
    own = pixel_grid(SIZE)[..., 0].reshape(-1)
    lost = own > HALF + 4
    match = replace(match, column=torch.where(lost, 2, match.column), confidence=match.confidence * ~lost)
    maps = motion_maps(replace(motion, matches=[motion.matches[0], match, motion.matches[2]]))
    assert torch.equal(maps[1], outline(1))


def test_what_nothing_is_known_about_stands() -> None:
    """A patch of another colour that view 0 does not show, in the middle of what moves."""
    frames = halves(3)
    frames[1, 8:14, 20:26] = torch.tensor([0.9, 0.1, 0.1])
    motion = seen_by(wall_scene(), right_half_slides(), frames)
    patch = torch.zeros(SIZE, dtype=torch.bool)
    patch[8:14, 20:26] = True
    match = motion.matches[1]
    match = replace(match, confidence=match.confidence * ~patch.reshape(-1))
    maps = motion_maps(replace(motion, matches=[motion.matches[0], match, motion.matches[2]]))
    assert not maps[1][patch].any() and torch.equal(maps[1][~patch], outline(1)[~patch])


def mixed_half(moving_share: float, seen: bool = True, axis: int = 0) -> ClipMotion:
    """A share of the right half's tracks moves, the others seem to stand; its texture is strong along x or y."""
    flow = right_half_slides()
    at = pixel_grid(SIZE)
    edge = HALF - torch.arange(3)[:, None, None, None]
    texture = 0.1 * torch.sin(at[..., axis : axis + 1] * 1.7)
    frames = (torch.where(at[..., :1] < edge, 0.2, 0.8) + texture).expand(-1, -1, -1, 3)
    stuck = torch.rand(len(flow.points), generator=torch.Generator().manual_seed(0)) > moving_share
    visible = flow.visible.clone()
    visible[1:] = seen
    flow = replace(flow, travel_px=torch.where(stuck, 0.0, flow.travel_px), visible=visible)
    return seen_by(wall_scene(), flow, frames)


@pytest.mark.parametrize("axis", [0, 1])
def test_the_majority_of_sure_tracks_decides_a_region(axis: int) -> None:
    """However strong its texture, a track that stands counts no more than one that moves."""
    assert torch.equal(motion_maps(mixed_half(0.85, axis=axis))[0], outline(0))
    assert not motion_maps(mixed_half(0.15, axis=axis))[0].any()


def test_moving_tracks_that_were_seldom_seen_count_less() -> None:
    assert not motion_maps(mixed_half(0.6, seen=False))[0].any()


def test_depth_ends_a_region_where_colour_does_not() -> None:
    """One painting over both halves; the moving one is nearer, up to a column that its tracks do not reach."""
    frames = 0.5 + 0.04 * torch.sin(pixel_grid(SIZE).sum(-1) * 2.1)[None, ..., None].expand(3, -1, -1, 3)
    scene = wall_scene()
    nearer = torch.where(pixel_grid(SIZE)[..., 0] > HALF, 0.6 * DISTANCE, DISTANCE)
    scene = replace(scene, view_depth=torch.stack([nearer, scene.view_depth[1], scene.view_depth[2]]))
    flow = right_half_slides()
    column = flow.pixels[:, 0]
    beside = (column > HALF) & (column < HALF + 3)
    flow = replace(flow, travel_px=torch.where(beside, 0.0, flow.travel_px))
    frames[0, :, HALF - 3 : HALF + 6] = 0.5  # no texture there: standing is hardly believed
    assert torch.equal(motion_maps(seen_by(scene, flow, frames))[0], outline(0))


@pytest.mark.parametrize(("say_so", "moves"), [(0, False), (1, False), (2, True), (3, True)])
def test_a_splat_moves_if_most_views_that_see_it_say_so(say_so: int, moves: bool) -> None:
    scene = wall_scene()
    maps = torch.zeros(3, *SIZE)
    maps[:say_so] = 1
    at = scene.splats.means[:, :2].abs() < PIXEL * torch.tensor([SIZE[1] / 2 - 2, SIZE[0] / 2 - 2])
    weight = splat_motion(scene, maps)
    assert bool((weight[at.all(-1)] == float(moves)).all())
    outside = scene.splats.means[:, 0] > PIXEL * (SIZE[1] / 2 + 2)  # on no picture: no view has a say
    assert not weight[outside].any()
    blind = scene.visible.clone()
    blind[0] = False  # a view that does not see it has none either
    weight = splat_motion(replace(scene, visible=blind), maps)
    assert bool((weight[at.all(-1)] == float(say_so > 2)).all())


def test_a_plain_body_moves_as_its_rim_does() -> None:
    """Inside it tracks seem to stand; what they measured there is not taken for its motion."""
    flow, frames = right_half_slides(), halves(3)
    frames[..., HALF:, :] = 0.8
    inner = (flow.pixels[:, 0] > HALF + 4) & (flow.pixels[:, 0] < SIZE[1] - 4)
    offsets = torch.where(inner[None, :, None], torch.zeros(()), flow.offsets)
    flow = replace(flow, offsets=offsets, travel_px=torch.where(inner, 0.0, flow.travel_px))
    motion = seen_by(wall_scene(), flow, frames)
    residual = residual_maps(motion, motion_maps(motion), sliding(TIMES, (0.0, 0.0)), cell=1)
    shift = residual[0, 3, 0] * DISTANCE / PIXEL
    assert float((shift[:, HALF + 1 :] - 5).abs().max()) < 0.01


def test_seldom_seen_tracks_have_less_part_in_the_residual() -> None:
    """Every second row says 5 pixels, the others 1; these were seen at the first time alone."""
    flow = right_half_slides()
    odd = flow.pixels[:, 1].long() % 2 == 1
    offsets = torch.where(odd[None, :, None], 0.2 * flow.offsets, flow.offsets)
    visible = flow.visible.clone()
    visible[1:, odd] = False
    motion = seen_by(wall_scene(), replace(flow, offsets=offsets, visible=visible), halves(3))
    residual = residual_maps(motion, outline(0).expand(3, -1, -1), sliding(TIMES, (0.0, 0.0)), cell=2)
    shift = float((residual[0, 3, 0, 3:-3, HALF // 2 + 2 :] * DISTANCE / PIXEL).mean())
    assert shift == pytest.approx((5 + 0.25) / 1.25, abs=0.1)  # shares 1 and 1/4


def test_the_field_is_taken_off_as_far_as_the_residual_is_read() -> None:
    """Without a colour edge the residual reaches beyond the outline; so must the field, or the outline would be off."""
    frames = torch.full((3, *SIZE, 3), 0.5)
    motion = seen_by(wall_scene(deformation=sliding(TIMES, (2.0, 0.0))), right_half_slides(), frames)
    maps = torch.stack([outline(v) for v in range(3)])
    residual = residual_maps(motion, maps, motion.scene.deformation)
    points = pixel_points(replace(motion.scene, view_motion=maps, motion_residual=residual), 0)
    shift = (points.at(3) - points.rest).view(*SIZE, 3)[..., 0] / PIXEL
    assert float((shift[maps[0] == 1] - 5).abs().max()) < 0.02
    assert not shift[maps[0] == 0].any()


def test_what_stands_has_no_part_in_the_residual_of_what_moves() -> None:
    """Pixels of a view's standing half match what slides the other way in view 0."""
    flow, frames = right_half_slides(), torch.full((3, *SIZE, 3), 0.5)
    far_left = flow.pixels[:, 0] < 6
    flow = replace(
        flow,
        offsets=torch.where(far_left[None, :, None], -flow.offsets[:, -1:], flow.offsets),
        travel_px=torch.where(far_left, 5.0, flow.travel_px),
    )
    motion = seen_by(wall_scene(), flow, frames)
    match, own = motion.matches[1], pixel_grid(SIZE)[..., 0].reshape(-1)
    wrong = replace(match, column=torch.where(own < HALF - 1, 2, match.column))
    motion = replace(motion, matches=[motion.matches[0], wrong, motion.matches[2]])
    residual = residual_maps(motion, outline(1).expand(3, -1, -1), sliding(TIMES, (0.0, 0.0)), cell=1)
    shift = residual[1, 3, 0] * DISTANCE / PIXEL
    assert float((shift[outline(1) == 1] - 5).abs().max()) < 0.05


def test_an_unsure_match_still_counts_where_there_is_nothing_else() -> None:
    """A patch of other colour and depth, matched without confidence, takes its own offset, not that across its edge."""
    frames, scene = halves(3), wall_scene()
    frames[1, 8:14, 20:26] = torch.tensor([0.9, 0.1, 0.1])
    flow = right_half_slides()
    inside = (flow.pixels[:, 0] > 21) & (flow.pixels[:, 0] < 27) & (flow.pixels[:, 1] > 8) & (flow.pixels[:, 1] < 14)
    offsets = torch.where(inside[None, :, None], 0.4 * flow.offsets, flow.offsets)
    motion = seen_by(wall_scene(), replace(flow, offsets=offsets), frames)
    patch = torch.zeros(SIZE, dtype=torch.bool)
    patch[8:14, 20:26] = True
    unsure = replace(motion.matches[1], confidence=motion.matches[1].confidence * ~patch.reshape(-1))
    scene = replace(scene, view_depth=torch.where(patch, 0.4, 1.0) * scene.view_depth)
    motion = replace(motion, scene=scene, matches=[motion.matches[0], unsure, motion.matches[2]])
    residual = residual_maps(motion, outline(1).expand(3, -1, -1), sliding(TIMES, (0.0, 0.0)), cell=1)
    shift = residual[1, 3, 0] * DISTANCE / PIXEL
    assert float((shift[patch] - 2).abs().max()) < 0.1


def test_a_match_without_confidence_has_no_part_in_the_residual() -> None:
    """Some of a view's moving pixels match, without confidence, what slides the other way."""
    flow = right_half_slides()
    far_left = flow.pixels[:, 0] < 6
    flow = replace(
        flow,
        offsets=torch.where(far_left[None, :, None], -flow.offsets[:, -1:], flow.offsets),
        travel_px=torch.where(far_left, 5.0, flow.travel_px),
    )
    motion = seen_by(wall_scene(), flow, halves(3))
    match, own = motion.matches[1], pixel_grid(SIZE)[..., 0].reshape(-1)
    lost = (own > HALF + 4) & (own < HALF + 9)
    match = replace(match, column=torch.where(lost, 2, match.column), confidence=match.confidence * ~lost)
    motion = replace(motion, matches=[motion.matches[0], match, motion.matches[2]])
    residual = residual_maps(motion, outline(1).expand(3, -1, -1), sliding(TIMES, (0.0, 0.0)), cell=1)
    shift = residual[1, 3, 0] * DISTANCE / PIXEL
    assert float((shift[outline(1) == 1] - 5).abs().max()) < 0.01
