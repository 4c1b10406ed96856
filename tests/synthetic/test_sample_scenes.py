"""The sample scenes: seeded, filled, consistent in 3D, moving as much as they say, and bent where they shall be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fourreal_core.cameras import lift, pixel_grid, project
from fourreal_core.errors import InputError
from fourreal_core.synthetic.mesh_renderer import RenderOptions, assemble, points_in_view, render, sample_surface
from fourreal_core.synthetic.random_choices import SceneRng
from fourreal_core.synthetic.raster_numpy import EMISSIVE, SUBJECT
from fourreal_core.synthetic.sample_scenes import SAMPLE_SCENES, SUBJECTS, sample_clips, sample_scene
from fourreal_core.synthetic.scene import SceneGrid
from fourreal_core.synthetic.view_errors import ViewErrors

SIZE = (48, 80)
ENDS = np.array([0, 1], np.float32)


@pytest.fixture(scope="module")
def puppet() -> SceneGrid:
    return sample_clips("puppet", SIZE, 3, 3)


def sample(image: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """Bilinear values ``(N, C)`` of ``(H, W, C)`` at pixels ``(N, 2)``."""
    h, w = image.shape[:2]
    at = pixels / torch.tensor([w, h]) * 2 - 1
    return torch.nn.functional.grid_sample(image.permute(2, 0, 1)[None], at[None, None], align_corners=False)[0, :, 0].T


def carried(grid: SceneGrid) -> tuple[float, float, float]:
    """View 1 at time 0 found in view 0 by depth and cameras: share seen, its colours' error, and error unmoved."""
    cameras, frames = grid.cameras, grid.frames
    points = lift(pixel_grid(SIZE), grid.depth[1, 0], cameras.intrinsics[1]).reshape(-1, 3)
    rot, shift = cameras.world_to_cam[1, :3, :3], cameras.world_to_cam[1, :3, 3]
    in_other = cameras[0].to_camera((points - shift) @ rot)[0]
    pixels = project(in_other, cameras.intrinsics[0])
    near = sample(grid.depth[0, 0][..., None], pixels)[:, 0]
    inside = ((pixels > 1) & (pixels < torch.tensor([SIZE[1] - 1, SIZE[0] - 1]))).all(-1)
    seen = inside & ((near - in_other[:, 2]).abs() < 0.05)
    moved = (sample(frames[0, 0], pixels) - frames[1, 0].reshape(-1, 3)).abs().mean(-1)[seen].mean()
    return float(seen.float().mean()), float(moved), float((frames[0, 0] - frames[1, 0]).abs().mean())


@pytest.mark.parametrize("name", SAMPLE_SCENES)
def test_every_scene_fills_its_frames_and_moves(name: str) -> None:
    grid = sample_clips(name, SIZE, 2, 3)
    assert grid.cells.shape == (2, 3, *SIZE, 3) and grid.name == name and grid.cameras.size == SIZE
    assert float(grid.depth.min()) > 1.0 and float(grid.depth.max()) < 20.0
    assert float(grid.frames.std((2, 3)).min()) > 0.08  # texture in every frame and channel
    assert 0.04 < float(grid.masks.float().mean()) < 0.4
    assert float((grid.frames - grid.frames[:, :1]).abs().amax(1)[grid.masks[:, 0]].mean()) > 0.03
    # the cameras' parallax is worth a pixel at least, and no more than a quarter of the frame
    points = lift(pixel_grid(SIZE), grid.depth[1, 0], grid.cameras.intrinsics[1]).reshape(-1, 3)
    rot, shift = grid.cameras.world_to_cam[1, :3, :3], grid.cameras.world_to_cam[1, :3, 3]
    there = project(grid.cameras[0].to_camera((points - shift) @ rot)[0], grid.cameras.intrinsics[0])
    assert 1 < float((there - pixel_grid(SIZE).reshape(-1, 2)).norm(dim=-1).std()) < 20


def test_the_same_seed_gives_the_same_scene_and_another_does_not(puppet: SceneGrid) -> None:
    again, other = sample_clips("puppet", SIZE, 3, 3), sample_clips("puppet", SIZE, 3, 3, seed=1)
    assert torch.equal(again.cells, puppet.cells)
    assert float((other.frames - puppet.frames).abs().mean()) > 0.01
    # what moves, and how, is the same
    assert float((other.masks != puppet.masks).float().mean()) == 0
    first, second = (scene.mean(-1) for scene in sample_scene("puppet", SIZE, ENDS, ENDS).subject_textures[1::3][:2])
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.3  # two of one pattern, apart from each other
    birds = [sample_clips("bird", (32, 48), 2, 2, seed) for seed in (0, 0, 1)]
    assert torch.equal(birds[0].cells, birds[1].cells) and not torch.equal(birds[0].masks, birds[2].masks)
    bent = [sample_scene("puppet", SIZE, ENDS, ENDS, seed, 1.0).view_errors.phases for seed in (0, 0, 1)]
    assert np.array_equal(bent[0], bent[1]) and not np.array_equal(bent[0], bent[2])


def test_known_depth_carries_one_view_onto_another(puppet: SceneGrid) -> None:
    seen, moved, stayed = carried(puppet)
    assert seen > 0.6 and moved < 0.4 * stayed


def test_only_the_subject_and_its_shadow_change_in_time(puppet: SceneGrid) -> None:
    still = ~puppet.masks.any(1)  # pixels that are yard at every time
    changes = ((puppet.frames - puppet.frames[:, :1]).abs().amax(-1).amax(1) > 0.02) & still
    darker = (puppet.frames.amin(1) - puppet.frames[:, 0]).mean(-1)
    assert float(changes.float().mean()) < 0.2  # its shadow, and the rim of its outline
    assert float(darker[changes].mean()) < 0 < float(changes.float().mean())
    assert 0.05 < float(puppet.masks.float().mean()) < 0.3


def test_motion_is_of_a_natural_size() -> None:
    scene = sample_scene("puppet", SIZE, ENDS, ENDS)
    moving = sum(len(part.mesh.points) for part in scene.subject)
    points = torch.from_numpy(assemble(scene).points[:, :moving])
    start, end = (project(scene.cameras[0].to_camera(at)[0], scene.cameras.intrinsics[0]) for at in points)
    moved = (end - start).norm(dim=-1) * 256 / SIZE[1]
    assert 5 < float(moved.mean()) < 15
    assert float(moved.max()) < 40


def test_the_cameras_stand_on_an_arc(puppet: SceneGrid) -> None:
    rot = puppet.cameras.world_to_cam[:, :3, :3]
    angle = torch.rad2deg(torch.arccos(((rot[0] @ rot[-1].T).trace() - 1) / 2))
    assert 20 < float(angle) < 30
    eyes = -(rot.transpose(1, 2) @ puppet.cameras.world_to_cam[:, :3, 3:])[..., 0]
    assert (eyes[:, 0].diff() > 0.5).all()  # from left to right
    assert float(eyes[0, 1] - eyes[-1, 1]) == pytest.approx(0.12, abs=1e-4)  # and up a little


def test_motion_does_not_depend_on_the_number_of_times_and_views(puppet: SceneGrid) -> None:
    more = sample_clips("puppet", SIZE, 5, 5)
    assert torch.equal(more.masks[::2, ::2], puppet.masks)
    torch.testing.assert_close(more.cameras.world_to_cam[::2], puppet.cameras.world_to_cam)


@pytest.mark.parametrize("name", SUBJECTS)
def test_parts_start_where_their_meshes_are(name: str) -> None:
    """Views are bent by where a part lies in its mesh, so this has to be a place in the world."""
    for part in SUBJECTS[name](ENDS):
        np.testing.assert_allclose(part.positions[0], part.mesh.points, atol=1e-6)


def test_parts_of_puppet_and_crate_are_rigid_and_jelly_is_not() -> None:
    def stretch(name: str) -> float:
        worst = 0.0
        for part in SUBJECTS[name](ENDS):
            edges = part.positions[:, part.mesh.faces[:, 0]] - part.positions[:, part.mesh.faces[:, 1]]
            worst = max(worst, float(np.abs(np.diff(np.linalg.norm(edges, axis=-1), axis=0)).max()))
        return worst

    assert stretch("puppet") < 1e-5 and stretch("crate and ball") < 1e-5 and stretch("jelly") > 0.01


def test_view_errors_bend_all_views_but_the_central_one_by_so_many_pixels() -> None:
    scene = sample_scene("puppet", SIZE, np.linspace(0, 1, 5, dtype=np.float32), ENDS[:1], view_error_px=2.0)
    true, errors = replace(scene, view_errors=None), scene.view_errors
    mesh = assemble(scene)
    spread = []
    for v in range(5):
        camera = scene.cameras[v]
        bent, right = (camera.to_camera(torch.from_numpy(points_in_view(s, mesh, v)[0]))[0] for s in (scene, true))
        off = (bent - right) * SIZE[1] / right[:, 2:]
        front = right[:, 2] > 1
        spread.append([float(x) for x in off[front].std(0)])
        assert v == 2 or 0.5 < float(off[front, 2].std() / off[front, :2].std()) < 4
    across = np.array(spread)[:, :2].mean(1)
    assert across[2] == 0 and np.array_equal(errors.gains[2], [1, 1, 1])
    assert across[[0, 1, 3, 4]].mean() == pytest.approx(
        2.0, rel=0.35
    )  # few waves are seldom of their expected strength
    plain, made = render(true), render(scene)
    assert torch.equal(plain.cells[2], made.cells[2])
    assert float((plain.frames - made.frames)[[0, 1, 3, 4]].abs().mean()) > 0.01


def test_a_displacement_is_so_many_pixels_along_the_cameras_axes_and_twice_in_depth() -> None:
    """With all waves at their crests the field is their amplitudes' sum over the root of the waves' variance."""
    cameras = sample_scene("jelly", SIZE, np.linspace(0, 1, 3, dtype=np.float32), ENDS[:1]).cameras
    crests = ViewErrors(np.float32([2, 2, 2]), np.zeros((3, 3, 20, 3)), np.zeros((3, 3, 20)), np.ones((3, 3)))
    points = np.float32([[0, 0, 0], [0.5, 0.2, 1.5]])
    moved = points + crests.displacement(0, points, cameras)
    before, after = (cameras[0].to_camera(torch.from_numpy(p))[0] for p in (points, moved))
    height = 10 * (1 + 0.7) / np.sqrt(10 * (1 + 0.7**2) / 2)
    expected = 2 * height * before[:, 2:] / SIZE[1] * torch.tensor([1.0, 1.0, 2.0])
    torch.testing.assert_close(after - before, expected, rtol=1e-4, atol=1e-5)
    lengths = 2 * np.pi / np.linalg.norm(ViewErrors.random(SceneRng(0), 2, 1.0).frequencies, axis=-1)
    assert lengths[:, :, :10].min() >= 1.6 / 1.3 and lengths[:, :, :10].max() <= 1.6 / 0.7
    assert lengths[:, :, 10:].min() >= 0.8 / 1.3 and lengths[:, :, 10:].max() <= 0.8 / 0.7


def test_bent_views_no_longer_agree() -> None:
    places = np.linspace(0, 1, 3, dtype=np.float32)
    straight, bent = (render(sample_scene("jelly", SIZE, places, ENDS[:1], view_error_px=px)) for px in (0.0, 3.0))
    assert carried(bent)[1] > 1.5 * carried(straight)[1]


def test_views_have_a_light_of_their_own() -> None:
    scene = sample_scene("jelly", SIZE, np.linspace(0, 1, 3, dtype=np.float32), ENDS[:1])
    errors = ViewErrors.random(SceneRng(1), 3, 0.0)
    plain, lit = render(scene), render(replace(scene, view_errors=errors))
    assert torch.equal(lit.cells[1], plain.cells[1]) and 0.01 < np.abs(errors.gains[0] - 1).max() < 0.15
    expected = (plain.cells[0].numpy() * errors.gains[0]).round().clip(0, 255)
    np.testing.assert_array_equal(lit.cells[0].numpy(), expected)


def test_points_on_surfaces_lie_half_on_the_subject_evenly_and_never_on_what_shines() -> None:
    scene = sample_scene("crate and ball", SIZE, ENDS, ENDS)
    wall = scene.background[1]
    mesh = assemble(replace(scene, background=[scene.background[0], replace(wall, emissive=True)]))
    samples = sample_surface(mesh, 4000, SceneRng(0))
    flags = mesh.surfaces.flags[samples.face]
    assert ((flags & SUBJECT) > 0).tolist() == [True] * 2000 + [False] * 2000 and not (flags & EMISSIVE).any()
    assert samples.weights.min() >= 0 and np.allclose(samples.weights.sum(1), 1)
    crate = samples.at(mesh.points[0], mesh)[:2000]
    crate = crate[
        crate[:, 0] < 0.1
    ]  # 0.5 x 0.7 x 0.5: its top is 0.25 of 1.9 square units, and all of its height is met
    assert float((crate[:, 1] < 0.1001).mean()) == pytest.approx(0.25 / 1.9, abs=0.03)
    np.testing.assert_allclose(np.histogram(crate[:, 1], 5, (0.101, 0.799))[0] / len(crate), 0.7 / 1.9 / 2.5, atol=0.04)


def test_a_view_of_the_errors_is_that_view() -> None:
    errors, points = ViewErrors.random(SceneRng(3), 4, 1.5), np.float32([[0, 0, 1], [0.3, 0.2, 2]])
    cameras = sample_scene("jelly", SIZE, np.linspace(0, 1, 4, dtype=np.float32), ENDS).cameras
    alone = errors[3].displacement(0, points, cameras[3])
    np.testing.assert_allclose(alone, errors.displacement(3, points, cameras), atol=1e-7)


def test_progress_is_reported_frame_by_frame() -> None:
    seen = []
    sample_clips(
        "jelly", (16, 16), 2, 2, on_step=lambda done, total, preview=None: seen.append((done, total, preview.shape))
    )
    assert seen == [(i + 1, 4, (16, 16, 3)) for i in range(4)]


@pytest.mark.parametrize("arguments", [(SIZE, 1, 4), (SIZE, 4, 1), ((8, 80), 2, 2)])
def test_scenes_too_small_to_mean_anything_are_refused(arguments: tuple) -> None:
    with pytest.raises(InputError, match="at least 2 views, 2 times and 16 x 16 pixels"):
        sample_clips("puppet", *arguments)


def test_scenes_that_are_not_there_are_refused() -> None:
    with pytest.raises(InputError, match="one of puppet, crate and ball, jelly, bird"):
        sample_clips("unicorn", SIZE, 2, 2)


@pytest.mark.parametrize("options", [{"tracked": -1}, {"backend": "opengl"}])
def test_render_options_that_mean_nothing_are_refused(options: dict) -> None:
    with pytest.raises(InputError, match="auto, numba or numpy"):
        RenderOptions(**options)
