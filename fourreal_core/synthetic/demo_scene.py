"""A seeded little world with everything known: a puppet that waves beside a rolling ball, in a tiled yard.

It is what ``fourreal demo`` runs on, and a source of ground truth for tests: frames, depth, cameras, subject masks and
the path of every surface point.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..cameras import Cameras, intrinsics_from_focal, project
from ..errors import InputError
from ..progress import OnStep, no_progress
from ..rasterizer import RasterOptions, rasterize
from ..scene.gaussians import Splats
from .demo_surfaces import SurfacePoints, box, ellipsoid, ground_strip, join, upright_tube, wall
from .demo_textures import SolidNoise, blend, lit, tiles

_FLOOR = 0.8
_EYE = (0.0, -0.4, -3.2)
_LOOK_AT = (0.05, 0.13, 0.35)
_ARC_DEGREES = 24.0
_FOCAL_WIDTHS = 1.0


@dataclass(frozen=True)
class DemoScene:
    """A made-up 4D scene and every frame of it.

    Attributes:
        grid: ``(V, T, H, W, 3)`` true frames in ``[0, 1]``.
        depth: ``(V, T, H, W)`` true z-depth in world units.
        masks: ``(V, T, H, W)`` bool, the moving subject.
        cameras: The V cameras, on an arc; view 0 is at its left end.
        splats: The scene at time 0, in world space.
        positions: ``(T, N, 3)`` world positions of the splats at every time; ``positions[0]`` is ``splats.means``.
    """

    grid: Tensor
    depth: Tensor
    masks: Tensor
    cameras: Cameras
    splats: Splats
    positions: Tensor


def demo_scene(
    views: int = 8,
    times: int = 8,
    size: tuple[int, int] = (144, 256),
    seed: int = 0,
    options: RasterOptions | None = None,
    on_step: OnStep = no_progress,
) -> DemoScene:
    """Makes the scene and renders its whole grid.

    Args:
        views: Cameras V on the arc of 24 degrees.
        times: Moments T; the motion over the clip is the same however many there are.
        size: ``(height, width)`` of the frames; the splats are as dense as it needs.
        seed: Of the textures.
        options: For the rasterizer.
        on_step: Called after every frame.

    Raises:
        InputError: Fewer than 2 views or times, or frames smaller than 16 x 16.
    """
    if views < 2 or times < 2 or min(size) < 16:
        raise InputError(
            f"a demo of {views} views, {times} times and {size[1]} x {size[0]} pixels",
            "at least 2 views, 2 times and 16 x 16 pixels",
            "ask for more",
        )
    generator = torch.Generator().manual_seed(seed)
    step = 1.0 / (_FOCAL_WIDTHS * size[1])  # one pixel at distance 1
    cameras = _arc(views, size)
    yard, yard_colors = _in_sight(*_yard(step, generator), cameras)
    limbs = _puppet_and_ball(step, generator)

    colors = torch.cat([yard_colors, *(limb.colors for limb in limbs)])
    spacing = torch.cat([yard.spacing, *(limb.points.spacing for limb in limbs)])
    positions = torch.stack(
        [torch.cat([yard.positions, *(limb.at(t / (times - 1)) for limb in limbs)]) for t in range(times)]
    )
    subject = torch.zeros(len(colors))
    subject[len(yard) :] = 1.0
    splats = Splats(positions[0], (0.55 * spacing).log(), torch.full((len(colors),), 3.5), colors)
    grid, depth, share = _render(cameras, splats, positions, subject, options or RasterOptions(), on_step)
    return DemoScene(grid, depth, share > 0.5, cameras, splats, positions)


@dataclass(frozen=True)
class _Limb:
    """A rigid part: where it is at rest, what turns it about a joint, and what carries joint and part along."""

    points: SurfacePoints
    colors: Tensor
    joint: tuple[float, float, float]
    turn: tuple[float, float, float]
    """Radians about x, y and z at the end of the clip."""
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    bob: float = 0.0
    """Height of an up and down over the clip, in world units."""
    parent: _Limb | None = None

    def at(self, time: float, points: Tensor | None = None) -> Tensor:
        """World positions at ``time`` in ``[0, 1]`` of this part's points, or of ``points`` fixed to it."""
        rest = self.points.positions if points is None else points
        eased = 0.5 - 0.5 * math.cos(math.pi * time)
        rot = _euler(*(angle * eased for angle in self.turn))
        joint = torch.tensor(self.joint)
        moved = (rest - joint) @ rot.T + joint + torch.tensor(self.shift) * eased
        moved = moved - torch.tensor([0.0, self.bob * math.sin(math.pi * time), 0.0])
        return moved if self.parent is None else self.parent.at(time, moved)


def _yard(step: float, generator: torch.Generator) -> tuple[SurfacePoints, Tensor]:
    """Everything that stands: floor, back wall, columns and crates."""
    floor = ground_strip(_FLOOR, _EYE[2] + 1.45, 2.6, _EYE[2], (1.35 * step, 0.9))
    back = wall(2.6, 5.2, -2.6, _FLOOR, 1.2 * step * 6.2)
    columns = [
        upright_tube(torch.tensor([x, _FLOOR, z]), 0.2, 3.2, 1.1 * step * (z - _EYE[2]))
        for x, z in ((-1.75, 1.3), (1.6, 1.7))
    ]
    crates = [
        box(torch.tensor(c), torch.tensor(h), 1.1 * step * (c[2] - _EYE[2]))
        for c, h in (
            ((1.15, 0.55, 0.75), (0.25, 0.25, 0.25)),
            ((1.3, 0.13, 0.95), (0.17, 0.17, 0.17)),
            ((-0.95, 0.6, 1.0), (0.3, 0.2, 0.22)),
        )
    ]
    fine = SolidNoise(generator, 0.5, 4)
    broad = SolidNoise(generator, 2.0, 3)

    x, z = floor.positions[:, 0], floor.positions[:, 2]
    stone, joint = tiles(x, z, 0.62, 0.035)
    paved = blend((0.42, 0.36, 0.30), (0.78, 0.70, 0.58), 0.5 + 0.6 * (stone - 0.5) + 0.16 * fine(floor.positions))
    paved = torch.where(joint[:, None], torch.tensor([0.22, 0.21, 0.18]), paved)
    brick, mortar = tiles(back.positions[:, 0], back.positions[:, 1], 0.56, 0.04)
    bricks = blend((0.45, 0.17, 0.12), (0.80, 0.42, 0.27), 0.5 + 0.7 * (brick - 0.5) + 0.15 * fine(back.positions))
    bricks = torch.where(mortar[:, None], torch.tensor([0.70, 0.67, 0.60]), bricks)
    bricks = bricks * (0.9 + 0.1 * broad(back.positions).clamp(-2, 2)[:, None])
    marble = [blend((0.30, 0.38, 0.36), (0.88, 0.90, 0.84), 0.55 + 0.3 * fine(c.positions)) for c in columns]
    planks = [_planks(c, fine) for c in crates]

    parts = [floor, back, *columns, *crates]
    colors = [lit(color, part.normals) for color, part in zip([paved, bricks, *marble, *planks], parts, strict=True)]
    colors[0] = colors[0] * _contact_shade(floor.positions)[:, None]
    return join(parts), torch.cat(colors)


def _in_sight(points: SurfacePoints, colors: Tensor, cameras: Cameras) -> tuple[SurfacePoints, Tensor]:
    """Only what some camera has in its image, or nearly."""
    height, width = cameras.size
    margin = 4 + 0.02 * width
    at = cameras.to_camera(points.positions)
    x, y = project(at, cameras.intrinsics[:, None]).unbind(-1)
    seen = ((at[..., 2] > 0.1) & (x > -margin) & (x < width + margin) & (y > -margin) & (y < height + margin)).any(0)
    return SurfacePoints(points.positions[seen], points.normals[seen], points.spacing[seen]), colors[seen]


def _planks(crate: SurfacePoints, noise: SolidNoise) -> Tensor:
    low, high = crate.positions.amin(0), crate.positions.amax(0)
    unit = (crate.positions - low) / (high - low)
    across = torch.where(crate.normals[:, 1].abs() > 0.5, unit[:, 2], unit[:, 1])
    gap = ((across * 4).remainder(1) - 0.5).abs() > 0.43
    rim = ((unit - 0.5).abs() > 0.41).sum(-1) >= 2  # near an edge of the box: its frame
    grain = noise(crate.positions * torch.tensor([0.5, 3, 3]))
    wood = blend((0.44, 0.28, 0.13), (0.82, 0.62, 0.34), 0.5 + 0.22 * grain)
    wood = torch.where(gap[:, None] & ~rim[:, None], wood * 0.4, wood)
    return torch.where(rim[:, None], wood * torch.tensor([0.75, 0.7, 0.65]), wood)


def _contact_shade(floor: Tensor) -> Tensor:
    """Darkening of the floor near what stands on it; things that move cast none, so that motion is geometry alone."""
    shade = torch.ones(len(floor))
    for x, z, radius in ((-1.75, 1.3, 0.3), (1.6, 1.7, 0.3), (1.15, 0.75, 0.42), (-0.95, 1.0, 0.42)):
        distance = ((floor[:, 0] - x) ** 2 + (floor[:, 2] - z) ** 2).sqrt() / radius
        shade = shade * (1 - 0.45 * torch.exp(-(distance**2)))
    depth = ((floor[:, 2] - 2.6).abs() / 0.35).clamp(max=4)
    return shade * (1 - 0.35 * torch.exp(-depth))


def _puppet_and_ball(step: float, generator: torch.Generator) -> list[_Limb]:
    """Everything that moves."""
    distance = -_EYE[2]
    noise = SolidNoise(generator, 0.3, 4)
    gap = 1.0 * step * distance

    def part(centre: tuple[float, float, float], radii: tuple[float, float, float]) -> SurfacePoints:
        return ellipsoid(torch.tensor(centre), torch.tensor(radii), gap)

    def painted(
        points: SurfacePoints, low: tuple[float, float, float], high: tuple[float, float, float], stripes: float = 0.0
    ) -> Tensor:
        amount = 0.5 + 0.33 * noise(points.positions)
        if stripes:
            amount = amount * 0.6 + 0.5 * ((points.positions[:, 1] / stripes).remainder(1) > 0.5)
        return lit(blend(low, high, amount), points.normals)

    trunk_points = part((-0.2, 0.12, 0.0), (0.21, 0.32, 0.17))
    trunk = _Limb(
        trunk_points,
        painted(trunk_points, (0.08, 0.16, 0.42), (0.36, 0.66, 0.95), 0.16),
        (-0.2, 0.5, 0.0),
        (0.0, 0.22, 0.08),
        (0.07, 0.0, -0.04),
        0.02,
    )
    head_points = part((-0.2, -0.36, -0.02), (0.17, 0.19, 0.17))
    head = _Limb(
        head_points,
        _face(head_points, painted(head_points, (0.70, 0.42, 0.22), (1.0, 0.82, 0.58))),
        (-0.2, -0.18, 0.0),
        (0.05, -0.25, 0.1),
        parent=trunk,
    )
    limbs = [trunk, head]
    skin = (0.62, 0.16, 0.20), (1.0, 0.62, 0.34)
    for side, swing in ((-1, 0.36), (1, -0.32)):
        x = -0.2 + side * 0.265
        arm = part((x, 0.12, -0.04), (0.075, 0.27, 0.08))
        limbs.append(
            _Limb(arm, painted(arm, *skin, 0.1), (x - side * 0.05, -0.1, 0.0), (swing * 0.7, 0.0, swing), parent=trunk)
        )
        leg_x = -0.2 + side * 0.1
        leg = part((leg_x, 0.59, 0.0), (0.09, 0.22, 0.1))
        limbs.append(
            _Limb(
                leg,
                painted(leg, (0.10, 0.28, 0.14), (0.55, 0.80, 0.36), 0.12),
                (leg_x, 0.42, 0.0),
                (side * 0.12, 0.0, 0.04),
                (0.07, 0.0, -0.04),
                0.02,
            )
        )
    ball = part((0.55, _FLOOR - 0.23, -0.15), (0.23, 0.23, 0.23))
    sector = torch.atan2(ball.normals[:, 1], ball.normals[:, 0]) / (math.pi / 3)
    stripes = blend((0.93, 0.82, 0.25), (0.75, 0.12, 0.14), (sector.floor().remainder(2)))
    stripes = stripes * (0.9 + 0.16 * noise(ball.positions)[:, None].clamp(-2, 2))
    roll = 0.15
    limbs.append(
        _Limb(ball, lit(stripes, ball.normals), (0.55, _FLOOR - 0.23, -0.15), (0.0, 0.0, roll / 0.23), (roll, 0.0, 0.0))
    )
    return limbs


def _face(head: SurfacePoints, skin: Tensor) -> Tensor:
    """Paints eyes, a mouth and a cap."""
    n = head.normals
    colors = skin.clone()
    colors[n[:, 1] < -0.45] = torch.tensor([0.72, 0.14, 0.40]) * (0.7 + 0.6 * skin[n[:, 1] < -0.45])
    for x in (-0.38, 0.38):
        off = ((n[:, 0] - x) ** 2 + (n[:, 1] + 0.12) ** 2).sqrt()
        front = n[:, 2] < 0
        colors[front & (off < 0.2)] = 0.95
        colors[front & (off < 0.1)] = 0.06
    mouth = (n[:, 2] < 0) & ((n[:, 1] - 0.42).abs() < 0.06) & (n[:, 0].abs() < 0.32)
    colors[mouth] = torch.tensor([0.45, 0.06, 0.08])
    return colors


def _arc(views: int, size: tuple[int, int]) -> Cameras:
    """Cameras on an arc about the upright axis through the point they look at, rising a little on the way."""
    target = torch.tensor(_LOOK_AT, dtype=torch.float64)
    out = torch.tensor(_EYE, dtype=torch.float64) - target
    transforms = []
    for i in range(views):
        part = i / (views - 1)
        angle = math.radians(_ARC_DEGREES) * (part - 0.5)
        spin = _euler(0.0, -angle, 0.0).double()
        eye = target + spin @ out - torch.tensor([0.0, 0.12 * part, 0.0], dtype=torch.float64)
        forward = torch.nn.functional.normalize(target - eye, dim=0)
        right = torch.nn.functional.normalize(
            torch.linalg.cross(torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64), forward), dim=0
        )
        rot = torch.stack([right, torch.linalg.cross(forward, right), forward])
        transform = torch.eye(4, dtype=torch.float64)
        transform[:3, :3], transform[:3, 3] = rot, -rot @ eye
        transforms.append(transform)
    intrinsics = intrinsics_from_focal(_FOCAL_WIDTHS * size[1], size)
    return Cameras(torch.stack(transforms).float(), intrinsics.expand(views, 3, 3), size)


def _render(
    cameras: Cameras, splats: Splats, positions: Tensor, subject: Tensor, options: RasterOptions, on_step: OnStep
) -> tuple[Tensor, Tensor, Tensor]:
    painted = torch.cat([splats.colors, subject[:, None]], -1)  # the subject's share is composited like a colour
    background = torch.tensor([0.55, 0.65, 0.75, 0.0])
    views, times = len(cameras), positions.shape[0]
    images, depths = [], []
    for v in range(views):
        for t in range(times):
            at = cameras[v].to_camera(positions[t])[0]
            drawn = rasterize(
                at, splats.scales, splats.opacities, painted, cameras.intrinsics[v], cameras.size, background, options
            )
            images.append(drawn.image)
            depths.append(drawn.depth)
            on_step(v * times + t + 1, views * times, drawn.image[..., :3].clamp(0, 1))
    image = torch.stack(images).reshape(views, times, *cameras.size, 4)
    depth = torch.stack(depths).reshape(views, times, *cameras.size)
    return image[..., :3].clamp(0, 1).contiguous(), depth, image[..., 3]


def _euler(x: float, y: float, z: float) -> Tensor:
    """Rotation matrix that turns about x, then y, then z."""
    cx, sx, cy, sy, cz, sz = (f(a) for a in (x, y, z) for f in (math.cos, math.sin))
    about_x = torch.tensor([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = torch.tensor([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = torch.tensor([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return (about_z @ about_y @ about_x).float()
