"""Depth of a clip whose cameras are known, on a little world whose truth is known."""

from __future__ import annotations

import logging
import math

import pytest
import torch

from fourreal_core.cameras import Cameras
from fourreal_core.errors import InputError
from fourreal_core.geometry.given_cameras import GivenCameras, triangulate
from fourreal_core.geometry.structure_from_motion import ParallaxOptions

from ..cancelling import Cancelled
from .worlds import SIZE, World, look, path

DENSE = ParallaxOptions(grid_px=24)


@pytest.fixture(scope="module")
def rig() -> World:
    """Five cameras, each with a lens of its own and none of them centred."""
    cameras = path(5)
    intrinsics = cameras.intrinsics.clone()
    intrinsics[:, 0, 0] = torch.tensor([110.0, 118.0, 120.0, 131.0, 124.0])
    intrinsics[:, 1, 1] = intrinsics[:, 0, 0] * 1.02
    intrinsics[:, 0, 2] += torch.tensor([3.0, -4.0, 0.0, 2.0, -3.0])
    intrinsics[:, 1, 2] += torch.tensor([-2.0, 1.0, 3.0, 0.0, 2.0])
    return look(Cameras(cameras.world_to_cam, intrinsics, SIZE))


def elsewhere(cameras: Cameras, scale: float) -> Cameras:
    """The same cameras in a world that is turned, shifted and measured in another unit."""
    c, s = math.cos(0.7), math.sin(0.7)
    move = torch.eye(4)
    move[:3, :3] = torch.tensor([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
    move[:3, 3] = torch.tensor([5.0, -2.0, 11.0])
    poses = cameras.world_to_cam.clone()
    poses[:, :3, 3] *= scale
    return Cameras(poses @ move, cameras.intrinsics, cameras.size)


def test_depth_has_the_cameras_own_unit(rig: World) -> None:
    found = triangulate(rig.clip, elsewhere(rig.cameras, 3.0), None, DENSE)
    geometry = GivenCameras(elsewhere(rig.cameras, 3.0))(rig.clip, None, DENSE)
    error = (geometry.depth * found.state.scale / (3 * rig.depth) - 1).abs()
    # no scale is free: 0.1 px of 15 px parallax is under 1 %; at the board's rim flow mixes two depths
    assert float(error.median()) < 0.02 and float(error.quantile(0.9)) < 0.25
    assert found.error_px < 0.3
    assert geometry.world_to_cam[2].tolist() == torch.eye(4).tolist()  # the central camera is the world
    assert torch.equal(geometry.intrinsics, rig.cameras.intrinsics)


def test_each_lens_counts(rig: World) -> None:
    """Taken for one lens, the same cameras fit much worse."""
    one = rig.cameras.intrinsics.mean(0, keepdim=True).expand(5, 3, 3)
    right = triangulate(rig.clip, rig.cameras, None, DENSE).error_px
    assert triangulate(rig.clip, Cameras(rig.cameras.world_to_cam, one, SIZE), None, DENSE).error_px > 3 * right


def test_cameras_of_larger_pictures_are_brought_to_the_clips_size(rig: World) -> None:
    small = GivenCameras(rig.cameras)(rig.clip, None, DENSE)
    large = GivenCameras(rig.cameras.scaled((4 * SIZE[0], 4 * SIZE[1])))(rig.clip, None, DENSE)
    torch.testing.assert_close(small.intrinsics, large.intrinsics)
    torch.testing.assert_close(small.depth, large.depth, rtol=1e-3, atol=1e-3)


def test_cameras_of_other_views_are_told(rig: World, caplog: pytest.LogCaptureFixture) -> None:
    order, cameras = torch.tensor([3, 0, 4, 1, 2]), rig.cameras
    mixed = Cameras(cameras.world_to_cam[order], cameras.intrinsics[order], SIZE)
    with caplog.at_level(logging.WARNING, logger="fourreal_core"):
        triangulate(rig.clip, rig.cameras, None, DENSE)
        assert not caplog.records
        triangulate(rig.clip, mixed, None, DENSE)
    assert any("don't fit the pictures" in r.getMessage() for r in caplog.records)


def test_what_cannot_be_used_is_said(rig: World) -> None:
    with pytest.raises(InputError, match="4 cameras; expected 5, one a view"):
        GivenCameras(rig.cameras[:4])(rig.clip)
    still = Cameras(torch.eye(4).repeat(5, 1, 1), rig.cameras.intrinsics, SIZE)
    with pytest.raises(InputError, match="stand in one place"):
        GivenCameras(still)(rig.clip, None, DENSE)
    hidden = torch.zeros(SIZE, dtype=torch.bool)
    hidden[:8, :8] = True
    with pytest.raises(InputError, match="no two match"):
        GivenCameras(rig.cameras)(rig.clip, hidden, DENSE)


def test_progress_ends_at_its_total_and_stops(rig: World) -> None:
    steps: list[tuple[int, int]] = []
    GivenCameras(rig.cameras)(rig.clip, None, DENSE, lambda done, n, preview=None: steps.append((done, n)))
    assert steps[-1][0] == steps[-1][1] and [d for d, _ in steps] == sorted(d for d, _ in steps)

    def stop(done: int, total: int, preview: torch.Tensor | None = None) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        GivenCameras(rig.cameras)(rig.clip, None, DENSE, stop)
