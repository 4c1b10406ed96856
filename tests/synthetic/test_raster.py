"""Drawing meshes: the plain way against values worked out by hand, and the compiled way against the plain one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.synthetic import mesh_renderer, raster_numpy
from fourreal_core.synthetic.grids import random_scene
from fourreal_core.synthetic.mesh_renderer import RenderOptions, raster_backend, render
from fourreal_core.synthetic.meshes import box, superquadric
from fourreal_core.synthetic.random_choices import SceneRng
from fourreal_core.synthetic.raster_numpy import (
    CASTS,
    CLOSED,
    EMISSIVE,
    Cell,
    Lighting,
    Pinhole,
    Pyramid,
    Surfaces,
    ZBuffer,
)
from fourreal_core.synthetic.scene import Scene

CAMERA = Pinhole(np.eye(3, 4, dtype=np.float32), np.float32([8, 8, 8, 8]))  # 8 x 8 pixels, 16 x 16 samples
LEFT, RIGHT = [-1, -1, 2], [1, -1, 2]


@pytest.fixture(params=["numpy", "numba"])
def kernels(request):
    if request.param == "numba":
        pytest.importorskip("numba")
    return raster_backend(request.param)


def square(z: float, half: float) -> np.ndarray:
    return np.float32([[-half, -half, z], [half, -half, z], [half, half, z], [-half, half, z]])


def draw(kernels, points: np.ndarray, faces: list, flags: list | None = None) -> ZBuffer:
    """The z-buffer of triangles before ``CAMERA``."""
    surfaces = flat_surfaces(points, faces, flags)
    buffer = ZBuffer(
        np.full((len(points), 3), 7, np.float32), np.full((16, 16), 7, np.float32), np.full((16, 16), 7, np.int32)
    )
    kernels.draw_faces(points, CAMERA, surfaces, buffer)
    return buffer


def flat_surfaces(points: np.ndarray, faces: list, flags: list | None = None) -> Surfaces:
    count = len(faces)
    uv = np.zeros((len(points), 2), np.float32)
    return Surfaces(np.int32(faces), np.uint8(flags or [0] * count), np.zeros(count, np.int32), uv)


TWO = [[0, 2, 1], [0, 3, 2]]


def test_a_square_covers_its_pixels_and_the_nearer_one_wins(kernels):
    points = np.concatenate([square(2, 1), square(4, 2), square(1, 0.25)])
    buffer = draw(kernels, points, [*TWO, *(np.array(TWO) + 4).tolist(), *(np.array(TWO) + 8).tolist()])
    # half sizes 1 / 2, 2 / 4 and 0.25 / 1 of a focal length of 8 samples: 8, 8 and 4 samples wide
    expected = np.full((16, 16), -1)
    expected[4:12, 4:12] = 0
    expected[6:10, 6:10] = 4
    assert np.array_equal(buffer.owner // 2 * 2, np.where(expected < 0, -2, expected))
    np.testing.assert_allclose(buffer.nearness[5, 5], 0.5, rtol=1e-6)
    np.testing.assert_allclose(buffer.nearness[8, 8], 1.0, rtol=1e-6)
    assert buffer.nearness[0, 0] == 0


def test_backs_of_closed_things_are_not_drawn_and_other_backs_are(kernels):
    front, back = TWO, np.array(TWO)[:, ::-1].tolist()
    drawn = {
        (way, flag): int((draw(kernels, square(2, 1), faces, [flag] * 2).owner >= 0).sum())
        for way, faces in (("front", front), ("back", back))
        for flag in (0, CLOSED)
    }
    assert drawn == {("front", 0): 64, ("front", CLOSED): 64, ("back", 0): 64, ("back", CLOSED): 0}


@pytest.mark.parametrize(("depth", "drawn"), [(-1, False), (0.04, False), (0.1, True)])
def test_what_lies_behind_or_at_the_camera_is_not_drawn(kernels, depth, drawn):
    points = square(2, 1)
    points[0, 2] = depth
    buffer = draw(kernels, points, TWO)
    assert bool((buffer.owner >= 0).any()) == drawn == bool(buffer.screen[0, 2] > 0)


def test_of_faces_in_one_place_the_first_is_seen(kernels):
    points = np.concatenate([square(2, 1)] * 2)
    owner = draw(kernels, points, [*TWO, *(np.array(TWO) + 4).tolist()]).owner
    assert (owner[4:12, 4:12] <= 1).all()


def light(points: np.ndarray, ambient: float = 0.5, facing: float = 1.0, haze: float = 0.0) -> Lighting:
    constants = np.float32([ambient, 0.06, haze, 100])
    places = np.concatenate([points[:, :2] + 8, points[:, 2:]], 1)
    return Lighting(np.full(len(points), facing, np.float32), places, np.full((16, 16), np.inf, np.float32), constants)


def shade(kernels, points: np.ndarray, surfaces: Surfaces, lighting: Lighting, texture: np.ndarray) -> Cell:
    buffer = draw(kernels, points, surfaces.faces.tolist(), surfaces.flags.tolist())
    cell = Cell(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.float32))
    texels = np.concatenate([texture.ravel(), texture[::2, ::2].ravel()])
    side = len(texture)
    levels = np.array([[0, side * side * 3, side], [side * side * 3, side * side * 3 // 4, side // 2]], np.int64)
    kernels.shade_cell(buffer, surfaces, lighting, Pyramid(texels.astype(np.uint8), levels), cell)
    return cell


def test_light_shadow_haze_and_glow(kernels):
    """Brightness is ambient + (1.15 - ambient) cos; a shadow leaves the ambient share; what shines has neither."""
    points, texture = square(2, 2), np.full((8, 8, 3), 80)
    faces = flat_surfaces(points, TWO)
    bright = shade(kernels, points, faces, light(points), texture).image
    assert (bright == 92).all()  # 80 * 1.15
    away = shade(kernels, points, faces, light(points, facing=-0.4), texture).image
    assert (away == round(80 * (0.5 - 0.25 * 0.4 * 0.65))).all()
    dark = light(points)
    dark.blockers[:] = 1.9
    assert (shade(kernels, points, faces, dark, texture).image == 40).all()
    dark.blockers[:] = 1.95  # nearer than the bias: a surface throws no shadow on itself
    assert (shade(kernels, points, faces, dark, texture).image == 92).all()
    glow = flat_surfaces(points, TWO, [EMISSIVE] * 2)
    assert (shade(kernels, points, glow, dark, texture).image == 80).all()
    hazy = shade(kernels, points, faces, light(points, haze=0.5), texture).image
    assert (hazy == round(92 * 0.9 + 100 * 0.1)).all()  # 0.5 at distance 10 is 0.1 at distance 2


def test_half_a_pixel_of_subject_is_subject_and_depth_is_the_nearest(kernels):
    points = np.concatenate([square(2, 2), square(1, 0.3125)])  # the nearer one is 5 samples wide, 5.5 to 10.5
    surfaces = flat_surfaces(points, [*TWO, *(np.array(TWO) + 4).tolist()], [0, 0, 1, 1])
    cell = shade(kernels, points, surfaces, light(points), np.full((8, 8, 3), 80))
    assert (cell.mask[3:5, 3:5] == 1).all() and cell.mask[0, 0] == 0
    assert cell.depth[4, 4] == 1 and cell.depth[0, 0] == 2
    whole = draw(kernels, points, surfaces.faces.tolist()).owner >= 2
    share = whole.reshape(8, 2, 8, 2).sum((1, 3))
    assert np.array_equal(cell.mask == 1, share >= 2) and np.array_equal(cell.depth == 1, share >= 1)


def test_where_nothing_is_seen_image_and_depth_are_zero(kernels):
    points = square(2, 0.5)
    cell = shade(kernels, points, flat_surfaces(points, TWO), light(points), np.full((8, 8, 3), 80))
    assert (cell.image[0] == 0).all() and (cell.depth[0] == 0).all() and (cell.depth[4, 4] == 2).all()


def test_flows_are_those_of_the_nearest_surface_in_a_pixel():
    """The near square goes right by 0.25 at depth 1: one pixel; the far one down by 0.5 at depth 2: one pixel."""
    points = np.concatenate([square(2, 2), square(1, 0.3125)])
    later = points + np.repeat(np.float32([[0, 0.5, 0], [0.25, 0, 0]]), 4, 0)
    aside = Pinhole(CAMERA.pose + np.float32([[0, 0, 0, 0.5], [0, 0, 0, 0], [0, 0, 0, 0]]), CAMERA.lens)
    faces = [*TWO, *(np.array(TWO) + 4).tolist()]
    buffer = draw(raster_numpy, points, faces)
    flow = raster_numpy.trace_cell(buffer, np.int32(faces), [(later, CAMERA), (points, aside)])
    near = (buffer.owner >= 2).reshape(8, 2, 8, 2).any((1, 3))
    assert 4 < near.sum() < 64
    np.testing.assert_allclose(flow[0], np.where(near, [[[1]], [[0]]], [[[0]], [[1]]]), atol=1e-5)
    np.testing.assert_allclose(flow[1], np.where(near, [[[2]], [[0]]], [[[1]], [[0]]]), atol=1e-5)


def test_points_are_visible_in_the_image_and_before_what_is_drawn():
    nearness = draw(raster_numpy, square(2, 1), TWO).nearness
    points = np.float32([[0, 0, 2], [0, 0, 2.03], [0, 0, 2.1], [0, 0, 1], [3, 0, 2], [5, 0, 9], [0, 0, -2]])
    seen = raster_numpy.visible_points(points, CAMERA, nearness)
    assert seen.tolist() == [True, True, False, True, False, True, False]


def test_textures_repeat_and_are_looked_up_between_texels(kernels):
    points, texture = square(2, 2), np.zeros((8, 8, 3), np.int64)
    texture[:, :, 0] = np.array([0, 200, 0, 200, 0, 200, 0, 200])  # red stripes, gone one level up
    surfaces = flat_surfaces(points, TWO, [EMISSIVE] * 2)
    surfaces.uv[:] = np.float32([[2, 0], [2 + 0.25, 0], [2 + 0.25, 0.25], [2, 0.25]])  # two texels over 16 samples
    row = shade(kernels, points, surfaces, light(points), texture).image[4, :, 0]
    # texel middles at 4 and 12 of 16 samples; a pixel is the mean of two samples
    middles = 0.125 * (np.arange(8) + 0.5) * 2 - 0.5
    expected = np.interp(middles, [-1, 0, 1, 2], [200, 0, 200, 0])
    np.testing.assert_allclose(row, expected, atol=7)  # at the turning points, where two samples straddle


def test_shadow_maps_hold_the_nearest_caster(kernels):
    points = np.concatenate([square(3, 2), square(2, 1)]) + np.float32([8, 8, 0])
    faces = np.int32([*TWO, *(np.array(TWO) + 4).tolist()])
    out = np.zeros((16, 16), np.float32)
    kernels.shadow_map(points, faces, np.uint8([CASTS] * 4), out)
    assert np.isinf(out[0, 0]) and out[6, 6] == 3 and out[8, 8] == 2
    kernels.shadow_map(points, faces, np.uint8([CASTS] * 2 + [0] * 2), out)
    assert out[8, 8] == 3


def test_normals_of_a_ball_point_away_and_of_a_box_stay_sharp():
    ball = superquadric((1, 1, 1), detail=24)
    normals = raster_numpy.vertex_normals(ball.points[None], ball.faces, ball.weld)[0]
    assert (np.einsum("ij,ij->i", normals, ball.points) > 0.97).all()
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, rtol=1e-5)
    cube = box((1, 1, 1))
    assert np.allclose(np.abs(raster_numpy.vertex_normals(cube.points[None], cube.faces, cube.weld)[0]).max(1), 1)


def scene(family: str, index: int) -> Scene:
    phases = np.linspace(0, 1, 2, dtype=np.float32)
    return random_scene(family, SceneRng(index), phases, phases, (40, 56))


@pytest.mark.parametrize(("family", "index"), [("biped", 3), ("cloth", 9), ("vehicle", 12)])
def test_compiled_and_plain_pictures_are_the_same(family, index):
    pytest.importorskip("numba")
    fast, plain = (
        render(scene(family, index), RenderOptions(60, flows=True, backend=name), SceneRng(1))
        for name in ("numba", "numpy")
    )
    off = (fast.cells.int() - plain.cells.int()).abs().amax(-1)
    # rounding may turn which of two samples at an edge is the nearer
    assert float((off > 1).float().mean()) < 0.002
    assert float((fast.masks != plain.masks).float().mean()) < 0.001
    assert float(((fast.depth / plain.depth - 1).abs() > 1e-4).float().mean()) < 0.001
    assert float(((fast.flows - plain.flows).abs() > 0.5).float().mean()) < 0.002
    assert torch.equal(fast.tracks, plain.tracks) and float((fast.visible != plain.visible).float().mean()) < 0.02


def test_without_numba_the_plain_way_is_taken(monkeypatch):
    monkeypatch.setattr(mesh_renderer, "unavailable", lambda: "numba can't be loaded (gone)")
    assert raster_backend("auto") is raster_numpy
    with pytest.raises(InputError, match="use backend='auto'"):
        raster_backend("numba")
    assert float(render(scene("biped", 3)).depth.min()) > 0


def test_tracks_and_flows_are_made_only_where_asked():
    plain = render(scene("snake", 1))
    assert plain.tracks.shape == (2, 0, 3) and plain.visible.shape == (2, 2, 0)
    assert plain.flows.shape == (2, 2, 0, 2, 40, 56)
