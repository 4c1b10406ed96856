"""Dense 3D tracks: every pixel of the keyframes followed through all frames, in each frame's own camera space.

The engine follows DELTA's contract (Ngo et al. 2024: dense, camera-space, with visibility) with classical means: flow
finds where a point is seen, the frame's depth lifts it, and where it is hidden it moves rigidly with the cameras.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..cameras import inside_image, lift, project, sample_map
from ..errors import InputError
from ..flow.clip_flows import ClipFlows
from ..flow.flow_field import forward_backward_error
from ..flow.robust_flow import robust_flow
from ..geometry.geometry import Geometry
from ..progress import OnStep, no_progress
from .point_picture import point_picture
from .rigid_motion import FirstFrame, follow_parts
from .tracks import Tracks

SAME_SURFACE = 0.06
"""Two frames' depths within this relative difference are one surface."""
RETURN_PX = 1.0
"""Largest forward-backward error of a flow that may correct a point, in pixels."""
CORRECT_PX = 12.0
"""Largest correction by flow of where the camera predicts a point, in pixels."""
REACH = 3
"""Largest distance between views whose flow is measured directly."""


@dataclass(frozen=True)
class TrackOptions:
    """How many points are followed.

    Attributes:
        max_points: At most this many; a random subset stays where there are more.
        seed: Of the random subset.
    """

    max_points: int = 200_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_points < 1:
            raise InputError(f"at most {self.max_points} points", "at least 1", "leave it at its default")


def seen_from(points_cam: Tensor, depth: Tensor, intrinsics: Tensor) -> Tensor:
    """Whether camera-space points ``(N, 3)`` lie on the surface a frame's depth ``(H, W)`` shows: bool ``(N,)``."""
    pixels = project(points_cam, intrinsics)
    at = sample_map(depth, pixels)
    z = points_cam[:, 2]  # one behind the camera differs by more than the depth
    return inside_image(pixels, tuple(depth.shape)) & ((z - at).abs() < SAME_SURFACE * at)


def keyframe_order(frames: int) -> list[int]:
    """The central frame, the two ends, then the others halving the gaps: so the first few cover the most."""
    order = [frames // 2]
    gaps = [(0, frames - 1)]
    for end in (0, frames - 1):
        if end not in order:
            order.append(end)
    while gaps:
        low, high = gaps.pop(0)
        middle = (low + high) // 2
        if middle not in order:
            order.append(middle)
        if high - low > 1:
            gaps += [(low, middle), (middle, high)]
    return order


def choose_points(geometry: Geometry, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels that start a track: all of the central frame, then of every frame what no earlier keyframe showed.

    Returns:
        Keyframe ``(N,)``, pixel ``(N, 2)`` (x, y), and the points in their keyframe's camera space ``(N, 3)``.
    """
    cameras, points = geometry.cameras, geometry.points
    h, w = geometry.size
    ys, xs = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    pixels = torch.stack([xs, ys], -1).reshape(-1, 2).float() + 0.5
    keys, at, where = [], [], []
    done: list[int] = []
    for k in keyframe_order(len(geometry.depth)):
        fresh = (geometry.mask[k] & valid).reshape(-1).clone()
        mine = points[k].reshape(-1, 3)
        world = cameras.to_world(mine, k)
        for j in done:
            left = fresh.nonzero()[:, 0]
            if not len(left):
                break
            there = cameras[j].to_camera(world[left])[0]
            seen = seen_from(there, geometry.depth[j], geometry.intrinsics[j])
            pixel = project(there, geometry.intrinsics[j])
            fresh[left[seen & (sample_map(valid.float(), pixel) > 0.5)]] = False
        index = fresh.nonzero()[:, 0]
        keys.append(torch.full((len(index),), k, dtype=torch.long))
        at.append(pixels[index])
        where.append(mine[index])
        done.append(k)
    return torch.cat(keys), torch.cat(at), torch.cat(where)


def track_views(
    clip: ClipFlows,
    geometry: Geometry,
    valid: Tensor | None = None,
    options: TrackOptions | None = None,
    on_step: OnStep = no_progress,
) -> Tracks:
    """Follows the freeze-time clip's points through all its views.

    Where a view sees a point, the point is put where flow finds it, at the depth of that view: so inconsistency of the
    views is followed as if it were motion (supplement 3). Where it is hidden or the flow is not consistent, it moves
    rigidly with the camera.

    Args:
        clip: The freeze-time clip, V frames.
        geometry: Depth and cameras of the same frames.
        valid: ``(H, W)`` bool, pixels that show the scene.
        options: See TrackOptions.
        on_step: Progress, one step a view, with the points that it sees as preview.

    Raises:
        InputError: Geometry of another clip, or without cameras.
    """
    options, frames = options or TrackOptions(), clip.frames
    geometry.check_clip(frames)
    cameras = geometry.cameras
    valid = torch.ones(geometry.size, dtype=torch.bool) if valid is None else valid
    keys, pixels, start = choose_points(geometry, valid)
    thin = random_subset(len(keys), options)
    spacing = start[:, 2] / geometry.intrinsics[keys, 0, 0] * (len(keys) / max(len(thin), 1)) ** 0.5
    keys, pixels, start, spacing = keys[thin], pixels[thin], start[thin], spacing[thin]
    views, count = frames.shape[0], len(keys)
    colors = frames[keys, pixels[:, 1].long(), pixels[:, 0].long()].float()
    positions, visible = torch.empty(views, count, 3), torch.zeros(views, count, dtype=torch.bool)
    for v in range(views):
        for k in keys.unique().tolist():
            mine = keys == k
            world = cameras.to_world(start[mine], k)
            rigid = cameras[v].to_camera(world)[0]
            if v == k:
                positions[v, mine], visible[v, mine] = start[mine], True
                continue
            positions[v, mine], visible[v, mine] = _follow(rigid, pixels[mine], clip, (k, v), geometry)
        seen = visible[v]
        on_step(v + 1, views, point_picture(positions[v, seen], colors[seen], geometry.intrinsics[v], geometry.size))
    return Tracks(positions, visible, colors, keys, spacing, geometry.intrinsics, geometry.size, geometry.depth)


def _follow(
    rigid: Tensor, pixels: Tensor, clip: ClipFlows, pair: tuple[int, int], geometry: Geometry
) -> tuple[Tensor, Tensor]:
    """Positions ``(M, 3)`` in view v's space of points started at ``pixels`` of view k, and whether v sees them."""
    k, v = pair
    visible = seen_from(rigid, geometry.depth[v], geometry.intrinsics[v])
    if abs(v - k) > REACH:
        return rigid, visible
    flow = clip.progressive(k, v)
    error = forward_backward_error(flow, clip.progressive(v, k))
    column, row = (pixels - 0.5).long().unbind(-1)
    at = row.numpy(), column.numpy()
    seen_at, error_px = pixels + torch.from_numpy(flow[at]), torch.from_numpy(error[at])
    predicted = project(rigid, geometry.intrinsics[v])
    near = (seen_at - predicted).norm(dim=-1) < CORRECT_PX
    depth = sample_map(geometry.depth[v], seen_at)
    same = (depth - rigid[:, 2]).abs() < 2 * SAME_SURFACE * rigid[:, 2]
    follow = (error_px < RETURN_PX) & near & same  # the error is infinite off the picture
    lifted = lift(seen_at, depth, geometry.intrinsics[v])
    return torch.where(follow[:, None], lifted, rigid), visible | follow


def track_times(
    clip: ClipFlows,
    geometry: Geometry,
    valid: Tensor | None = None,
    options: TrackOptions | None = None,
    on_step: OnStep = no_progress,
) -> Tracks:
    """Follows every pixel of the fixed-view clip's first frame through time, in view 0's camera space.

    One camera that stands gives no parallax. Parts that move as rigid bodies show how their depth changes (see
    follow_parts); any other point keeps its depth, and what it moves towards the camera is left to the later fit.

    Args:
        clip: T frames; the first is view 0 of the geometry.
        geometry: Of the freeze-time clip.
        valid: ``(H, W)`` bool.
        options: See TrackOptions.
        on_step: Progress, one step a frame.
    """
    frames = clip.frames
    if clip.size != geometry.size:
        raise InputError(
            f"a fixed-view clip of {clip.size[1]} x {clip.size[0]} pixels",
            f"{geometry.size[1]} x {geometry.size[0]} as the geometry",
            "resize the clip first",
        )
    valid = torch.ones(geometry.size, dtype=torch.bool) if valid is None else valid
    total = 2 * len(frames)
    flows, errors = robust_flow(clip, lambda done, n, preview=None: on_step(done, total))
    first = FirstFrame(
        geometry.depth[0].cpu().numpy(), geometry.intrinsics[0].double().cpu().numpy(), valid.cpu().numpy()
    )
    motion = follow_parts(
        clip,
        flows,
        errors,
        first,
        lambda done, n, preview=None: on_step(len(frames) + done * len(frames) // max(n, 1), total),
    )
    flows, errors, depths = motion.flows, motion.errors, torch.from_numpy(motion.depth)
    ys, xs = (geometry.mask[0] & valid).nonzero(as_tuple=True)
    pixels = torch.stack([xs, ys], -1) + 0.5
    moved = pixels + torch.from_numpy(flows)[:, ys, xs]
    depth = geometry.depth[0, ys, xs]
    intrinsics = geometry.intrinsics[0]
    positions = lift(moved, depths[:, ys, xs], intrinsics)
    visible = (torch.from_numpy(errors)[:, ys, xs] < RETURN_PX) & inside_image(moved, geometry.size)
    colors = frames[0, ys, xs].float()
    seen = visible[-1]
    on_step(total, total, point_picture(positions[-1, seen], colors[seen], intrinsics, geometry.size))
    return Tracks(
        positions,
        visible,
        colors,
        torch.zeros(len(ys), dtype=torch.long),
        depth / intrinsics[0, 0],
        intrinsics.expand(len(frames), 3, 3),
        geometry.size,
    )


def random_subset(count: int, options: TrackOptions) -> Tensor:
    """Indices of at most ``options.max_points`` of ``count`` points, in order."""
    if count <= options.max_points:
        return torch.arange(count)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(options.seed))
    return order[: options.max_points].sort().values
