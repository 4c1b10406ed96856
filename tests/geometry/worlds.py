"""A little world that is known exactly: a textured wall with a textured board before it, seen by plain projection."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from fourreal_core.cameras import Cameras, intrinsics_from_focal, lift, pixel_grid
from fourreal_core.flow.clip_flows import ClipFlows
from fourreal_core.geometry.geometry import Geometry

SIZE = (72, 120)
FOCAL_PX = 120.0
WALL_Z, BOARD_Z = 4.0, 2.4
BOARD_HALF = (0.45, 0.32)


@dataclass(frozen=True)
class World:
    """Frames ``(F, H, W, 3)`` with their true depth ``(F, H, W)`` and cameras; the world is the central camera's."""

    frames: Tensor
    depth: Tensor
    cameras: Cameras

    @property
    def clip(self) -> ClipFlows:
        """The frames in the form the code takes them."""
        return ClipFlows(self.frames)

    @property
    def geometry(self) -> Geometry:
        """The truth in the form the code takes it."""
        return Geometry(
            self.depth,
            self.cameras.intrinsics,
            torch.ones_like(self.depth, dtype=torch.bool),
            self.cameras.world_to_cam,
        )


def _texture(seed: int, wavelength_px: float, z: float) -> tuple[Tensor, Tensor, Tensor]:
    """Waves ``(K, 2)``, phases ``(K,)`` and mixing ``(K, 3)`` of a band-limited picture on a plane at distance z."""
    rng = torch.Generator().manual_seed(seed)
    count = 24
    angle = torch.rand(count, generator=rng) * 2 * math.pi
    wavelength = wavelength_px * 10 ** torch.rand(count, generator=rng) * z / FOCAL_PX
    waves = torch.stack([angle.cos(), angle.sin()], -1) * (2 * math.pi / wavelength)[:, None]
    return waves, torch.rand(count, generator=rng) * 2 * math.pi, torch.randn(count, 3, generator=rng)


def _paint(at: Tensor, texture: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    waves, phases, mixing = texture
    return torch.sigmoid(0.45 * torch.sin(at @ waves.T + phases) @ mixing)


def _on_plane(rays: Tensor, rot: Tensor, trans: Tensor, z: float) -> tuple[Tensor, Tensor]:
    """Where camera rays ``(H, W, 3)`` meet the world's plane at z: world points and camera depths."""
    centre = -rot.T @ trans
    world_rays = rays @ rot
    depth = (z - centre[2]) / world_rays[..., 2]
    return centre + depth[..., None] * world_rays, depth


def look(cameras: Cameras, board_at: list[tuple[float, float]] | None = None, seed: int = 0) -> World:
    """What every camera sees, the board's middle standing at ``board_at`` (x, y) in each frame."""
    wall, board = _texture(seed, 7.0, WALL_Z), _texture(seed + 1, 7.0, BOARD_Z)
    frames, depths = [], []
    for v in range(len(cameras)):
        rot, trans = cameras.world_to_cam[v, :3, :3], cameras.world_to_cam[v, :3, 3]
        rays = lift(pixel_grid(cameras.size), torch.ones(cameras.size), cameras.intrinsics[v])
        middle = torch.tensor(board_at[v] if board_at else (0.0, 0.0))
        back, back_depth = _on_plane(rays, rot, trans, WALL_Z)
        front, front_depth = _on_plane(rays, rot, trans, BOARD_Z)
        local = front[..., :2] - middle
        hit = (local.abs() < torch.tensor(BOARD_HALF)).all(-1)
        frames.append(torch.where(hit[..., None], _paint(local, board), _paint(back[..., :2], wall)))
        depths.append(torch.where(hit, front_depth, back_depth))
    return World(torch.stack(frames), torch.stack(depths), cameras)


def path(views: int, step: float = 0.11, yaw_degrees: float = 1.2, size: tuple[int, int] = SIZE) -> Cameras:
    """Cameras that walk to the right and turn to the left; the central one is the world."""
    poses = torch.eye(4).repeat(views, 1, 1)
    for v in range(views):
        k = v - views // 2
        yaw = math.radians(-yaw_degrees * k)
        c, s = math.cos(yaw), math.sin(yaw)
        rot = torch.tensor([[c, 0.0, -s], [0.0, 1.0, 0.0], [s, 0.0, c]])
        poses[v, :3, :3], poses[v, :3, 3] = rot, -rot @ torch.tensor([step * k, 0.02 * k, 0.0])
    return Cameras(poses, intrinsics_from_focal(FOCAL_PX, size).repeat(views, 1, 1), size)


def standing(frames: int, size: tuple[int, int] = SIZE) -> Cameras:
    """The same camera over and over."""
    return Cameras(torch.eye(4).repeat(frames, 1, 1), intrinsics_from_focal(FOCAL_PX, size).repeat(frames, 1, 1), size)
