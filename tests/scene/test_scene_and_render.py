"""The scene as data, and the pictures it gives."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.rasterizer import rasterize
from fourreal_core.scene.camera_paths import CameraPath
from fourreal_core.scene.gaussians import Splats
from fourreal_core.scene.render import (
    bullet_time,
    render_along,
    render_camera,
    render_cell,
)
from fourreal_core.scene.scene4d import Scene4D
from fourreal_core.scene.to_device import scene_to, tracks_to

from ..cancelling import Cancelled
from .scenes import PIXEL, SIZE, sliding, true_time_tracks, wall_scene


@pytest.fixture
def scene() -> Scene4D:
    return wall_scene(3, 4, sliding(4, (3.0, 0.0)))


def test_splats_have_scales_and_opacities(generator: torch.Generator) -> None:
    splats = Splats(
        torch.rand(3, 3, generator=generator),
        torch.tensor([0.0, 1.0, -1.0]),
        torch.tensor([0.0, 100.0, -100.0]),
        torch.rand(3, 3, generator=generator),
    )
    assert splats.scales.tolist() == pytest.approx([1, 2.7182817, 0.36787945])
    assert splats.opacities.tolist() == pytest.approx([0.5, 1, 0])
    picked = splats.select(torch.tensor([True, False, True]))
    assert len(picked) == 2 and torch.equal(picked.colors, splats.colors[[0, 2]])
    with pytest.raises(InputError, match="one mean, scale, opacity and colour"):
        Splats(splats.means, splats.log_scales[:2], splats.opacity_logits, splats.colors)


def test_a_rim_shows_what_lies_beyond_the_cell(scene: Scene4D) -> None:
    with torch.no_grad():
        wide, cell = render_cell(scene, 1, 2, rim=5).image, render_cell(scene, 1, 2).image
    assert wide.shape == (SIZE[0] + 10, SIZE[1] + 10, 3)
    torch.testing.assert_close(wide[5:-5, 5:-5], cell)
    outside = wide[:, :5]  # the wall goes on, by eight pixels
    assert float((outside - scene.background).abs().amax(-1).min()) > 0.02


def test_equation_3_by_hand(scene: Scene4D, generator: torch.Generator) -> None:
    offsets = torch.randn(scene.view_offsets.shape, generator=generator) * 0.01
    scene = replace(scene, view_offsets=offsets)
    p = scene.splats.means
    moved = p + torch.tensor([2 * PIXEL, 0, 0])  # two steps of three, three pixels in all
    w2c = scene.cameras.world_to_cam[2]
    expected = moved @ w2c[:3, :3].T + w2c[:3, 3] + offsets[2]
    torch.testing.assert_close(scene.in_view(2, 2), expected, rtol=0, atol=1e-5)  # float32


def test_what_does_not_move_stays_exactly(scene: Scene4D) -> None:
    weight = (torch.arange(len(scene.splats)) % 2).float()
    half = replace(scene, motion_weight=weight)
    moved = half.deformed(3)
    assert torch.equal(moved[weight == 0], scene.splats.means[weight == 0])
    assert bool((moved != scene.splats.means)[weight == 1].any(-1).all())
    assert torch.equal(replace(scene, motion_weight=torch.zeros_like(weight)).deformed(3), scene.splats.means)
    assert torch.equal(scene.deformed(0), scene.splats.means)


def test_half_a_weight_moves_half_as_far(scene: Scene4D) -> None:
    half = replace(scene, motion_weight=torch.full_like(scene.motion_weight, 0.5))
    torch.testing.assert_close(half.deformed(2) * 2 - scene.splats.means, scene.deformed(2), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"view_offsets": torch.zeros(2, 4, 3)},
        {"visible": torch.ones(3, 2, dtype=torch.bool)},
        {"motion_weight": torch.ones(2)},
        {"view_depth": torch.ones(3, 2, 2)},
        {"view_motion": torch.ones(1, *SIZE)},
        {"background": torch.zeros(1)},
        {"times": 0},
    ],
)
def test_wrong_shapes_are_refused(scene: Scene4D, wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match="build the scene from tracks of the same clip"):
        replace(scene, **wrong)


def test_selected_splats_keep_everything_about_them(scene: Scene4D) -> None:
    index = torch.tensor([5, 2, 40])
    part = scene.select(index)
    assert torch.equal(part.splats.means, scene.splats.means[index])
    assert torch.equal(part.view_offsets, scene.view_offsets[:, index])
    assert len(part.motion_weight) == 3 and part.visible.shape == (3, 3) and part.times == 4


def test_a_cell_is_its_splats_rasterized(scene: Scene4D) -> None:
    with torch.no_grad():
        expected = rasterize(
            scene.in_view(1, 2),
            scene.splats.scales,
            scene.splats.opacities,
            scene.splats.colors,
            scene.cameras.intrinsics[1],
            SIZE,
            scene.background,
        )
        assert torch.equal(render_cell(scene, 1, 2).image, expected.image)


def test_a_view_shows_its_own_colours_and_a_new_camera_the_splats(scene: Scene4D, generator: torch.Generator) -> None:
    own = torch.rand(3, len(scene.splats), 3, generator=generator) * 0.2 - 0.1
    colored = replace(scene, view_colors=own)
    assert torch.equal(colored.colors_in(1), scene.splats.colors + own[1])
    assert torch.equal(scene.colors_in(1), scene.splats.colors)
    shown = replace(scene, splats=replace(scene.splats, colors=scene.splats.colors + own[1]))
    assert torch.equal(render_cell(colored, 1, 2).image, render_cell(shown, 1, 2).image)
    assert torch.equal(
        render_camera(colored, scene.cameras[1], 2).image, render_camera(scene, scene.cameras[1], 2).image
    )


def test_a_camera_of_the_clip_sees_the_cell_but_for_offsets(scene: Scene4D) -> None:
    with torch.no_grad():
        cell, camera = render_cell(scene, 2, 1).image, render_camera(scene, scene.cameras[2], 1).image
        assert torch.equal(cell, camera)  # there are no offsets
        shifted = replace(scene, view_offsets=scene.view_offsets + torch.tensor([PIXEL, 0, 0]))
        assert torch.equal(render_camera(shifted, scene.cameras[2], 1).image, camera)
        moved = render_cell(shifted, 2, 1).image
    torch.testing.assert_close(moved[:, 6:-6], cell[:, 5:-7], rtol=0, atol=1e-3)  # a pixel right; float32 footprints


def test_a_pixel_of_camera_is_a_pixel_of_time(scene: Scene4D) -> None:
    """The wall slides a pixel right a step; the next camera stands a pixel to the right."""
    with torch.no_grad():
        a, b = render_cell(scene, 1, 1).image, render_cell(scene, 2, 2).image
    torch.testing.assert_close(a[4:-4, 6:-6], b[4:-4, 6:-6], rtol=0, atol=1e-3)


def test_a_clip_starts_at_its_beginning(scene: Scene4D) -> None:
    bright = replace(scene, splats=replace(scene.splats, colors=3 * scene.splats.colors))
    assert float(bullet_time(bright, frames=1).max()) == 1.0
    clip = bullet_time(scene, frames=3)
    assert clip.shape == (3, *SIZE, 3) and not clip.requires_grad
    assert float(clip.min()) >= 0 and float(clip.max()) <= 1
    with torch.no_grad():
        expected = render_camera(scene, scene.cameras[0], 0).image.clamp(0, 1)
    torch.testing.assert_close(clip[0], expected, rtol=0, atol=1e-3)  # the camera went through a quaternion


def test_camera_and_time_move_together_and_the_camera_comes_back(scene: Scene4D) -> None:
    clip = bullet_time(scene, frames=3)
    with torch.no_grad():
        middle = render_camera(scene, scene.cameras[2], 1.5).image.clamp(0, 1)
        end = render_camera(scene, scene.cameras[0], 3).image.clamp(0, 1)
    torch.testing.assert_close(clip[1], middle, rtol=0, atol=1e-3)
    torch.testing.assert_close(clip[2], end, rtol=0, atol=1e-3)


def test_paths_show_every_frame_and_can_be_stopped(scene: Scene4D) -> None:
    seen: list[tuple[int, int]] = []

    def note(done: int, total: int, preview: torch.Tensor | None = None) -> None:
        assert preview is not None and preview.shape == (*SIZE, 3)
        seen.append((done, total))
        if done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        render_along(scene, CameraPath(scene.cameras, torch.zeros(3)), on_step=note)
    assert seen == [(1, 3), (2, 3)]


def test_a_scene_carried_elsewhere_is_the_same_and_apart(scene: Scene4D) -> None:
    there = scene_to(scene, torch.device("cpu"))
    assert torch.equal(there.deformed(2), scene.deformed(2)) and there is not scene
    assert scene_to(wall_scene(), torch.device("cpu")).deformation is None


def test_everything_goes_along(scene: Scene4D) -> None:
    nowhere = torch.device("meta")
    there, tracks = scene_to(scene, nowhere), tracks_to(true_time_tracks(scene), nowhere)
    moved = [
        there.splats.means,
        there.splats.colors,
        there.splats.log_scales,
        there.splats.opacity_logits,
        there.cameras.world_to_cam,
        there.cameras.intrinsics,
        there.view_offsets,
        there.visible,
        there.motion_weight,
        there.view_depth,
        there.view_motion,
        there.background,
        there.deformation.frequencies,
        there.deformation.phases,
        there.deformation.weights,
        tracks.positions,
        tracks.visible,
        tracks.colors,
        tracks.keyframe,
        tracks.spacing,
        tracks.intrinsics,
    ]
    assert all(x.device == nowhere for x in moved)
