"""The clip's cameras as COLMAP's text model: ``cameras.txt``, ``images.txt`` and ``points3D.txt``.

COLMAP's axes are this project's (x right, y down, z forward, world to camera) and so are its pixels: the middle of the
top-left one is at (0.5, 0.5). The points are the splats at time 0, without tracks.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...cameras import quats_wxyz_from_rotations
from ...media.files import write_bytes
from ...progress import OnStep
from ..scene4d import Scene4D
from .ply import splats_at
from .scene_format import ExportOptions


def colmap_texts(scene: Scene4D) -> dict[str, str]:
    """The three files by name; picture names are those of a run's folder ``grid``."""
    height, width = scene.cameras.size
    world_to_cam = scene.cameras.world_to_cam.detach().cpu().double()
    intrinsics = scene.cameras.intrinsics.detach().cpu().double()
    quats = quats_wxyz_from_rotations(world_to_cam[:, :3, :3])
    cameras = ["# CAMERA_ID, MODEL, WIDTH, HEIGHT, FX, FY, CX, CY"]
    images = ["# IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME; a line of points, empty here, follows each"]
    for v in range(scene.views):
        (fx, _, cx), (_, fy, cy) = intrinsics[v, :2].tolist()
        cameras.append(f"{v + 1} PINHOLE {width} {height} {_joined([fx, fy, cx, cy])}")
        pose = _joined([*quats[v].tolist(), *world_to_cam[v, :3, 3].tolist()])
        images += [f"{v + 1} {pose} {v + 1} v{v}_t0.png", ""]
    points = ["# POINT3D_ID, X, Y, Z, R, G, B, ERROR, TRACK[] as (IMAGE_ID, POINT2D_IDX)"]
    splats = splats_at(scene, 0)
    places = splats.means.detach().cpu().numpy()
    colors = (splats.colors.detach().cpu().numpy().clip(0, 1) * 255).round().astype(np.uint8)
    points += [
        f"{i + 1} {x:.9g} {y:.9g} {z:.9g} {r} {g} {b} 0"
        for i, ((x, y, z), (r, g, b)) in enumerate(zip(places.tolist(), colors.tolist(), strict=True))
    ]
    texts = {"cameras.txt": cameras, "images.txt": images, "points3D.txt": points}
    return {name: "\n".join(lines) + "\n" for name, lines in texts.items()}


def _joined(numbers: list[float]) -> str:
    return " ".join(f"{x:.12g}" for x in numbers)


def write(scene: Scene4D, path: Path, options: ExportOptions, on_step: OnStep) -> list[Path]:
    """See SceneFormat."""
    written = [write_bytes(path / name, text.encode()) for name, text in colmap_texts(scene).items()]
    on_step(1, 1)
    return written
