"""Track engines beside the built-in one: DELTA behind its package's interface, and tracks that were given."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from fourreal_core.cameras import intrinsics_from_focal, lift, project, sample_map
from fourreal_core.errors import InputError
from fourreal_core.flow.clip_flows import ClipFlows
from fourreal_core.geometry.geometry import Geometry
from fourreal_core.tracking import delta_tracks
from fourreal_core.tracking.delta_tracks import DeltaTracks, _depth_in_time
from fourreal_core.tracking.given_tracks import GivenTracks, PixelTracks, _interpolated, spread_times
from fourreal_core.tracking.track3d import TrackOptions
from fourreal_core.tracking.track_engines import FlowTracks, track_engine

from ..geometry.worlds import BOARD_Z, FOCAL_PX, SIZE, World

GRID = (36, 60)


class DenseTrack3D(torch.nn.Module):
    """The package's model as far as its predictor and its checkpoint are concerned."""

    def __init__(
        self,
        window_len: int = 8,
        stride: int = 4,
        add_space_attn: bool = True,
        num_virtual_tracks: int = 64,
        model_resolution: tuple[int, int] = (384, 512),
        only_learnup: bool = False,
        upsample_factor: int = 4,
    ) -> None:
        super().__init__()
        self.model_resolution = model_resolution
        self.fnet = torch.nn.Linear(2, 2)


class DensePredictor3D(torch.nn.Module):
    """The package's predictor: tracks every point of a grid over the first frame forward, here by the truth.

    The world is known by its pictures; a pixel there has its centre at whole numbers.
    """

    world: World

    def __init__(self, model: DenseTrack3D) -> None:
        super().__init__()
        self.interp_shape, self.model = model.model_resolution, model

    def forward(
        self,
        video: torch.Tensor,
        videodepth: torch.Tensor,
        grid_query_frame: int = 0,
        scale_input: bool = True,
        scale_to_origin: bool = True,
        use_efficient_global_attn: bool = True,
        predefined_intrs: torch.Tensor | None = None,
    ) -> dict[str, Any]:
        frames, height, width = video.shape[1], *video.shape[3:]
        assert video.shape == (1, frames, 3, height, width) and 100 < video.max() <= 255
        assert videodepth.shape == (1, frames, 1, height, width) and grid_query_frame == 0
        assert predefined_intrs is not None and predefined_intrs.shape == (1, 3, 3)
        known = (self.world.frames * 255).permute(0, 3, 1, 2)
        order = [int((known - frame).flatten(1).abs().sum(1).argmin()) for frame in video[0]]
        rows, columns = self.interp_shape
        ys, xs = torch.linspace(0, height - 1, rows), torch.linspace(0, width - 1, columns)
        uv = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), -1).reshape(-1, 2)
        cameras, first = self.world.cameras, order[0]
        depth = sample_map(self.world.depth[first], uv + 0.5)
        point = cameras.to_world(lift(uv + 0.5, depth, cameras.intrinsics[first]), first)
        seen = [cameras[k].to_camera(point)[0] for k in order]
        where = [project(p, cameras.intrinsics[k]) - 0.5 for p, k in zip(seen, order, strict=True)]
        visible = [
            (p[:, 2] - sample_map(self.world.depth[k], uv + 0.5)).abs() < 0.1
            for p, uv, k in zip(seen, where, order, strict=True)
        ]
        return {
            "trajs_uv": torch.stack(where)[None],
            "trajs_depth": torch.stack(seen)[None, ..., 2:],
            "vis": torch.stack(visible)[None],
            "conf": torch.stack(visible)[None].float(),
            "trajs_3d_dict": {},
            "dense_reso": self.interp_shape,
        }


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch, walk: World) -> None:
    """An installed ``densetrack3d``."""
    where = {
        "densetrack3d.models.densetrack3d.densetrack3d": {"DenseTrack3D": DenseTrack3D},
        "densetrack3d.models.predictor.dense_predictor": {"DensePredictor3D": DensePredictor3D},
    }
    for path, contents in where.items():
        parts = path.split(".")
        for k in range(1, len(parts) + 1):
            monkeypatch.setitem(sys.modules, ".".join(parts[:k]), ModuleType(".".join(parts[:k])))
        for name, value in contents.items():
            setattr(sys.modules[path], name, value)
    monkeypatch.setitem(delta_tracks.MODEL, "model_resolution", GRID)
    monkeypatch.setattr(DensePredictor3D, "world", walk, raising=False)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.save({"model": DenseTrack3D().state_dict()}, tmp_path / "delta.pth")
    return tmp_path / "delta.pth"


def true_positions(world: World, tracks: Any) -> torch.Tensor:
    """Where the tracked points truly are in every view: carried from their keyframes by the true cameras."""
    each = torch.arange(len(tracks))
    start = tracks.positions[tracks.keyframe, each]
    point = torch.empty_like(start)
    for k in tracks.keyframe.unique().tolist():
        mine = tracks.keyframe == k
        point[mine] = world.cameras.to_world(start[mine], k)
    return world.cameras.to_camera(point)


def test_delta_follows_keyframes_both_ways(package: None, checkpoint: Path, walk: World) -> None:
    tracks = track_engine(f"delta:{checkpoint}").track_views(walk.clip, walk.geometry)
    assert tracks.frames == 5 and set(tracks.keyframe.tolist()) == {2, 0, 4}
    central = int((tracks.keyframe == 2).sum())
    assert central == GRID[0] * GRID[1] > len(tracks) - central > 0  # the ends add what the middle doesn't show
    # exact but for depth that is read between pixels at the board's rim
    error = (tracks.positions - true_positions(walk, tracks)).norm(dim=-1)
    assert float(error.max()) < 1e-4
    each = torch.arange(len(tracks))
    assert bool(tracks.visible[tracks.keyframe, each].all()) and 0.5 < float(tracks.visible.float().mean()) < 1
    inside = project(tracks.positions, tracks.intrinsics[:, None])[tracks.visible]
    assert float(inside.min()) >= 0 and float((inside - torch.tensor([SIZE[1], SIZE[0]])).max()) < 0
    # 36 x 60 points share 72 x 120 pixels: one is two pixels wide
    wide = tracks.spacing[:central] * FOCAL_PX / walk.depth[2].flatten().median()
    assert float(wide.median()) == pytest.approx(2, rel=0.05)


def test_delta_keeps_to_the_mask_and_the_number(package: None, checkpoint: Path, walk: World) -> None:
    valid = torch.ones(SIZE, dtype=torch.bool)
    valid[:, :40] = False
    tracks = DeltaTracks(checkpoint).track_views(walk.clip, walk.geometry, valid, TrackOptions(max_points=500))
    assert len(tracks) == 500
    start = project(tracks.positions[tracks.keyframe, torch.arange(500)], tracks.intrinsics[tracks.keyframe])
    assert float(start[:, 0].min()) >= 40
    whole = DeltaTracks(checkpoint).track_views(walk.clip, walk.geometry, valid)
    grown = tracks.spacing.median() / whole.spacing.median()
    assert float(grown) == pytest.approx((len(whole) / 500) ** 0.5, rel=0.1)


def test_delta_tracks_time_from_the_first_frame(
    package: None, checkpoint: Path, walk: World, moving: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DensePredictor3D, "world", moving)
    still = replace(moving.geometry, world_to_cam=None)
    tracks = DeltaTracks(checkpoint).track_times(moving.clip, still)
    assert tracks.frames == 4 and len(tracks) == GRID[0] * GRID[1] and not tracks.keyframe.any()
    # its cameras stand, and so does what the stand-in says of every point
    torch.testing.assert_close(tracks.positions[3], tracks.positions[0], rtol=0, atol=1e-4)
    with pytest.raises(InputError, match="resize the clip first"):
        DeltaTracks(checkpoint).track_times(ClipFlows(moving.frames[:, :32]), still)


def test_delta_is_never_half_there(
    tmp_path: Path, checkpoint: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "densetrack3d", None)
    with pytest.raises(InputError, match="no package densetrack3d here"):
        DeltaTracks(checkpoint)
    monkeypatch.undo()
    request.getfixturevalue("package")
    with pytest.raises(InputError, match="it is not downloaded here"):
        DeltaTracks(tmp_path / "none.pth")
    torch.save({"fnet.weight": torch.zeros(2, 2)}, tmp_path / "half.pth")
    torch.save(DenseTrack3D, tmp_path / "code.pth")  # a pickle that would run code is not opened
    with pytest.raises(InputError, match="half.pth lacks 1 of DELTA's tensors, fnet.bias"):
        DeltaTracks(tmp_path / "half.pth")
    with pytest.raises(InputError, match="code.pth can't be read"):
        DeltaTracks(tmp_path / "code.pth")


def test_engines_have_names() -> None:
    assert track_engine("flow") == FlowTracks()
    for said, says in (
        ("best", "one of flow, delta, dust3r"),
        ("flow:3", "'flow' alone"),
        ("delta", "delta:CHECKPOINT"),
    ):
        with pytest.raises(InputError, match=says):
            track_engine(said)


def true_pixels(world: World, points: int, generator: torch.Generator) -> tuple[PixelTracks, torch.Tensor]:
    """Random points of the middle view as a perfect tracker gives them, and where they are in every view's space."""
    at = torch.rand(points, 2, generator=generator) * torch.tensor([SIZE[1] - 1.0, SIZE[0] - 1.0])
    at = at.floor() + 0.5
    start = lift(at, sample_map(world.depth[2], at), world.cameras.intrinsics[2])
    there = world.cameras.to_camera(world.cameras.to_world(start, 2))
    pixels = project(there, world.cameras.intrinsics[:, None])
    depth = torch.stack([sample_map(d, p) for d, p in zip(world.depth, pixels, strict=True)])
    return PixelTracks(pixels, (there[..., 2] - depth).abs() < 0.02, SIZE), there


def test_given_views_are_lifted(walk: World, generator: torch.Generator) -> None:
    given, truth = true_pixels(walk, 300, generator)
    tracks = GivenTracks(views=given).track_views(walk.clip, walk.geometry)
    assert len(tracks) == 300 and 0.6 < float(tracks.visible.float().mean()) < 0.99
    error = (tracks.positions - truth).norm(dim=-1)
    assert float(error[tracks.visible].max()) < 0.02  # visible ones lie that near the surface, by their own test
    assert float(error.max()) < 0.02  # hidden ones are carried by the true cameras from where they were seen
    in_middle = tracks.keyframe == 2
    assert float(in_middle.float().mean()) > 0.95
    at = given.pixels[2, in_middle].long()
    torch.testing.assert_close(tracks.colors[in_middle], walk.frames[2, at[:, 1], at[:, 0]])


def test_tracks_of_other_sizes_are_scaled(walk: World, generator: torch.Generator) -> None:
    given, _ = true_pixels(walk, 50, generator)
    double = PixelTracks(given.pixels * 2, given.visible, (2 * SIZE[0], 2 * SIZE[1]))
    a, b = (GivenTracks(views=g).track_views(walk.clip, walk.geometry) for g in (given, double))
    torch.testing.assert_close(a.positions, b.positions)


@pytest.fixture
def on_board() -> Callable[[int], PixelTracks]:
    """Tracks on the board alone, which slides by 2 pixels right and 1 down a frame."""

    def make(count: int) -> PixelTracks:
        xs = torch.linspace(42, 78, count)
        start = torch.stack([xs, 36 + 8 * torch.sin(xs)], -1)
        pixels = torch.stack([start + t * torch.tensor([2.0, 1.0]) for t in range(4)])
        return PixelTracks(pixels, torch.ones(4, count, dtype=torch.bool), SIZE)

    return make


@pytest.mark.parametrize("count", [12, 60])
def test_a_few_tracks_carry_their_surface(moving: World, on_board: Callable[[int], PixelTracks], count: int) -> None:
    tracks = GivenTracks(times=on_board(count)).track_times(moving.clip, moving.geometry)
    assert len(tracks) == SIZE[0] * SIZE[1]
    moved = project(tracks.positions, tracks.intrinsics[:, None])
    moved = moved - moved[:1]
    board = tracks.positions[0, :, 2] < BOARD_Z + 0.1
    assert float(moved[:, ~board].abs().max()) < 1e-4  # the wall behind lies close by in the picture, not in depth
    near = board & (project(tracks.positions[0], tracks.intrinsics[0])[:, 1] - 36).abs().lt(8)
    assert int(near.sum()) > 300
    # every track says the same, so their mean does
    torch.testing.assert_close(moved[3, near], torch.tensor([6.0, 3.0]).expand(int(near.sum()), 2), rtol=0, atol=0.05)


def test_a_track_that_is_hidden_says_little(moving: World, on_board: Callable[[int], PixelTracks]) -> None:
    given = on_board(40)
    pixels, visible = given.pixels.clone(), given.visible.clone()
    pixels[3, ::2], visible[3, ::2] = 0.0, False  # lost, and left in the corner
    tracks = GivenTracks(times=PixelTracks(pixels, visible, SIZE)).track_times(moving.clip, moving.geometry)
    at = project(tracks.positions, tracks.intrinsics[:, None])
    middle = (at[0] - torch.tensor([60.0, 36.0])).norm(dim=-1) < 6
    seen, lost = at[2, middle] - at[0, middle], at[3, middle] - at[0, middle]
    torch.testing.assert_close(seen, torch.tensor([4.0, 2.0]).expand_as(seen), rtol=0, atol=0.05)
    assert float((lost - torch.tensor([6.0, 3.0])).norm(dim=-1).median()) < 12  # half of them point 60 pixels away


def test_pixels_move_by_the_tracks_around_them_by_hand() -> None:
    """Influences below 0.3 in all move a pixel part of the way; a hidden track counts a tenth."""
    influence = torch.tensor([[0.15, 0.0], [0.4, 0.4], [0.0, 0.0]])
    moved = torch.tensor([[[4.0, 0.0], [0.0, 2.0]]])
    shift, visible = _interpolated(influence, moved, torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(shift[0], torch.tensor([[2.0, 0.0], [4 / 1.1, 0.2 / 1.1], [0.0, 0.0]]))
    assert visible[0].tolist() == pytest.approx([1.0, 0.5, 0.0])


def flat_wall(size: tuple[int, int] = SIZE) -> tuple[torch.Tensor, Geometry]:
    """Two frames of it, and its geometry."""
    intrinsics = intrinsics_from_focal(FOCAL_PX, size).expand(2, 3, 3)
    depth = torch.full((2, *size), 2.0)
    return torch.zeros(2, *size, 3), Geometry(depth, intrinsics, torch.ones(2, *size, dtype=torch.bool))


def shifts(tracks: Any) -> torch.Tensor:
    """By how much every pixel moved until the last frame, ``(H, W, 2)``."""
    pixels = project(tracks.positions, tracks.intrinsics[:, None])
    return (pixels[-1] - pixels[0]).reshape(*tracks.size, 2)


def test_one_track_moves_what_is_near() -> None:
    """Its influence is a sixteenth of the width, 7.5 pixels: all the way to 1.5 of them, and nothing from 3.04 on."""
    frames, geometry = flat_wall()
    pixels = torch.tensor([[[60.5, 36.5]], [[64.5, 36.5]]])
    tracks = spread_times(
        PixelTracks(pixels, torch.tensor([[True], [False]]), SIZE), frames, geometry, torch.ones(SIZE, dtype=torch.bool)
    )
    moved = shifts(tracks)[36]
    torch.testing.assert_close(moved[[60, 70, 49], 0], torch.full((3,), 4.0), rtol=0, atol=1e-3)
    assert (tracks.positions[1] == tracks.positions[0]).all(-1).reshape(SIZE)[36, [30, 84, 100]].all()
    assert 0 < float(moved[78, 0]) < 1.7  # 17.5 px: an influence of 0.06
    visible = tracks.visible[1].reshape(SIZE)[36]
    assert not visible[60] and visible[100]  # hidden with its track; what stands is seen


def test_of_very_many_tracks_a_regular_share_counts_and_is_averaged(generator: torch.Generator) -> None:
    size = (36, 60)
    frames, geometry = flat_wall(size)
    start = torch.rand(4097, 2, generator=generator) * torch.tensor([size[1] - 1.0, size[0] - 1.0])
    noise = torch.randn(4097, 2, generator=generator)
    every = PixelTracks(torch.stack([start, start + noise]), torch.ones(2, 4097, dtype=torch.bool), size)
    half = PixelTracks(every.pixels[:, ::2], every.visible[:, ::2], size)
    valid = torch.ones(size, dtype=torch.bool)
    a, b = (spread_times(tracks, frames, geometry, valid) for tracks in (every, half))
    assert torch.equal(a.positions, b.positions)
    # 2049 tracks stand a pixel apart: not 1.5 px around a pixel are averaged but 3, which are 4 pi 3^2 / 1.05 of them
    assert float(shifts(a)[6:-6, 6:-6].std()) == pytest.approx(107**-0.5, rel=0.2)


def test_delta_is_given_depth_that_moves_along(moving: World) -> None:
    depth = _depth_in_time(moving.clip, moving.geometry)
    assert torch.equal(depth[0], moving.depth[0])
    arrived = moving.depth[3] < moving.depth[0] - 0.1  # where the board is now; what it uncovers nothing knows
    assert int(arrived.sum()) > 200
    assert float(((depth[3] - moving.depth[3]).abs()[arrived] < 0.1).float().mean()) > 0.5


def test_what_was_not_given_is_tracked_by_another(walk: World, generator: torch.Generator) -> None:
    given, _ = true_pixels(walk, 20, generator)
    asked: list[str] = []

    class Other:
        def track_views(self, *args: Any) -> str:
            asked.append("views")
            return "other"

        def track_times(self, *args: Any) -> str:
            asked.append("times")
            return "other"

    assert GivenTracks(views=given, otherwise=Other()).track_times(walk.clip, walk.geometry) == "other"
    assert GivenTracks(times=given, otherwise=Other()).track_views(walk.clip, walk.geometry) == "other"
    assert asked == ["times", "views"]


def test_wrong_tracks_are_refused(walk: World, moving: World) -> None:
    places, seen = torch.zeros(4, 3, 2), torch.ones(4, 3, dtype=torch.bool)
    for pixels, visible in (
        (places[0], seen),
        (places, seen.float()),
        (places, seen[:3]),
        (places[:, :0], seen[:, :0]),
    ):
        with pytest.raises(InputError, match="give every point a place"):
            PixelTracks(pixels, visible, SIZE)
    with pytest.raises(InputError, match="NaN or infinite places"):
        PixelTracks(places * float("nan"), seen, SIZE)
    with pytest.raises(InputError, match="tracks of 4 frames for a freeze-time clip of 5"):
        GivenTracks(views=PixelTracks(places, seen, SIZE)).track_views(walk.clip, walk.geometry)
    outside = PixelTracks(places - 50, seen, SIZE)
    with pytest.raises(InputError, match="the first frame does not see"):
        GivenTracks(times=outside).track_times(moving.clip, moving.geometry)
    with pytest.raises(InputError, match="no view sees"):
        GivenTracks(views=PixelTracks(outside.pixels[[0] * 5], seen[[0] * 5], SIZE)).track_views(
            walk.clip, walk.geometry
        )
