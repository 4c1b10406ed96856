"""The viewer's payload against the scene it was made of, by a reader of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fourreal_core.cameras import project
from fourreal_core.errors import InputError
from fourreal_core.scene.scene4d import Scene4D
from fourreal_core.viewer import GivenFrame, PayloadOptions, viewer_payload
from fourreal_core.viewer.payload import key_times
from fourreal_core.viewer.quantize import compact_order, delta_coded, morton_order

from .scenes import Unpacked, lively_scene, mortal, unpack

TENTH_OF_A_PIXEL, QUARTER_OF_A_PIXEL = 0.1, 0.25


@pytest.fixture(scope="module")
def scene() -> Scene4D:
    return lively_scene()


def drawn(scene: Scene4D, found: Unpacked) -> torch.Tensor:
    """Which of the scene's splats a payload's are, told by where they stand: those that move come first."""
    distances = torch.cdist(torch.from_numpy(found.means), scene.splats.means.double())
    nearest = distances.min(dim=1)
    index = nearest.indices
    assert float(nearest.values.max()) < 1e-4 and len(index.unique()) == len(index)
    moves = scene.motion_weight[index] > 0
    assert bool(moves[: found.head["moving"]].all()) and not bool(moves[found.head["moving"] :].any())
    assert bool((scene.splats.opacities[index] >= 1 / 255).all())
    return index


def test_faint_splats_are_left_out_and_the_others_are_there(scene: Scene4D) -> None:
    found = unpack(viewer_payload(scene))
    faint = int((scene.splats.opacities < 1 / 255).sum())
    assert faint > 0 and found.head["splats"] == len(scene.splats) - faint
    index = drawn(scene, found)
    assert np.abs(found.colors - scene.splats.colors[index].numpy()).max() < 0.6 / 255
    assert np.abs(found.opacities - scene.splats.opacities[index].numpy()).max() < 0.6 / 255
    assert np.abs(found.scales / scene.splats.scales[index].numpy() - 1).max() < 1e-3


@pytest.mark.parametrize("time", [0, 0.3, 1, 2.5, 4])
def test_places_err_by_less_than_a_tenth_of_a_pixel_in_every_view(scene: Scene4D, time: float) -> None:
    packed = unpack(viewer_payload(scene))
    found = torch.from_numpy(packed.at(time)).float()
    true = scene.deformed(time).detach()[drawn(scene, packed)]
    worst = 0.0
    for view in range(scene.views):
        camera = scene.cameras[view]
        places = [project(camera.to_camera(points)[0], camera.intrinsics[0]) for points in (found, true)]
        worst = max(worst, float((places[0] - places[1]).norm(dim=1).max()))
    assert worst < TENTH_OF_A_PIXEL
    assert time == 0 or worst > 1e-4  # it is rounded at all


def test_what_views_differ_by_is_as_near(scene: Scene4D) -> None:
    found = unpack(viewer_payload(scene))
    index = drawn(scene, found)
    for view in range(scene.views):
        camera = scene.cameras[view]
        mine = camera.to_camera(torch.from_numpy(found.at(2)).float())[0] + torch.from_numpy(found.offsets[view])
        true = scene.in_view(view, 2).detach()[index]
        places = [project(points.float(), camera.intrinsics[0]) for points in (mine, true)]
        assert float((places[0] - places[1]).norm(dim=1).max()) < QUARTER_OF_A_PIXEL
        colors = found.colors + found.view_colors[view]
        assert np.abs(colors - scene.colors_in(view)[index].numpy()).max() < 1.2 / 255


def test_knots_between_time_steps_are_keys(scene: Scene4D) -> None:
    other = replace(scene, times=8, motion_residual=scene.motion_residual[:, [0, 1, 2, 3, 4, 4, 4, 4]])
    times = key_times(other)  # four knots over seven steps
    assert times == pytest.approx([0, 1, 1.75, 2, 3, 3.5, 4, 5, 5.25, 6, 7])
    packed = unpack(viewer_payload(other))
    found = torch.from_numpy(packed.at(1.6)).float()
    assert float((found - other.deformed(1.6).detach()[drawn(scene, packed)]).abs().max()) < 2e-3
    assert key_times(replace(other, motion_residual=None)) == pytest.approx([0, 1.75, 3.5, 5.25, 7])


def test_a_scene_that_stands_has_no_motion(scene: Scene4D) -> None:
    still = replace(scene, deformation=None, motion_residual=None)
    head = unpack(viewer_payload(still)).head
    assert head["moving"] == 0 and {s["kind"] for s in head["sections"]} == {"splats", "difference"}


def test_what_views_differ_by_can_be_left_out(scene: Scene4D) -> None:
    lean = unpack(viewer_payload(scene, options=PayloadOptions(differences=False)))
    assert not lean.offsets and {s["kind"] for s in lean.head["sections"]} == {"splats", "motion"}


def test_pictures_travel_unchanged(scene: Scene4D) -> None:
    frames = [GivenFrame(0, 3, b"one picture"), GivenFrame(2, 0, b"another", "image/png")]
    found = unpack(viewer_payload(scene, frames))
    assert found.frames == {(0, 3): b"one picture", (2, 0): b"another"}
    assert [s.get("type") for s in found.head["sections"] if s["kind"] == "frame"] == ["image/webp", "image/png"]


def test_what_shows_first_comes_first(scene: Scene4D) -> None:
    head = unpack(viewer_payload(scene, [GivenFrame(0, 0, b"x")])).head
    kinds = [section["kind"] for section in head["sections"]]
    assert kinds == ["splats", *["motion"] * 4, "frame", *["difference"] * 4]


@pytest.mark.parametrize("moving", [0.25, 3.0], ids=["some move", "all move"])
def test_bytes_a_splat(moving: float) -> None:
    """At this rate 130,000 splats with 8 times are 4.2 MB when all of them move."""
    head = unpack(viewer_payload(lively_scene(8000, times=8, moving=moving))).head
    sizes = [(section["kind"], section["bytes"]) for section in head["sections"]]
    motion = [size for kind, size in sizes if kind == "motion"]
    assert sizes[0][1] / head["splats"] < 13.7 and sum(motion) / len(motion) / head["moving"] < 2.6
    assert moving < 1 or head["moving"] == head["splats"]


def test_neighbours_follow_one_another(scene: Scene4D) -> None:
    points = scene.splats.means.numpy()
    order = morton_order(points)
    assert sorted(order.tolist()) == list(range(len(points)))
    way, found = [np.linalg.norm(np.diff(p, axis=0), axis=1).mean() for p in (points, points[order])]
    assert found < way / 10
    corners = np.array([[1, 1, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 0]], np.float32)
    assert morton_order(corners).tolist() == [4, 3, 2, 0, 1]  # x first, then y, then z
    assert morton_order(corners[:0]).tolist() == [] and morton_order(corners[:1]).tolist() == [0]


def test_an_order_that_is_short_already_is_kept() -> None:
    rows = np.stack(np.meshgrid(np.linspace(-1, 1, 60), np.linspace(-1, 1, 60), [2.0]), -1).reshape(-1, 3)
    rows = rows.astype(np.float32)
    assert compact_order(rows).tolist() == list(range(len(rows)))
    mixed = rows[np.random.default_rng(0).permutation(len(rows))]
    assert np.array_equal(compact_order(mixed), morton_order(mixed))


def test_changes_are_coded_as_by_hand() -> None:
    values = np.array([3, 1, 1, -32768, 32767], np.int16)  # changes 3, -2, 0, -32769 = 32767 around, -1 around
    assert delta_coded(values) == bytes([6, 3, 0, 254, 1, 0, 0, 0, 255, 0])


def test_an_orbit_turns_about_the_middle_of_what_is_seen(scene: Scene4D) -> None:
    assert unpack(viewer_payload(scene)).head["target"] == pytest.approx([0, 0, 2], abs=0.2)


def test_lifetimes_come_before_the_splats_and_only_where_there_are_some(scene: Scene4D) -> None:
    brief = mortal(scene)
    assert brief.lifetimes is not None
    payload = viewer_payload(brief)
    found = unpack(payload)
    assert found.head["version"] == 3 and found.head["sections"][0]["kind"] == "lifetimes"
    assert found.lifetimes is not None
    np.testing.assert_allclose(found.lifetimes, brief.lifetimes[drawn(brief, found)].numpy(), atol=1e-4)
    always = unpack(viewer_payload(scene))
    assert always.head["version"] == 2 and always.lifetimes is None  # which viewers from before can show


def test_what_is_not_finite_is_not_written(scene: Scene4D) -> None:
    broken = replace(scene.splats, means=scene.splats.means.clone())
    broken.means[5, 1] = float("nan")
    with pytest.raises(InputError, match="NaN"):
        viewer_payload(replace(scene, splats=broken))


@pytest.mark.parametrize("wrong", [{"step_px": 0}, {"view_step_px": 2}, {"compression": 11}, {"steps_per_second": 0}])
def test_options_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="leave them at their defaults"):
        PayloadOptions(**wrong)
