"""Pinhole cameras and paths between them.

OpenCV axes (x right, y down, z forward), world to camera, intrinsics in pixels with the centre of the top-left pixel at
(0.5, 0.5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .errors import InputError


@dataclass(frozen=True)
class Cameras:
    """A batch of pinhole cameras.

    Attributes:
        world_to_cam: ``(F, 4, 4)`` rigid transforms.
        intrinsics: ``(F, 3, 3)`` in pixels.
        size: ``(height, width)`` of their images in pixels.
    """

    world_to_cam: Tensor
    intrinsics: Tensor
    size: tuple[int, int]

    def __post_init__(self) -> None:
        f = self.world_to_cam.shape[0]
        if self.world_to_cam.shape != (f, 4, 4) or self.intrinsics.shape != (f, 3, 3):
            raise InputError(
                f"cameras of shapes {tuple(self.world_to_cam.shape)} and {tuple(self.intrinsics.shape)}",
                "(F, 4, 4) and (F, 3, 3)",
                "give every frame one transform and one intrinsics matrix",
            )

    def __len__(self) -> int:
        return self.world_to_cam.shape[0]

    def __getitem__(self, index: int | slice | Tensor) -> Cameras:
        pick = slice(index, index + 1 or None) if isinstance(index, int) else index
        return Cameras(self.world_to_cam[pick], self.intrinsics[pick], self.size)

    def to_camera(self, points_world: Tensor) -> Tensor:
        """World points ``(N, 3)`` or ``(F, N, 3)`` in every camera's space, ``(F, N, 3)``."""
        rot, trans = self.world_to_cam[:, :3, :3], self.world_to_cam[:, None, :3, 3]
        return points_world @ rot.transpose(1, 2) + trans

    def to_world(self, points_cam: Tensor, index: int) -> Tensor:
        """World points ``(N, 3)`` of points in one camera's space."""
        rot, trans = self.world_to_cam[index, :3, :3], self.world_to_cam[index, :3, 3]
        return (points_cam - trans) @ rot

    def scaled(self, size: tuple[int, int]) -> Cameras:
        """The same cameras for images of another ``(height, width)``."""
        sy, sx = size[0] / self.size[0], size[1] / self.size[1]
        factor = torch.tensor([sx, sy, 1.0], dtype=self.intrinsics.dtype, device=self.intrinsics.device)
        return Cameras(self.world_to_cam, self.intrinsics * factor[:, None], size)


def intrinsics_from_focal(focal_px: float | Tensor, size: tuple[int, int]) -> Tensor:
    """Intrinsics ``(3, 3)`` of a camera with square pixels that looks through the middle of its image."""
    h, w = size
    k = torch.eye(3)
    k[0, 0] = k[1, 1] = float(focal_px)
    k[0, 2], k[1, 2] = w / 2, h / 2
    return k


def lift(pixels: Tensor, depth: Tensor, intrinsics: Tensor) -> Tensor:
    """Camera-space points ``(..., 3)`` of pixels ``(..., 2)`` (x, y) at z-depths ``(...)``."""
    x = (pixels[..., 0] - intrinsics[..., 0, 2]) / intrinsics[..., 0, 0]
    y = (pixels[..., 1] - intrinsics[..., 1, 2]) / intrinsics[..., 1, 1]
    return torch.stack([x * depth, y * depth, depth], dim=-1)


def project(points_cam: Tensor, intrinsics: Tensor, near: float = 1e-4) -> Tensor:
    """Pixels ``(..., 2)`` (x, y) of camera-space points ``(..., 3)``; depths below ``near`` are held at it."""
    z = points_cam[..., 2].clamp_min(near)
    x = points_cam[..., 0] / z * intrinsics[..., 0, 0] + intrinsics[..., 0, 2]
    y = points_cam[..., 1] / z * intrinsics[..., 1, 1] + intrinsics[..., 1, 2]
    return torch.stack([x, y], dim=-1)


def pixel_grid(size: tuple[int, int], device: torch.device | str = "cpu") -> Tensor:
    """Centres ``(H, W, 2)`` (x, y) of an image's pixels."""
    ys = torch.arange(size[0], device=device, dtype=torch.float32) + 0.5
    xs = torch.arange(size[1], device=device, dtype=torch.float32) + 0.5
    return torch.stack(torch.meshgrid(xs, ys, indexing="xy"), dim=-1)


def inside_image(pixels: Tensor, size: tuple[int, ...]) -> Tensor:
    """Which pixels ``(..., 2)`` (x, y) lie on an image of ``(height, width)``, bool ``(...)``."""
    return (pixels[..., 0] >= 0) & (pixels[..., 0] < size[1]) & (pixels[..., 1] >= 0) & (pixels[..., 1] < size[0])


def sample_map(values: Tensor, pixels: Tensor) -> Tensor:
    """Bilinear samples ``(...[, C])`` of a map ``(H, W[, C])`` at pixels ``(..., 2)`` (x, y); the border repeats."""
    flat = values.ndim == 2
    image = (values[..., None] if flat else values).permute(2, 0, 1)[None]
    h, w = values.shape[:2]
    at = (pixels / pixels.new_tensor([w, h]) * 2 - 1).reshape(1, 1, -1, 2).to(image.dtype)
    out = torch.nn.functional.grid_sample(image, at, align_corners=False, padding_mode="border")[0, :, 0].T
    out = out.reshape(*pixels.shape[:-1], image.shape[1])
    return out[..., 0] if flat else out


def quats_wxyz_from_rotations(rot: Tensor) -> Tensor:
    """Unit quaternions ``(F, 4)`` (w first, w >= 0) of rotation matrices ``(F, 3, 3)``.

    The largest of the four components is solved first, which stays exact for half-turns.
    """
    m = rot.double()
    d = torch.diagonal(m, dim1=-2, dim2=-1)
    t = d.sum(-1)
    squares = torch.stack([1 + t, 1 + 2 * d[:, 0] - t, 1 + 2 * d[:, 1] - t, 1 + 2 * d[:, 2] - t], -1).clamp_min(0)
    a, b, c = m[:, 2, 1] - m[:, 1, 2], m[:, 0, 2] - m[:, 2, 0], m[:, 1, 0] - m[:, 0, 1]
    xy, xz, yz = m[:, 0, 1] + m[:, 1, 0], m[:, 0, 2] + m[:, 2, 0], m[:, 1, 2] + m[:, 2, 1]
    rows = torch.stack(
        [
            torch.stack(r, -1)
            for r in (
                (squares[:, 0], a, b, c),
                (a, squares[:, 1], xy, xz),
                (b, xy, squares[:, 2], yz),
                (c, xz, yz, squares[:, 3]),
            )
        ],
        1,
    )
    q = rows[torch.arange(len(m), device=m.device), squares.argmax(-1)]
    q = q / q.norm(dim=-1, keepdim=True)
    return torch.where(q[:, :1] < 0, -q, q).to(rot.dtype)


def rotations_from_quats_wxyz(quats: Tensor) -> Tensor:
    """Rotation matrices ``(F, 3, 3)`` of unit quaternions ``(F, 4)``, w first."""
    w, x, y, z = quats.unbind(-1)
    return torch.stack(
        [
            1 - 2 * (y * y + z * z),
            2 * (x * y - w * z),
            2 * (x * z + w * y),
            2 * (x * y + w * z),
            1 - 2 * (x * x + z * z),
            2 * (y * z - w * x),
            2 * (x * z - w * y),
            2 * (y * z + w * x),
            1 - 2 * (x * x + y * y),
        ],
        -1,
    ).reshape(-1, 3, 3)


def interpolate(cameras: Cameras, positions: Tensor) -> Cameras:
    """Cameras at fractional places along a path of cameras.

    Rotations are interpolated on the sphere of quaternions, camera centres and intrinsics linearly.

    Args:
        cameras: The path's F given cameras.
        positions: ``(P,)`` places in ``[0, F - 1]``; 1.5 is half way from camera 1 to camera 2. Held at the ends.
    """
    pos = positions.to(cameras.world_to_cam).clamp(0, len(cameras) - 1)
    low = pos.floor().long().clamp(max=max(len(cameras) - 2, 0))
    high = (low + 1).clamp(max=len(cameras) - 1)
    frac = (pos - low)[:, None]
    rot, trans = cameras.world_to_cam[:, :3, :3], cameras.world_to_cam[:, :3, 3]
    centres = -(rot.transpose(1, 2) @ trans[..., None])[..., 0]
    quats = quats_wxyz_from_rotations(rot)
    a, b = quats[low], quats[high]
    dot = (a * b).sum(-1, keepdim=True)
    b, dot = torch.where(dot < 0, -b, b), dot.abs().clamp(max=1)
    angle = torch.arccos(dot)
    sin = torch.sin(angle)
    near = sin < 1e-4  # the two rotations are one to rounding: the straight line is the arc
    wa = torch.where(near, 1 - frac, torch.sin((1 - frac) * angle) / sin.clamp_min(1e-12))
    wb = torch.where(near, frac, torch.sin(frac * angle) / sin.clamp_min(1e-12))
    q = wa * a + wb * b
    r = rotations_from_quats_wxyz(q / q.norm(dim=-1, keepdim=True))
    centre = centres[low] * (1 - frac) + centres[high] * frac
    w2c = torch.eye(4, dtype=rot.dtype, device=rot.device).repeat(len(pos), 1, 1)
    w2c[:, :3, :3] = r
    w2c[:, :3, 3] = -(r @ centre[..., None])[..., 0]
    k = cameras.intrinsics[low] * (1 - frac[..., None]) + cameras.intrinsics[high] * frac[..., None]
    return Cameras(w2c, k, cameras.size)


def interpolate_smoothly(cameras: Cameras, positions: Tensor) -> Cameras:
    """Cameras at fractional places along a path that has no corners at the given ones.

    Uniform Catmull-Rom splines through the camera centres and through the quaternions, which are brought to one sign
    and normalised afterwards; the path goes straight on beyond its ends. Intrinsics are interpolated linearly.

    Args:
        cameras: The path's F given cameras.
        positions: ``(P,)`` places in ``[0, F - 1]``, held at the ends.
    """
    straight = interpolate(cameras, positions)
    if len(cameras) == 1:
        return straight
    pos = positions.to(cameras.world_to_cam).clamp(0, len(cameras) - 1)
    rot, trans = cameras.world_to_cam[:, :3, :3], cameras.world_to_cam[:, :3, 3]
    quats = quats_wxyz_from_rotations(rot)
    turned = torch.sign((quats[1:] * quats[:-1]).sum(-1))
    signs = torch.cat([torch.ones_like(pos[:1]), torch.where(turned == 0, 1.0, turned)]).cumprod(0)
    q = _spline(quats * signs[:, None], pos)
    r = rotations_from_quats_wxyz(q / q.norm(dim=-1, keepdim=True))
    centre = _spline(-(rot.transpose(1, 2) @ trans[..., None])[..., 0], pos)
    w2c = straight.world_to_cam.clone()
    w2c[:, :3, :3] = r
    w2c[:, :3, 3] = -(r @ centre[..., None])[..., 0]
    return Cameras(w2c, straight.intrinsics, cameras.size)


def _spline(points: Tensor, positions: Tensor) -> Tensor:
    """Uniform Catmull-Rom ``(P, C)`` through points ``(F, C)``, F at least 2."""
    ends = torch.cat([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    low = positions.floor().long().clamp(max=len(points) - 2)
    t = (positions - low)[:, None]
    a, b, c, d = (ends[low + k] for k in range(4))
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))


def orbit(camera: Cameras, target: Tensor, count: int, degrees: float = 20.0) -> Cameras:
    """A closed swing of one camera around a point, for looking about a scene.

    The camera sways left and right by up to ``degrees`` about the vertical through ``target``, and a third of that up
    and down, always turned by as much as it moved.

    Args:
        camera: One camera to start from.
        target: ``(3,)`` world point to swing around.
        count: Number of cameras on the path.
        degrees: Largest turn to a side.
    """
    phase = torch.arange(count, dtype=torch.float64) / max(count, 1) * 2 * math.pi
    yaw = math.radians(degrees) * torch.sin(phase)
    pitch = math.radians(degrees / 3) * (1 - torch.cos(phase)) / 2
    base = camera.world_to_cam[0].double()
    centre = base[:3, :3] @ target.double() + base[:3, 3]
    cy, sy, cp, sp = torch.cos(yaw), torch.sin(yaw), torch.cos(pitch), torch.sin(pitch)
    zero, one = torch.zeros_like(cy), torch.ones_like(cy)
    turn = torch.stack([cy, zero, sy, zero, one, zero, -sy, zero, cy], -1).reshape(-1, 3, 3)
    nod = torch.stack([one, zero, zero, zero, cp, -sp, zero, sp, cp], -1).reshape(-1, 3, 3)
    rot = nod @ turn
    move = torch.eye(4, dtype=torch.float64).repeat(count, 1, 1)
    move[:, :3, :3] = rot
    move[:, :3, 3] = centre - (rot @ centre[:, None])[..., 0]
    w2c = (move @ base).to(camera.world_to_cam.dtype)
    return Cameras(w2c, camera.intrinsics[:1].expand(count, 3, 3), camera.size)
