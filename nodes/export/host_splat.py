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

from ...fourreal_core.cameras import (
    Cameras,
    intrinsics_from_focal,
    quats_wxyz_from_rotations,
    rotations_from_quats_wxyz,
)
from ...fourreal_core.errors import InputError
from ...fourreal_core.progress import OnStep, no_progress
from ...fourreal_core.scene.scene4d import Scene4D

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
    positions, opacities = [], []
    for done, time in enumerate(times, start=1):
        positions.append(scene.deformed(time).detach())
        opacities.append(scene.opacities_at(time).detach())
        on_step(done, len(times))
    batch, count = len(times), len(scene.splats)
    same = {
        "scales": scene.splats.scales[:, None].expand(count, 3),
        "rotations": torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(count, 4),
        "sh": ((scene.splats.colors - 0.5) / SH_BAND_0)[:, None],
    }
    return {"positions": torch.stack(positions), "opacities": torch.stack(opacities)[..., None]} | {
        name: x.detach().expand(batch, *x.shape).contiguous() for name, x in same.items()
    }


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
        "position": _xyz(position),
        "target": _xyz(position - target_depth * turned[:, 2]),
        "quaternion": {"x": x, "y": y, "z": z, "w": w},
        "fov": math.degrees(2 * math.atan(min(cameras.size) / 2 / focal)),
        "cameraType": "perspective",
        "zoom": 1.0,
    }


def cameras_from_info(info: dict[str, Any] | list[dict[str, Any]], like: Cameras) -> Cameras:
    """The host's description of one camera, or a list of such, as cameras whose pictures are as large as ``like``'s.

    Raises:
        InputError: No camera, or one that isn't perspective, has no position, or looks nowhere.
    """
    infos = info if isinstance(info, (list, tuple)) else [info]
    if not infos or not all(isinstance(one, dict) for one in infos):
        raise InputError("no camera", "a camera_info, or a list of them", "connect the camera of a 3D node")
    cameras = [_camera_from_info(one, like) for one in infos]
    return Cameras(torch.cat([c.world_to_cam for c in cameras]), torch.cat([c.intrinsics for c in cameras]), like.size)


def _camera_from_info(info: dict[str, Any], like: Cameras) -> Cameras:
    """The host's description as one camera.

    Without a quaternion the camera looks at its target, upright. Without a field of view it has that of ``like``.

    Raises:
        InputError: A camera that isn't perspective, has no position, or looks nowhere.
    """
    if info.get("cameraType", "perspective") != "perspective":
        raise InputError(f"a camera of type {info['cameraType']!r}", "a perspective camera", "switch it over")
    half_turn = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    turned = _world_rotation(info)
    place = torch.tensor([float(info.get("position", {}).get(k, math.nan)) for k in "xyz"])
    if not bool(torch.isfinite(turned).all() & torch.isfinite(place).all()):
        raise InputError(
            f"a camera without place or direction, {info}",
            "position, and quaternion or target",
            "connect the camera of a 3D node",
        )
    rotation = half_turn @ turned.T @ half_turn
    pose = torch.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, -rotation @ (half_turn @ place)
    intrinsics = like.intrinsics[len(like) // 2].cpu()
    if info.get("fov"):
        half = math.tan(math.radians(min(max(float(info["fov"]), 1.0), 175.0)) / 2)
        zoom = float(info.get("zoom") or 1.0)
        intrinsics = intrinsics_from_focal(min(like.size) / 2 / half * zoom, like.size)
    device = like.world_to_cam.device
    return Cameras(pose[None].to(device), intrinsics[None].to(device), like.size)


def _world_rotation(info: dict[str, Any]) -> Tensor:
    """The camera's axes in the host's upright world, as columns: right, up, and back."""
    if info.get("quaternion"):
        q = torch.tensor([float(info["quaternion"].get(k, 0.0)) for k in "wxyz"])
        return rotations_from_quats_wxyz((q / q.norm())[None])[0]
    place, target = (
        torch.tensor([float(info.get(name, {}).get(k, 0.0)) for k in "xyz"]) for name in ("position", "target")
    )
    back = torch.nn.functional.normalize(place - target, dim=0)
    up = torch.tensor([0.0, 0.0, 1.0]) if abs(float(back[1])) > 0.999 else torch.tensor([0.0, 1.0, 0.0])
    right = torch.nn.functional.normalize(torch.linalg.cross(up, back), dim=0)
    columns = torch.stack([right, torch.linalg.cross(back, right), back], 1)
    return columns if float((place - target).norm()) > 0 else columns * math.nan


def _xyz(v: Tensor) -> dict[str, float]:
    return dict(zip("xyz", v.tolist(), strict=True))
