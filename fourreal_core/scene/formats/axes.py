"""From this project's axes (x right, y down, z forward) to those of other programs, points and cameras alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from ...cameras import Cameras
from ..gaussians import Splats

Matrices = NDArray[np.float64]

Y_UP = np.diag([1.0, -1.0, -1.0])
"""World to x right, y up, z to the viewer: a half-turn about x (glTF, USD, SPZ, SOG, three.js)."""
Z_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""World to x right, y away, z up: a quarter-turn about x (Blender, nerfstudio)."""
_TO_OPENGL = np.diag([1.0, -1.0, -1.0])  # camera axes: x right, y up, looking down -z


def upright(splats: Splats) -> Splats:
    """The splats in a world of ``Y_UP``; they are round, so that no rotation has to follow."""
    turn = torch.as_tensor(Y_UP, dtype=splats.means.dtype, device=splats.means.device)
    return replace(splats, means=splats.means @ turn.T)


def opengl_poses(cameras: Cameras, world: Matrices) -> Matrices:
    """Camera to world ``(F, 4, 4)`` of cameras that look down their -z with y up.

    Args:
        cameras: F cameras in this project's axes.
        world: ``(3, 3)`` turn of the world, ``Y_UP`` or ``Z_UP``.
    """
    world_to_cam = cameras.world_to_cam.detach().cpu().double().numpy()
    rotations, shifts = world_to_cam[:, :3, :3], world_to_cam[:, :3, 3]
    poses = np.tile(np.eye(4), (len(cameras), 1, 1))
    poses[:, :3, :3] = world @ rotations.transpose(0, 2, 1) @ _TO_OPENGL
    poses[:, :3, 3] = -np.einsum("ij,fkj,fk->fi", world, rotations, shifts)
    return poses
