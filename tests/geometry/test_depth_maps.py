"""Depth pictures brought to scale: whatever they are affine to, the truth comes out."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from fourreal_core.cameras import Cameras
from fourreal_core.errors import InputError
from fourreal_core.geometry.align_monocular import matched_points
from fourreal_core.geometry.bundle_adjustment import Bundle, Observations
from fourreal_core.geometry.depth_maps import DepthPictures, _Fit, _fit, _guess, align
from fourreal_core.geometry.structure_from_motion import ParallaxOptions, find_cameras

from .worlds import FOCAL_PX, SIZE, World, look, path

GAIN = torch.tensor([1.0, 1.3, 0.8, 1.1, 0.7])[:, None, None]
SHIFT = torch.tensor([0.0, 0.2, -0.1, 0.3, 0.1])[:, None, None]
Solved = tuple[Bundle, Observations]
KNOWN = ParallaxOptions(focal_px=FOCAL_PX)
"""The focal length is not what is tested here."""


@pytest.fixture(scope="module")
def solved(walk: World) -> Solved:
    """Cameras and matched points, found once."""
    found = find_cameras(walk.clip, options=KNOWN)
    return found.state, found.obs


def drawn(walk: World, kind: str) -> torch.Tensor:
    """What a network might draw: an affine map of its own in every frame."""
    return {
        "inverse": GAIN / walk.depth + SHIFT,
        "near small": 3 - GAIN / walk.depth,
        "depth": GAIN * walk.depth + SHIFT,
        "metric": GAIN * walk.depth,
    }[kind]


def depth_error(depth: torch.Tensor, walk: World) -> tuple[float, float]:
    """Median relative error over all frames after one common factor, and the largest of the frames' own factors."""
    factors = (depth / walk.depth).flatten(1).median(1).values
    error = (depth / factors.median() / walk.depth - 1).abs()
    return float(error.median()), float((factors / factors.median() - 1).abs().max())


@pytest.mark.parametrize(
    ("drawing", "kind"),
    [
        ("inverse", "inverse"),
        ("inverse", "auto"),
        ("near small", "auto"),
        ("depth", "depth"),
        ("depth", "auto"),
        ("metric", "metric"),
    ],
)
def test_any_affine_drawing_comes_out_right(walk: World, solved: Solved, drawing: str, kind: str) -> None:
    depth = 1 / torch.from_numpy(align(drawn(walk, drawing).double().numpy(), *solved, kind))
    error, drift = depth_error(depth, walk)
    # what adjustment leaves at the matched points: a few per cent each, less over some hundred of them
    assert error < 0.03 and drift < 0.04
    assert bool(depth.isfinite().all()) and float(depth.min()) > 0


def test_a_slanting_scene_tells_depth_from_inverse_depth(solved: Solved) -> None:
    state, obs = solved
    rng = np.random.default_rng(0)
    state = replace(state, inv_depth=rng.uniform(0.25, 1.0, len(state.inv_depth)))
    pictures = np.zeros((5, *SIZE))
    for v in range(5):
        points, at = matched_points(obs, v, SIZE)
        pictures[v, at[:, 1], at[:, 0]] = 2 / state.inv_depth[points] + 1
    found = align(pictures, state, obs, "auto")
    for v in range(5):
        points, at = matched_points(obs, v, SIZE)
        # exact but for points that share a pixel, and bounds at the outermost 0.2 %
        error = np.abs(found[v, at[:, 1], at[:, 0]] / state.inv_depth[points] - 1)
        assert np.median(error) < 1e-3


def test_a_frame_that_matches_nothing_takes_the_others_numbers(walk: World, solved: Solved) -> None:
    state, obs = solved
    alone = replace(obs, pairs={pair: seen for pair, seen in obs.pairs.items() if 4 not in pair})
    depth = 1 / torch.from_numpy(align((1 / walk.depth + 0.2).double().numpy(), state, alone, "inverse"))
    # one map for all frames here, so the others' is the right one
    error, drift = depth_error(depth, walk)
    assert error < 0.03 and drift < 0.04
    with pytest.raises(InputError, match="at most 0 matched points a frame; expected at least 12"):
        align((1 / walk.depth).double().numpy(), state, replace(obs, pairs={(0, 1): _nothing(obs)}), "inverse")


def _nothing(obs: Observations) -> tuple[np.ndarray, ...]:
    return tuple(x[:0] for x in obs.pairs[0, 1])


def test_the_source_is_one_call(walk: World) -> None:
    """Small pictures are enlarged, and the cameras come along."""
    small = torch.nn.functional.interpolate(drawn(walk, "inverse")[:, None], scale_factor=0.5, mode="area")[:, 0]
    seen: list[tuple[int, int]] = []
    found = DepthPictures(small, "inverse")(
        walk.clip, options=KNOWN, on_step=lambda done, total, preview=None: seen.append((done, total))
    )
    assert found.size == SIZE and depth_error(found.depth, walk)[0] < 0.03
    assert found.cameras.world_to_cam.shape == (5, 4, 4) and seen == sorted(seen) and seen[-1] == (10, 10)


def test_cameras_that_are_known_are_kept(walk: World) -> None:
    """Drawn of inverse depth, in no unit; the cameras, in a unit of their own, say what depth that is."""
    cameras = Cameras(walk.cameras.world_to_cam, walk.cameras.intrinsics, SIZE)
    geometry = DepthPictures(drawn(walk, "inverse"), cameras=cameras)(walk.clip)
    assert torch.equal(geometry.intrinsics, cameras.intrinsics)
    turn = geometry.world_to_cam[:, :3, :3] - cameras.world_to_cam[:, :3, :3]  # the central camera is the world in both
    assert float(turn.abs().max()) < 1e-6
    middle, far = depth_error(geometry.depth, walk)
    assert middle < 0.02 and far < 0.1


def test_a_camera_that_only_turns_is_reported_and_gives_a_plain_guess(caplog: pytest.LogCaptureFixture) -> None:
    cameras = path(3, 0.0, 1.5)
    cameras.world_to_cam[:, :3, 3] = 0
    turning = look(cameras)
    with caplog.at_level(logging.WARNING, "fourreal_core"):
        found = DepthPictures(1 / turning.depth, "inverse")(turning.clip, options=KNOWN)
    assert "next to no parallax (a camera that only turns" in caplog.text
    assert "scale and shift of the depth pictures are a guess" in caplog.text
    assert 0.6 < float(found.depth.min()) < float(found.depth.max()) < 2.1  # inverse depth from 0.5 to 1.5
    nearer = turning.depth < turning.depth.mean()
    assert float(found.depth[nearer].max()) < float(found.depth[~nearer].min())


def test_wrong_pictures_are_refused(walk: World) -> None:
    good = drawn(walk, "inverse")
    with pytest.raises(InputError, match="4 depth pictures; expected 5"):
        DepthPictures(good[:4])(walk.clip)
    with pytest.raises(InputError, match="aspect ratio"):
        DepthPictures(good[:, :, :60])(walk.clip)
    with pytest.raises(InputError, match="kind 'deep'"):
        DepthPictures(good, "deep")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="of shape"):
        DepthPictures(good[..., None])
    with pytest.raises(InputError, match="NaN or infinite"):
        DepthPictures(torch.full_like(good, float("nan")))


def test_a_flat_picture_is_refused(walk: World) -> None:
    flat = drawn(walk, "inverse")
    flat[2] = 0.5
    with pytest.raises(InputError, match="number 2 is one flat value"):
        DepthPictures(flat)(walk.clip)


def test_wrong_points_hardly_move_the_line() -> None:
    """A fifth of the matched points at twice their inverse depth."""
    rng = np.random.default_rng(0)
    picture = rng.uniform(0, 1, 200)
    inverse = 0.3 + 0.7 * picture
    inverse[::5] *= 2
    line = _fit(picture, inverse, False, False)
    assert line.a == pytest.approx(0.7, rel=0.02) and line.b == pytest.approx(0.3, rel=0.02)


def test_near_and_far_points_count_alike() -> None:
    """Points from 0.5 to 20 away are off by a tenth, this way and that."""
    inverse = np.geomspace(0.05, 2, 400)
    line = _fit(inverse, inverse * np.tile([1.1, 0.9], 200), False, False)
    assert line.error == pytest.approx(0.1, rel=0.1) and line.a == pytest.approx(1, rel=0.06) and abs(line.b) < 0.005


def test_a_guess_puts_the_middle_one_away() -> None:
    metric = _guess(np.array([1.0, 2.0, 3.0, 4.0, 100.0]), "metric")
    np.testing.assert_allclose(metric, [3, 1.5, 1, 0.75, 0.1])
    depth, inverse = (_guess(np.linspace(0, 10, 101), kind) for kind in ("depth", "inverse"))
    assert depth[[0, 50, 100]].tolist() == pytest.approx([1.5, 1, 0.5])
    assert inverse[[0, 50, 100]].tolist() == pytest.approx([0.5, 1, 1.5])


def test_values_beyond_the_points_are_clipped() -> None:
    picture = np.array([[-10.0, 0.5, 10.0]])
    inverse = _Fit(1.0, 0.0, False, 0.0).inverse_depth(picture, 0.2, 2.0)
    assert inverse.tolist() == [[0.2, 0.5, 2.0]]
    depth = _Fit(1.0, 0.0, True, 0.0).inverse_depth(picture, 0.2, 2.0)
    assert depth.tolist() == [[2.0, 2.0, 0.2]]  # depths of 0.5 to 5
