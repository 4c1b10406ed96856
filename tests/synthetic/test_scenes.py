"""Made 4D scenes: seeded, filled, of many kinds, true to their own geometry, and apart between splits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fourreal_core.cameras import lift, pixel_grid, project
from fourreal_core.errors import InputError
from fourreal_core.synthetic import creatures, meshes, textures
from fourreal_core.synthetic.camera_trajectories import random_trajectory
from fourreal_core.synthetic.grids import FAMILIES, GridOptions, make_grid
from fourreal_core.synthetic.motions import eased, to_and_fro
from fourreal_core.synthetic.random_choices import SPLITS, SceneRng, scene_seed
from fourreal_core.synthetic.scene import SceneGrid, to_float

SMALL = GridOptions(3, 3, (32, 32), tracked=200)


@pytest.fixture(scope="module")
def grid() -> SceneGrid:
    return make_grid("train", 3, GridOptions(4, 4, (48, 64), window=4, tracked=600, family="biped"), flows=True)


def sample(image: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """Nearest values of ``(H, W, ...)`` at pixels ``(N, 2)`` inside the image."""
    x, y = pixels.floor().long().unbind(-1)
    return image[y, x]


def test_shapes_types_and_ranges(grid):
    assert grid.cells.shape == (4, 4, 48, 64, 3) and grid.cells.dtype == torch.uint8
    assert grid.masks.shape == grid.depth.shape == (4, 4, 48, 64) and grid.masks.dtype == torch.bool
    assert len(grid.cameras) == 4 and grid.cameras.size == (48, 64)
    assert grid.tracks.shape == (4, 600, 3) and grid.visible.shape == (4, 4, 600) and grid.visible.dtype == torch.bool
    assert torch.equal(to_float(grid.cells) * 255, grid.cells.float())


def test_splits_never_share_a_seed():
    """Seeds of different splits leave different remainders, for any index; here the ends and some between."""
    indices = [*range(300), 10**6, 2**30, 2**32 // 3 - 1]
    seeds = {split: {scene_seed(split, i) for i in indices} for split in SPLITS}
    assert all({seed % 3 for seed in seeds[split]} == {i} for i, split in enumerate(SPLITS))
    assert all(len(s) == len(indices) and max(s) < 2**32 for s in seeds.values())  # torch looks at 32 bits


@pytest.mark.parametrize(("split", "index"), [("train", -1), ("train", 2**32), ("holdout", 0)])
def test_scenes_beyond_the_splits_are_refused(split, index):
    with pytest.raises(InputError, match="train, validation, test"):
        scene_seed(split, index)


def test_the_same_seed_makes_the_same_grid_and_splits_differ():
    first, again, other = make_grid("train", 5, SMALL), make_grid("train", 5, SMALL), make_grid("test", 5, SMALL)
    assert torch.equal(first.cells, again.cells) and torch.equal(first.tracks, again.tracks)
    assert float((first.cells.float() - other.cells.float()).abs().mean()) > 5  # of 255: another texture altogether


MADE = {
    ("train", 0): ("tumbling", (122.69, 141.27, 132.55), 42.71, 0.2245, 6.033),
    ("train", 7): ("arms", (116.93, 111.31, 118.02), 28.48, 0.2229, 3.920),
    ("validation", 3): ("biped", (107.99, 110.76, 123.27), 28.44, 0.0873, 3.861),
    ("test", 4): ("bouncing", (165.72, 145.89, 146.95), 30.24, 0.0895, 6.378),
    ("test", 11): ("insect", (131.98, 123.94, 113.19), 34.11, 0.1007, 5.298),
}
"""Kind, mean colour and spread of the cells, share of the subject and mean depth when networks were trained on them."""


@pytest.mark.parametrize(("split", "index"), MADE)
def test_a_seed_makes_the_scene_that_it_always_made(split, index):
    """Caches and weights in use were made from these scenes."""
    made = make_grid(split, index, GridOptions(2, 3, (32, 48), window=4))
    name, color, spread, subject, depth = MADE[split, index]
    cells = made.cells.float()
    assert made.name == name
    # vectorised float32 differs between processors in the last bit, which moves few pixels by a gray level
    np.testing.assert_allclose(cells.mean((0, 1, 2, 3)).numpy(), color, atol=0.1)
    assert float(cells.std()) == pytest.approx(spread, abs=0.1)
    assert float(made.masks.float().mean()) == pytest.approx(subject, abs=0.001)
    assert float(made.depth.mean()) == pytest.approx(depth, abs=0.01)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_fills_its_frames_and_moves(family):
    made = make_grid("train", 1, GridOptions(2, 4, (32, 32), window=4, family=family))
    cells = to_float(made.cells)
    assert made.name == family
    assert float(made.depth.min()) > 0  # something is seen in every pixel of every cell
    assert 0.02 < float(made.masks.float().mean()) < 0.9
    assert float(cells.std((2, 3)).mean()) > 0.05  # texture, not flat colour
    # half a grey level of 255 is what rounding does; a subject that moves changes more, also one with parts that stand
    assert float((cells[:, 0] - cells[:, -1]).abs()[made.masks[:, 0]].mean()) > 0.01
    assert float((cells[0] - cells[1]).abs().mean()) > 0.005


def test_depth_and_cameras_carry_one_view_onto_another(grid):
    """What stands still and is seen in two views has one colour in both."""
    cameras, cells = grid.cameras, to_float(grid.cells)
    pixels = pixel_grid(cameras.size)
    points = lift(pixels, grid.depth[3, 0], cameras.intrinsics[3]).reshape(-1, 3)
    rot, shift = cameras.world_to_cam[3, :3, :3], cameras.world_to_cam[3, :3, 3]
    there = cameras[0].to_camera((points - shift) @ rot)[0]
    at = project(there, cameras.intrinsics[0])
    inside = ((at > 0) & (at < torch.tensor([64.0, 48.0]))).all(-1)
    at = at[inside]
    same = (sample(grid.depth[0, 0], at) / there[inside, 2] - 1).abs() < 0.03
    moved = (sample(cells[0, 0], at) - cells[3, 0].reshape(-1, 3)[inside]).abs().mean(-1)[same].mean()
    stayed = (cells[0, 0] - cells[3, 0]).abs().mean()
    assert float(same.float().mean()) > 0.5
    assert float(moved) < 0.75 * float(stayed)  # nearest pixels of textures finer than pixels: not exact


def test_tracks_lie_where_depth_and_masks_say(grid):
    for v, t in ((0, 0), (3, 2)):
        there = grid.cameras[v].to_camera(grid.tracks[t])[0]
        at = project(there, grid.cameras.intrinsics[v])
        seen = grid.visible[v, t]
        assert 30 < int(seen.sum()) < 600
        off = (sample(grid.depth[v, t], at[seen]) / there[seen, 2] - 1).abs()
        # a pixel keeps the nearest of its four samples, so the edge of something nearer may lie in it
        assert float(off.median()) < 0.02
        subject = sample(grid.masks[v, t].float(), at[seen & (torch.arange(600) < 300)])
        assert float(subject.mean()) > 0.8  # the rest are pixels that the subject covers by less than half


def test_only_the_subject_and_its_shadow_change_in_time(grid):
    still = make_grid("train", 3, GridOptions(2, 2, (48, 64), window=4, family="gears")).cells
    assert float((still[:, 0] != still[:, 1]).float().mean()) < 0.7
    moved = (grid.tracks - grid.tracks[:1]).norm(dim=-1).amax(0)
    assert float(moved[300:].max()) == 0
    assert float(moved[:300].mean()) > 0.01


def test_longer_grids_go_on_from_the_window():
    """The first cells of a long grid are those of the short one: motions and paths run once a window."""
    short, long = (make_grid("train", 2, GridOptions(n, n, (16, 16), window=3, family="bird")).cameras for n in (3, 6))
    # the same curve at the same places; float32 of numpy's vectorised cosines may differ in the last bit
    torch.testing.assert_close(long.world_to_cam[:3], short.world_to_cam, rtol=0, atol=1e-5)


def test_motions_turn_back_where_the_clip_goes_on():
    phases = np.float32([0, 0.25, 1, 1.5, 2, 2.25])
    np.testing.assert_allclose(to_and_fro(phases), [0, 0.25, 1, 0.5, 0, 0.25], atol=1e-6)
    np.testing.assert_allclose(eased(phases, 2.0), 1 - np.cos(np.pi * phases), atol=1e-6)


def test_cameras_keep_above_the_ground():
    phases = np.linspace(0, 1, 5, dtype=np.float32)
    for seed in range(30):
        cameras = random_trajectory(SceneRng(seed), phases, (48, 64), 0.1)
        pose = cameras.world_to_cam
        eyes = -(pose[:, :3, :3].transpose(1, 2) @ pose[:, :3, 3:])[..., 0]
        assert float(eyes[:, 1].max()) <= 0.1 - 0.35 + 1e-4


@pytest.mark.parametrize("kind", textures.PATTERNS)
def test_textures_repeat_without_a_seam(kind):
    texture = textures.random_texture(SceneRng(1), 64, kinds=(kind,))
    assert texture.shape == (64, 64, 3) and texture.dtype == np.float32
    assert texture.min() >= 0 and texture.max() <= 1 and texture.std() > 0.02
    seam = np.abs(texture[:, 0] - texture[:, -1]).mean()
    # a stripe, joint or thread may run along the border, but it is no worse an edge than those inside
    assert seam <= 1.3 * np.abs(np.diff(texture, axis=1)).mean((0, 2)).max() + 0.02


@pytest.mark.parametrize(
    "mesh",
    [
        meshes.box((1, 1, 1)),
        meshes.superquadric((1, 1, 1)),
        meshes.torus(1, 0.3),
        meshes.capsule(np.float32([0, 0, 0]), np.float32([1, 1, 0]), (0.3, 0.2)),
        meshes.toothed_wheel(1, 0.2, 8, 0.3),
    ],
    ids=["box", "ball", "torus", "capsule", "wheel"],
)
def test_closed_meshes_face_outward(mesh):
    a, b, c = (mesh.points[mesh.faces[:, i]] for i in range(3))
    assert mesh.closed and float(np.einsum("ij,ij->", a, np.cross(b, c))) > 0
    assert mesh.weld.shape == (len(mesh.points),) and mesh.uv.shape == (len(mesh.points), 2)


def test_limbs_stay_attached():
    """Parts of a walker keep their sizes: every joint turns, nothing stretches."""
    pieces = creatures.quadruped(SceneRng(4), np.linspace(0, 1, 5, dtype=np.float32))
    for piece in pieces:
        reach = np.linalg.norm(piece.positions - piece.positions.mean(1, keepdims=True), axis=-1).max(1)
        np.testing.assert_allclose(reach, reach[0], rtol=1e-4)  # float32 rotations


@pytest.mark.parametrize("changes", [{"views": 0}, {"size": (4, 64)}, {"window": 1}, {"family": "unicorn"}])
def test_options_that_make_no_grid_are_refused(changes):
    with pytest.raises(InputError, match="expected"):
        GridOptions(**changes)


def test_flows_lead_to_the_same_surface(grid):
    """A pixel's colour is found in the cell of the first time and of the first view where the flow says."""
    cells, pixels = to_float(grid.cells), pixel_grid((48, 64))
    assert float(grid.flows[:, 0, 0].abs().max()) < 1e-3 and float(grid.flows[0, :, 1].abs().max()) < 1e-3
    for source, there in ((0, cells[2, 0]), (1, cells[0, 3])):
        at = pixels + grid.flows[2, 3, source].permute(1, 2, 0)
        inside = ((at > 0) & (at < torch.tensor([64.0, 48.0]))).all(-1)
        still = (there - cells[2, 3])[inside].abs().mean(-1)
        moved = (sample(there, at[inside]) - cells[2, 3][inside]).abs().mean(-1)[still > 0.02]
        # the median passes over what is hidden there; nearest pixels of fine textures are not exact
        assert float(inside.float().mean()) > 0.6 and len(moved) > 200
        assert float(moved.median()) < 0.8 * float(still[still > 0.02].median())
