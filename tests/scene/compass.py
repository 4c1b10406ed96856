"""A scene of which right, up and forward are known: splats that say where they lie, before turned, unusual cameras."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from fourreal_core.cameras import Cameras, project
from fourreal_core.scene.gaussians import Splats
from fourreal_core.scene.scene4d import Scene4D

from .scenes import sliding

VIEWS, TIMES, SIZE = 3, 4, (24, 32)
HERE, RIGHT, UP, FORWARD = range(4)
"""Splats; the last three lie one unit from the first in their direction."""


def compass() -> Scene4D:
    """Four named splats and twenty more, half of which slide."""
    draw = torch.Generator().manual_seed(3)
    named = torch.tensor([[0.0, 0.0, 2.0], [1.0, 0.0, 2.0], [0.0, -1.0, 2.0], [0.0, 0.0, 3.0]])
    others = torch.rand(20, 3, generator=draw) * 2 + torch.tensor([-1.0, -1.0, 1.5])
    n = 24
    splats = Splats(
        torch.cat([named, others]),
        torch.rand(n, generator=draw) * 3 - 5,
        torch.rand(n, generator=draw) * 4 - 2,
        torch.rand(n, 3, generator=draw) * 0.98 + 0.01,
    )
    cameras = turned_cameras()
    maps = torch.ones(VIEWS, *SIZE)
    scene = Scene4D(
        splats,
        cameras,
        torch.zeros(VIEWS, n, 3),
        torch.ones(VIEWS, n, dtype=torch.bool),
        torch.cat([torch.zeros(4), (torch.arange(20) % 2).float()]),
        maps,
        maps,
        TIMES,
        sliding(TIMES, (6.0, -4.0)),
        torch.zeros(3),
    )
    with torch.no_grad():
        assert float((scene.deformed(TIMES - 1) - splats.means).norm(dim=1).max()) > 0.1
    return replace(scene)


def turned_cameras() -> Cameras:
    """Cameras that are shifted and turned about all axes, with pixels that are not square and a middle off-centre."""
    poses = torch.eye(4).repeat(VIEWS, 1, 1)
    for v in range(VIEWS):
        turn = torch.tensor([[0.0, -0.1, 0.3], [0.1, 0.0, -0.2], [-0.3, 0.2, 0.0]]) * (v - 1)
        poses[v, :3, :3] = torch.matrix_exp(turn.double()).float()
        poses[v, :3, 3] = torch.tensor([0.2, -0.1, 0.3]) * (v - 1)
    intrinsics = torch.tensor([[30.0, 0.0, 14.5], [0.0, 33.0, 13.0], [0.0, 0.0, 1.0]]).repeat(VIEWS, 1, 1)
    return Cameras(poses, intrinsics, SIZE)


def seen_at(scene: Scene4D, view: int) -> np.ndarray:
    """Pixels ``(N, 2)`` of the splats at time 0 by this project's own camera."""
    camera = scene.cameras[view]
    return project(camera.to_camera(scene.splats.means)[0], camera.intrinsics[0]).double().numpy()
