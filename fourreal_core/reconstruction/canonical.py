"""Canonical splats from 3D tracks: points aligned to the central frame, rigid cameras split from view inconsistency."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch
from torch import Tensor

from ..cameras import Cameras
from ..errors import InputError
from ..rasterizer import rasterize
from ..scene.gaussians import Splats
from ..scene.scene4d import Scene4D
from ..tracking.tracks import Tracks
from .merge_keyframes import merge_keyframes

log = logging.getLogger(__name__)

SCALE_FACTOR = 0.5
"""Standard deviation of a splat over the spacing of neighbouring points."""
OPACITY = 0.9
"""Opacity that every splat starts with."""
FEWEST = 50
"""Points that the canonical frame and a view must both see for the view's camera to be fitted to these alone."""


@dataclass(frozen=True)
class CanonicalOptions:
    """How points become splats.

    Attributes:
        view_offsets: Keep what the tracks found beyond the rigid cameras (supplement eq. 3); false is the ablation
            without view compensation.
    """

    view_offsets: bool = True


def fit_rigid_motion(source: Tensor, target: Tensor, weight: Tensor, rounds: int = 8) -> Tensor:
    """The rigid motion ``(4, 4)`` that best maps points onto points, robustly.

    Kabsch's closed form under Geman-McClure weights whose width follows the median residual.

    Args:
        source: ``(N, 3)``.
        target: ``(N, 3)``.
        weight: ``(N,)`` not negative.
        rounds: Reweightings.
    """
    p, q, w0 = source.double(), target.double(), weight.double()
    out = torch.eye(4, dtype=torch.float64, device=source.device)
    if int((w0 > 0).sum()) < 3:
        return out.to(source.dtype)
    w = w0
    for _ in range(rounds):
        mass = w.sum().clamp_min(1e-12)
        mp, mq = (w[:, None] * p).sum(0) / mass, (w[:, None] * q).sum(0) / mass
        u, _, vt = torch.linalg.svd((w[:, None] * (p - mp)).T @ (q - mq))
        flip = torch.ones(3, dtype=torch.float64, device=p.device)
        flip[2] = torch.sign(torch.det(vt.T @ u.T))
        rot = vt.T @ (flip[:, None] * u.T)
        out[:3, :3], out[:3, 3] = rot, mq - rot @ mp
        error = (p @ rot.T + out[:3, 3] - q).norm(dim=-1)
        width = 2 * error[w0 > 0].median().clamp_min(1e-9)
        w = w0 / (1 + (error / width) ** 2) ** 2
    return out.to(source.dtype)


def canonical_scene(tracks: Tracks, times: int, options: CanonicalOptions | None = None) -> Scene4D:
    """Aligns tracks to the central frame and makes one isotropic splat of every point.

    Per view a rigid motion is fitted robustly to ``p_n -> P[v, n]``, which is the camera; what is left over is the
    view-dependent offset of supplement eq. 3.

    Args:
        tracks: Of the freeze-time clip, F = V.
        times: Number of time steps T of the grid.
        options: See CanonicalOptions.

    Returns:
        A scene that does not move yet.

    Raises:
        InputError: No points.
    """
    options = options or CanonicalOptions()
    if len(tracks) == 0:
        raise InputError("tracks without points", "at least one point", "check the clip and its mask")
    once = merge_keyframes(tracks)
    if not bool(once.all()):
        log.info("canonical: %d of %d points were there already", int((~once).sum()), len(once))
        tracks = tracks.select(once)
    views = tracks.frames
    canonical = tracks.positions[views // 2]
    in_front = canonical[:, 2] > 1e-3
    world_to_cam = []
    for v in range(views):
        seen = tracks.visible[v] & tracks.visible[views // 2] & in_front
        if int(seen.sum()) < FEWEST:
            seen = in_front
        weight = seen.float() / canonical[:, 2].clamp_min(1e-3)  # an error of one pixel is farther off at a distance
        world_to_cam.append(fit_rigid_motion(canonical, tracks.positions[v], weight))
    cameras = Cameras(torch.stack(world_to_cam), tracks.intrinsics, tracks.size)
    offsets = tracks.positions - cameras.to_camera(canonical)
    if not options.view_offsets:
        offsets = torch.zeros_like(offsets)
    n = len(tracks)
    logit = torch.logit(torch.tensor(OPACITY))
    splats = Splats(canonical, (tracks.spacing * SCALE_FACTOR).log(), logit.expand(n).clone(), tracks.colors)
    depth = tracks.depth if tracks.depth is not None else _rendered_depth(splats, cameras, offsets)
    return Scene4D(
        splats,
        cameras,
        view_offsets=offsets,
        visible=tracks.visible,
        motion_weight=torch.zeros(n),
        view_depth=depth,
        view_motion=torch.zeros_like(depth),
        times=times,
        deformation=None,
        background=tracks.colors.mean(0),
    )


def _rendered_depth(splats: Splats, cameras: Cameras, offsets: Tensor) -> Tensor:
    """Depth ``(V, H, W)`` of the splats themselves, for tracks that brought none; the farthest where it is empty."""
    out = []
    for v in range(len(cameras)):
        points = cameras[v].to_camera(splats.means)[0] + offsets[v]
        rendered = rasterize(points, splats.scales, splats.opacities, None, cameras.intrinsics[v], cameras.size)
        out.append(torch.where(rendered.alpha > 0.5, rendered.depth, points[:, 2].max()))
    return torch.stack(out)
