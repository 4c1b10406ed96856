"""Geometry in the host's packet and back."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch

Part = Callable[[str], ModuleType]
F, H, W = 2, 6, 8


@pytest.fixture
def geometry(part: Part) -> Any:
    rng = torch.Generator().manual_seed(1)
    depth = 1 + torch.rand(F, H, W, generator=rng)
    k = torch.tensor([[9.0, 0, 4.0], [0, 9.0, 3.0], [0, 0, 1]]).expand(F, 3, 3)
    mask = torch.ones(F, H, W, dtype=torch.bool)
    mask[0, 2, 3] = False
    pose = torch.eye(4).repeat(F, 1, 1)
    pose[1, 0, 3] = 0.5
    return part("fourreal_core.geometry.geometry").Geometry(depth, k, mask, pose, torch.rand(F, H, W, generator=rng))


def test_there_and_back(part: Part, geometry: Any) -> None:
    wires = part("nodes.wires")
    back = wires.from_packet(wires.to_packet(geometry, torch.rand(F, H, W, 3)))
    assert torch.equal(back.mask, geometry.mask)
    assert torch.equal(back.depth[back.mask], geometry.depth[geometry.mask])
    assert torch.allclose(back.intrinsics, geometry.intrinsics)
    assert torch.equal(back.world_to_cam, geometry.world_to_cam)
    assert torch.equal(back.confidence, geometry.confidence)


def test_the_packet_follows_the_hosts_conventions(part: Part, geometry: Any) -> None:
    packet = part("nodes.wires").to_packet(geometry, torch.rand(F, H, W, 3))
    # the host: points = depth * K^-1 (u, v, 1), with u and v of the pixel centres, 0 to 1 across the picture
    v, u = torch.meshgrid((torch.arange(H) + 0.5) / H, (torch.arange(W) + 0.5) / W, indexing="ij")
    rays = torch.stack([u, v, torch.ones_like(u)], -1) @ torch.linalg.inv(packet["intrinsics"][1]).T
    assert torch.allclose(packet["points"][1], rays * geometry.depth[1, ..., None], atol=1e-6)
    assert packet["intrinsics"][0, :2, 2].tolist() == [0.5, 0.5]
    assert packet["depth"][0, 2, 3] == float("inf") and packet["points"][0, 2, 3].isinf().all()
    assert packet["image"].shape == (F, H, W, 3)


def test_a_packet_of_the_hosts_own_node_is_taken(part: Part) -> None:
    with torch.inference_mode():
        depth = torch.full((F, H, W), 2.0, dtype=torch.float16)
        depth[:, 0] = float("inf")
        packet = {
            "depth": depth,
            "intrinsics": torch.tensor([[1.0, 0, 0.5], [0, 1.5, 0.5], [0, 0, 1]]).expand(F, 3, 3),
            "mask": torch.isfinite(depth),
            "image": torch.rand(F, H, W, 3),
        }
    before = {k: v.clone() for k, v in packet.items()}
    got = part("nodes.wires").from_packet(packet)
    assert got.world_to_cam is None and got.confidence is None
    assert torch.isfinite(got.depth).all() and not got.mask[:, 0].any() and got.mask[:, 1:].all()
    assert got.intrinsics[0, 0, 0] == W and got.intrinsics[0, 1, 1] == 1.5 * H
    assert not any(x.is_inference() for x in (got.depth, got.intrinsics, got.mask))
    assert all(torch.equal(packet[k], before[k]) for k in packet)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"depth": None, "points": None}, "geometry without depth"),
        ({"intrinsics": None}, "geometry without intrinsics"),
        ({"mask": torch.zeros(F, H, W)}, "geometry with a frame in which no depth is known"),
    ],
)
def test_geometry_that_cannot_be_used_is_named(
    part: Part, geometry: Any, changes: dict[str, Any], sentence: str
) -> None:
    wires = part("nodes.wires")
    packet = wires.to_packet(geometry, torch.rand(F, H, W, 3)) | changes
    with pytest.raises(ValueError, match=sentence):
        wires.from_packet(packet)


def test_geometry_of_other_frames_is_named(part: Part, geometry: Any) -> None:
    with pytest.raises(ValueError, match="geometry of 2 frames of 8 x 6 pixels; expected 3 frames of 8 x 6"):
        part("nodes.wires").check_frames(geometry, torch.rand(3, H, W, 3))
