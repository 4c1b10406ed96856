"""The border to the host's 3D types: splats and cameras in the host's conventions.

The host's ``SPLAT`` frame is that of 3DGS files, x right, y down, z forward, which is this project's world: positions
cross as they are. Its cameras (``LOAD3D_CAMERA``) are those of three.js, x right, y up, looking down -z, a half-turn
about x away.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ...fourreal_core.cameras import Cameras, quats_wxyz_from_rotations
from ...fourreal_core.progress import OnStep, no_progress
from ...fourreal_core.splats.scene import Scene4D

SH_BAND_0 = 0.28209479177387814
"""Value of the constant spherical harmonic: a colour c is stored as ``(c - 0.5) / SH_BAND_0``."""


def splat_fields(scene: Scene4D, times: list[int], on_step: OnStep = no_progress) -> dict[str, Tensor]:
    """The fields of the host's splat batch, one item a time step.

    Args:
        scene: The scene, with N splats.
        times: Time steps.
        on_step: Called after every time step.

    Returns:
        ``positions (B, N, 3)``, ``scales (B, N, 3)`` linear, ``rotations (B, N, 4)`` w first, ``opacities (B, N, 1)``,
        ``sh (B, N, 1, 3)``.
    """
    positions = []
    for done, time in enumerate(times, start=1):
        positions.append(scene.deformed(time).detach())
        on_step(done, len(times))
    batch, count = len(times), len(scene.splats)
    same = {
        "scales": scene.splats.scales[:, None].expand(count, 3),
        "rotations": torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(count, 4),
        "opacities": scene.splats.opacities[:, None],
        "sh": ((scene.splats.colors - 0.5) / SH_BAND_0)[:, None],
    }
    return {"positions": torch.stack(positions)} | {
        name: x.detach().expand(batch, *x.shape).contiguous() for name, x in same.items()}


def camera_info(cameras: Cameras, target_depth: float) -> dict[str, Any]:
    """The host's description of the first of some cameras.

    The host knows square pixels, a centred picture, and a field of view over the shorter side.

    Args:
        cameras: One camera.
        target_depth: How far ahead the point lies that an orbit would turn about, in scene units.
    """
    half_turn = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    rotation, shift = cameras.world_to_cam[0, :3, :3], cameras.world_to_cam[0, :3, 3]
    turned = half_turn @ rotation.T @ half_turn
    position = half_turn @ -(rotation.T @ shift)
    w, x, y, z = quats_wxyz_from_rotations(turned[None])[0].tolist()
    focal = float(cameras.intrinsics[0, 0, 0] + cameras.intrinsics[0, 1, 1]) / 2
    return {
        "position": _xyz(position), "target": _xyz(position - target_depth * turned[:, 2]),
        "quaternion": {"x": x, "y": y, "z": z, "w": w},
        "fov": math.degrees(2 * math.atan(min(cameras.size) / 2 / focal)), "cameraType": "perspective", "zoom": 1.0,
    }


def _xyz(v: Tensor) -> dict[str, float]:
    return dict(zip("xyz", v.tolist(), strict=True))
