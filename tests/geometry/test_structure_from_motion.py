"""Cameras and depth from parallax alone, on a little world whose truth is known."""

from __future__ import annotations

import logging
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from fourreal_core.cameras import Cameras
from fourreal_core.errors import InputError
from fourreal_core.flow.clip_flows import ClipFlows
from fourreal_core.geometry.bundle_adjustment import Bundle, Observations, median_error, reproject
from fourreal_core.geometry.geometry import Geometry
from fourreal_core.geometry.rotations import rotation_from_vector
from fourreal_core.geometry.structure_from_motion import (
    ParallaxOptions,
    margin,
    match_views,
    only_turning,
    parallax_geometry,
    solve_cameras,
)

from ..cancelling import Cancelled
from .worlds import FOCAL_PX, SIZE, World, look, path


def camera_errors(got: Geometry, true: World) -> tuple[float, float]:
    """Largest turn in degrees and largest error of a camera's centre over the baseline, after the best scale."""

    def centres(w2c: torch.Tensor) -> torch.Tensor:
        return -(w2c[:, :3, :3].transpose(1, 2) @ w2c[:, :3, 3:])[..., 0]

    a, b = centres(got.world_to_cam), centres(true.cameras.world_to_cam)
    scale = (a * b).sum() / (a * a).sum()
    turn = got.world_to_cam[:, :3, :3] @ true.cameras.world_to_cam[:, :3, :3].transpose(1, 2)
    cosine = ((turn.diagonal(dim1=1, dim2=2).sum(-1) - 1) / 2).clamp(-1, 1)
    baseline = (b[0] - b[-1]).norm()
    return math.degrees(float(torch.arccos(cosine).max())), float((scale * a - b).norm(dim=-1).max() / baseline)


def relative_depth_error(got: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Relative errors of depth after the one scale that parallax cannot know."""
    return (got * (true / got).median() / true - 1).abs()


def test_cameras_are_found_up_to_scale(walk: World, measured: Geometry) -> None:
    turn, shift = camera_errors(measured, walk)
    # flow on 120 px wide frames is good to about 0.1 px, 0.05 degrees; focal length and turn can be traded a little
    assert turn < 0.8
    assert shift < 0.08


def test_the_focal_length_is_found(measured: Geometry) -> None:
    # two planes that nearly face the camera say little of it: it may stay at its prior, 0.8 of the width, 20 % off
    assert float(measured.intrinsics[0, 0, 0]) == pytest.approx(FOCAL_PX, rel=0.21)
    assert torch.equal(measured.intrinsics[0], measured.intrinsics[-1])
    assert measured.intrinsics[0, :2, 2].tolist() == [SIZE[1] / 2, SIZE[0] / 2]


def test_depth_is_found_up_to_scale(walk: World, measured: Geometry) -> None:
    error = relative_depth_error(measured.depth, walk.depth)
    # 0.1 px of 15 px parallax is under 1 %; at the board's rim flow mixes two depths
    assert float(error.median()) < 0.03
    assert float(error.quantile(0.9)) < 0.25


def test_what_is_measured_is_whole_and_finite(measured: Geometry) -> None:
    assert measured.depth.shape == (5, *SIZE) and bool(measured.mask.all())
    assert bool((measured.depth > 0).all()) and bool(measured.depth.isfinite().all())
    assert float(measured.confidence.min()) >= 0 and float(measured.confidence.max()) <= 1
    assert torch.equal(measured.world_to_cam[2], torch.eye(4))  # the central camera is the world


def test_the_same_clip_gives_the_same_bits_and_stays_as_it_was(walk: World, measured: Geometry) -> None:
    before = walk.frames.clone()
    again = parallax_geometry(walk.clip)
    assert torch.equal(walk.frames, before)
    assert torch.equal(again.depth, measured.depth) and torch.equal(again.world_to_cam, measured.world_to_cam)


def test_a_known_focal_length_is_kept(walk: World) -> None:
    found = parallax_geometry(ClipFlows(walk.frames[1:4]), options=ParallaxOptions(focal_px=FOCAL_PX))
    assert float(found.intrinsics[0, 0, 0]) == pytest.approx(FOCAL_PX, rel=1e-6)
    error = relative_depth_error(found.depth, walk.depth[1:4])
    assert float(error.median()) < 0.04  # half the baseline of the whole clip


def test_two_views_are_enough(walk: World) -> None:
    found = parallax_geometry(ClipFlows(walk.frames[1:3]))
    assert found.depth.shape == (2, *SIZE) and bool(found.depth.isfinite().all())
    # two views leave the focal length to its prior, which bends depths but keeps their order
    board = walk.depth[1:3] < 3
    assert float(found.depth[board].median()) < 0.8 * float(found.depth[~board].median())


@pytest.mark.parametrize("yaw", [1.0, 3.0])
@pytest.mark.parametrize("focal_px", [FOCAL_PX, None])
def test_a_camera_that_only_turns_finishes_with_a_warning(
    yaw: float, focal_px: float | None, caplog: pytest.LogCaptureFixture
) -> None:
    turning = path(3, step=0.0, yaw_degrees=yaw).world_to_cam.clone()
    turning[:, :3, 3] = 0
    clip = look(Cameras(turning, path(3).intrinsics, SIZE))
    with caplog.at_level(logging.WARNING, logger="fourreal_core"):
        found = parallax_geometry(clip.clip, options=ParallaxOptions(focal_px=focal_px, grid_px=20))
    assert any("next to no parallax" in record.getMessage() for record in caplog.records)
    assert bool(found.depth.isfinite().all()) and bool(found.world_to_cam.isfinite().all())


def test_a_camera_that_stands_finishes_with_a_warning(walk: World, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="fourreal_core"):
        found = parallax_geometry(ClipFlows(walk.frames[:1].repeat(3, 1, 1, 1)))
    assert any("next to no parallax" in record.getMessage() for record in caplog.records)
    assert bool(found.depth.isfinite().all()) and bool(found.world_to_cam.isfinite().all())


@pytest.mark.parametrize("kind", ["black", "cut"])
def test_clips_that_show_nothing_together_are_refused_or_finite(walk: World, kind: str) -> None:
    frames = walk.frames[:4].clone()
    if kind == "black":
        frames[1:3] = 0
    else:
        frames[2:] = look(walk.cameras[:2], seed=77).frames
    try:
        found = parallax_geometry(ClipFlows(frames), options=ParallaxOptions(grid_px=24))
    except InputError as error:
        assert "no cut" in str(error)
    else:
        assert bool(found.depth.isfinite().all()) and bool((found.depth > 0).all())
        assert bool(found.world_to_cam.isfinite().all())


def test_a_camera_that_walks_gets_no_warning(walk: World, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="fourreal_core"):
        parallax_geometry(walk.clip, options=ParallaxOptions(grid_px=20))
    assert not caplog.records


def test_one_frame_is_refused(walk: World) -> None:
    with pytest.raises(InputError, match="a freeze-time clip with 1 frame; expected at least 2"):
        parallax_geometry(ClipFlows(walk.frames[:1]))


def test_a_mask_that_hides_everything_is_refused(walk: World) -> None:
    with pytest.raises(InputError, match="no two frames match"):
        parallax_geometry(ClipFlows(walk.frames[:3]), torch.zeros(SIZE, dtype=torch.bool))


def test_a_caption_does_not_count_as_the_scene(walk: World) -> None:
    """A caption that stands still in every frame would pull the cameras to a stop."""
    valid = torch.ones(SIZE, dtype=torch.bool)
    valid[50:66, 10:110] = False
    captioned = walk.frames.clone()
    stripes = (torch.arange(SIZE[1]) // 4 % 2).float()
    captioned[:, 50:66, 10:110] = stripes[10:110, None]
    found = parallax_geometry(ClipFlows(captioned), valid)
    assert not found.confidence[:, 46:70, 6:114].any()  # nor are four pixels around it trusted
    turn, shift = camera_errors(found, walk)
    # a fifth less of the picture than without the caption, so a little more than the errors there
    assert turn < 1.2 and shift < 0.12
    assert float(relative_depth_error(found.depth, walk.depth)[:, valid].median()) < 0.05


def test_progress_ends_at_its_total_and_stopping_passes_through(walk: World) -> None:
    seen: list[tuple[int, int]] = []
    pictures: list[torch.Tensor] = []

    def note(done: int, total: int, preview: torch.Tensor | None = None) -> None:
        seen.append((done, total))
        pictures.extend([] if preview is None else [preview])

    found = parallax_geometry(ClipFlows(walk.frames[:2]), on_step=note)
    near = found.depth < found.depth.flatten(1).median(1).values[:, None, None]
    assert len(pictures) == 2 and all(bool((p >= 0).all() & (p <= 1).all()) for p in pictures)
    for picture, closer in zip(pictures, near, strict=True):
        assert picture[closer].mean() > picture[~closer].mean() + 0.1  # near is bright
    assert seen[-1][0] == seen[-1][1] and len({total for _, total in seen}) == 1
    assert [done for done, _ in seen] == sorted(done for done, _ in seen) and seen[0][0] >= 1

    def stop(done: int, total: int, preview: torch.Tensor | None = None) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        parallax_geometry(ClipFlows(walk.frames[:2]), on_step=stop)


def test_a_margin_is_taken_off_around_what_is_invalid_but_not_off_the_frame() -> None:
    valid = np.ones((9, 12), bool)
    valid[4, 6] = False
    kept = margin(valid, 2)
    expected = np.ones_like(valid)
    expected[2:7, 4:9] = False
    assert np.array_equal(kept, expected) and np.array_equal(margin(valid, 0), valid)


def test_matches_are_where_the_flow_says() -> None:
    shift = np.tile(np.float32([3.0, 1.0]), (48, 64, 1))
    flows = {(0, 1): shift, (1, 0): -shift, (1, 2): shift, (2, 1): -shift}
    obs = match_views(flows, np.ones((48, 64), bool), 3, ParallaxOptions())
    assert (
        len(obs.pairs) == 4
        and obs.anchor.tolist() == sorted(obs.anchor.tolist())
        and len(obs.pixels) == len(obs.anchor)
    )
    for (i, j), (index, seen, weight) in obs.pairs.items():
        sign = 1 if i < j else -1
        np.testing.assert_allclose(seen - obs.pixels[index], np.tile([3.0 * sign, 1.0 * sign], (len(index), 1)))
        assert (weight == 1).all() and (obs.anchor[index] == i).all()
        assert (np.abs(seen) <= [31.5, 23.5]).all()  # what left the picture is no match


def test_a_match_must_return_and_counts_by_how_well() -> None:
    """Flows that miss their start by half a pixel on the left, and by more than one on the right."""
    forth, back = (np.tile(np.float32([x, 0.0]), (48, 64, 1)) for x in (2.0, -2.0))
    back[:, :30, 1], back[:, 30:, 1] = 0.5, 1.2
    obs = match_views({(0, 1): forth, (1, 0): back}, np.ones((48, 64), bool), 2, ParallaxOptions())
    index, seen, weight = obs.pairs[0, 1]
    assert (seen[:, 0] + 31.5 < 31).all() and len(index) > 50
    np.testing.assert_allclose(weight, 1 / (1 + 0.25), rtol=1e-3)


@pytest.mark.parametrize(("width", "pairs"), [(6, 0), (30, 2)])
def test_a_few_matches_join_no_views(width: int, pairs: int) -> None:
    valid = np.zeros((24, 64), bool)
    valid[:12, :width] = True  # one match in 3 x 3 pixels: 8 or 40 of them
    still = np.zeros((24, 64, 2), np.float32)
    obs = match_views({(0, 1): still, (1, 0): still}, valid, 2, ParallaxOptions())
    assert len(obs.pairs) == pairs


@pytest.mark.parametrize(("views", "stride"), [(2, 12), (16, 12), (64, 24)])
def test_matched_points_are_twelve_pixels_apart_of_512_and_more_in_many_views(views: int, stride: int) -> None:
    obs = match_views({}, np.ones((48, 512), bool), views, ParallaxOptions())
    assert np.diff(np.unique(obs.pixels[:, 0])).tolist() == [stride] * (512 // stride - (512 % stride <= stride // 2))


def true_matches(views: int, outliers: float, focal_px: float = 110.0) -> tuple[Bundle, Observations]:
    """Cameras that walk and turn a little, forty random points in each, and where every other view sees them."""
    rng = np.random.default_rng(0)
    steps = np.arange(views) - views // 2
    rotations = np.stack([rotation_from_vector(np.array([0.01 * k, -0.05 * k, 0.01 * k])) for k in steps])
    centres = np.array([[0.12 * k, 0.01 * k, 0.02 * k] for k in steps])
    translations = -np.einsum("vij,vj->vi", rotations, centres)
    state = Bundle(rotations, translations, 1 / rng.uniform(0.6, 2.5, views * 40), focal_px)
    obs = Observations(rng.uniform(-45, 45, (views * 40, 2)), np.repeat(np.arange(views), 40), {})
    for i in range(views):
        for j in set(range(views)) - {i}:
            index = np.arange(i * 40, i * 40 + 40)
            obs.pairs[i, j] = (index, np.zeros((40, 2)), np.ones(40))
            seen = reproject(state, obs, (i, j))[2]
            wrong = rng.random(40) < outliers
            seen[wrong] += rng.uniform(-10, 10, (int(wrong.sum()), 2))
            obs.pairs[i, j] = (index, seen, np.ones(40))
    return state, obs


def test_wrong_matches_hardly_move_the_cameras() -> None:
    true, obs = true_matches(5, 0.15)
    found = solve_cameras(obs, 5, 100, ParallaxOptions(focal_px=110.0))
    cosine = (np.einsum("vij,vij->v", found.rotations, true.rotations) - 1) / 2
    assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < 0.15


@pytest.mark.parametrize("focal_px", [70.0, 200.0])
def test_wide_and_long_lenses_are_found_from_one_start(focal_px: float) -> None:
    true, obs = true_matches(6, 0.0, focal_px)
    found = solve_cameras(obs, 6, 100, ParallaxOptions())
    assert found.focal_px == pytest.approx(focal_px, rel=0.06) and found.cost < 0.05  # the prior draws a long one to 80


def test_a_view_without_matches_takes_its_neighbours_pose() -> None:
    _, obs = true_matches(7, 0.0)
    alone = replace(obs, pairs={pair: match for pair, match in obs.pairs.items() if 6 not in pair})
    found = solve_cameras(alone, 7, 100, ParallaxOptions(focal_px=110.0))
    np.testing.assert_allclose(found.rotations[6], found.rotations[5], atol=0.06)
    assert np.degrees(np.arccos((np.trace(found.rotations[6] @ found.rotations[3].T) - 1) / 2)) > 3


@pytest.mark.parametrize(("step", "turns"), [(0.0, True), (0.02, False)])
def test_turning_explains_a_clip_without_parallax_only(step: float, turns: bool) -> None:
    true, obs = true_matches(4, 0.0)
    still = replace(true, translations=step / 0.12 * true.translations)
    pairs = {}
    for pair, (index, _, weight) in obs.pairs.items():
        obs.pairs[pair] = (index, np.zeros((40, 2)), weight)
        pairs[pair] = (index, reproject(still, obs, pair)[2], weight)
    obs = replace(obs, pairs=pairs)
    turning = only_turning(still, obs, 100, True)
    assert (turning is not None) is turns
    if turning is not None:
        assert not turning.translations.any() and median_error(turning, obs) < 1e-3
        off = replace(still, focal_px=100.0)
        kept, free = (only_turning(off, obs, 100, fix_focal) for fix_focal in (True, False))
        assert kept is not None and kept.focal_px == 100.0
        assert free is not None and free.focal_px == pytest.approx(110, rel=0.01)


def test_matches_keep_off_what_is_invalid() -> None:
    valid = np.ones((48, 64), bool)
    valid[:, 30:40] = False
    shift = np.tile(np.float32([6.0, 0.0]), (48, 64, 1))
    obs = match_views({(0, 1): shift, (1, 0): -shift}, valid, 2, ParallaxOptions())
    for index, seen, _ in obs.pairs.values():
        for x in (obs.pixels[index, 0] + 31.5, seen[:, 0] + 31.5):
            assert not ((x >= 30) & (x <= 39)).any()


@pytest.mark.parametrize("views", [4, 5])
def test_cameras_grow_outward_from_the_middle(walk: World, views: int) -> None:
    flows = ClipFlows(walk.frames[:views]).pairs(views - 1)
    options = ParallaxOptions(focal_px=FOCAL_PX)
    obs = match_views(flows, np.ones(SIZE, bool), views, options)
    state = solve_cameras(obs, views, SIZE[1], options)
    assert np.array_equal(state.rotations[views // 2], np.eye(3))
    assert np.median(state.inv_depth) == pytest.approx(1)
    assert state.cost < 0.2  # squared pixels


@pytest.mark.parametrize("wrong", [{"focal_px": 0.0}, {"focal_px": -5.0}, {"grid_px": 0.0}])
def test_options_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="default|leave it out"):
        ParallaxOptions(**wrong)
