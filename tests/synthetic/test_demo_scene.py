"""The sample scene: seeded, filled, consistent in 3D, and moving as much as it says."""

from __future__ import annotations

import pytest
import torch

from fourreal_core.cameras import lift, pixel_grid, project
from fourreal_core.errors import InputError
from fourreal_core.synthetic.demo_scene import DemoScene, demo_scene

SIZE = (48, 80)


@pytest.fixture(scope="module")
def scene() -> DemoScene:
    return demo_scene(3, 3, SIZE)


def sample(image: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """Bilinear values ``(N, C)`` of ``(H, W, C)`` at pixels ``(N, 2)``."""
    h, w = image.shape[:2]
    at = pixels / torch.tensor([w, h]) * 2 - 1
    return torch.nn.functional.grid_sample(image.permute(2, 0, 1)[None], at[None, None], align_corners=False)[0, :, 0].T


def test_shapes_and_ranges(scene):
    assert scene.grid.shape == (3, 3, *SIZE, 3) and scene.grid.dtype == torch.float32
    assert scene.depth.shape == scene.masks.shape == (3, 3, *SIZE) and scene.masks.dtype == torch.bool
    assert len(scene.cameras) == 3 and scene.cameras.size == SIZE
    assert float(scene.grid.min()) >= 0 and float(scene.grid.max()) <= 1
    assert torch.equal(scene.positions[0], scene.splats.means)


def test_the_scene_fills_every_frame(scene):
    assert float(scene.depth.min()) > 1.0 and float(scene.depth.max()) < 8.0
    assert float(scene.grid.std((2, 3)).min()) > 0.1  # texture in every frame and channel


def test_the_same_seed_gives_the_same_scene_and_another_does_not(scene):
    again, other = demo_scene(3, 3, SIZE), demo_scene(3, 3, SIZE, seed=1)
    assert torch.equal(again.grid, scene.grid)
    assert float((other.grid - scene.grid).abs().mean()) > 0.01


def test_known_depth_carries_one_view_onto_another(scene):
    """The world's pixels of view 1, moved by depth and cameras, have the colours that view 0 has there."""
    cameras = scene.cameras
    points = lift(pixel_grid(SIZE), scene.depth[1, 0], cameras.intrinsics[1]).reshape(-1, 3)
    rot, shift = cameras.world_to_cam[1, :3, :3], cameras.world_to_cam[1, :3, 3]
    in_other = cameras[0].to_camera((points - shift) @ rot)[0]
    pixels = project(in_other, cameras.intrinsics[0])
    near = sample(scene.depth[0, 0][..., None], pixels)[:, 0]
    inside = ((pixels > 1) & (pixels < torch.tensor([SIZE[1] - 1, SIZE[0] - 1]))).all(-1)
    seen = inside & ((near - in_other[:, 2]).abs() < 0.05)
    moved = (sample(scene.grid[0, 0], pixels) - scene.grid[1, 0].reshape(-1, 3)).abs().mean(-1)[seen].mean()
    stayed = (scene.grid[0, 0] - scene.grid[1, 0]).abs().mean()
    assert float(seen.float().mean()) > 0.6
    assert float(moved) < 0.3 * float(stayed)


def test_only_the_subject_changes_in_time(scene):
    still = ~scene.masks.any(1)  # pixels that are yard at every time
    away = torch.nn.functional.max_pool2d((~still).float()[:, None], 7, 1, 3)[:, 0] == 0  # a footprint from the subject
    change = (scene.grid - scene.grid[:, :1]).abs().amax(-1).amax(1)
    assert float(change[away].max()) < 1e-3
    assert float(change[scene.masks[:, 0]].mean()) > 0.05
    assert 0.05 < float(scene.masks.float().mean()) < 0.3


def test_motion_is_of_a_natural_size(scene):
    k = scene.cameras.intrinsics[0]
    start, end = (project(scene.cameras[0].to_camera(scene.positions[t])[0], k) for t in (0, -1))
    moved = (end - start).norm(dim=-1)
    subject = moved[moved > 0] * 256 / SIZE[1]
    assert 5 < float(subject.mean()) < 12
    assert float(subject.max()) < 25


def test_the_cameras_stand_on_an_arc(scene):
    rot = scene.cameras.world_to_cam[:, :3, :3]
    angle = torch.rad2deg(torch.arccos(((rot[0] @ rot[-1].T).trace() - 1) / 2))
    assert 20 < float(angle) < 30


def test_motion_does_not_depend_on_the_number_of_times(scene):
    more = demo_scene(3, 5, SIZE)
    torch.testing.assert_close(more.positions[[0, 2, 4]], scene.positions)


def test_progress_is_reported_frame_by_frame():
    seen = []
    demo_scene(2, 2, (16, 16), on_step=lambda done, total, preview=None: seen.append((done, total, preview.shape)))
    assert seen == [(i + 1, 4, (16, 16, 3)) for i in range(4)]


@pytest.mark.parametrize("arguments", [(1, 4, SIZE), (4, 1, SIZE), (2, 2, (8, 80))])
def test_scenes_too_small_to_mean_anything_are_refused(arguments):
    with pytest.raises(InputError, match="at least 2 views, 2 times and 16 x 16 pixels"):
        demo_scene(*arguments)
