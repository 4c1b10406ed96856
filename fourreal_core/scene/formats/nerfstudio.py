"""The clip's cameras as nerfstudio's ``transforms.json``, for the pictures in the ``grid`` folder of a run.

Its world is x right, y away, z up; a camera looks down its -z with y up; ``applied_transform`` says how this project's
world was turned, in nerfstudio's way.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ...media.files import write_bytes
from ...progress import OnStep
from ..scene4d import Scene4D
from .axes import Z_UP, opengl_poses
from .scene_format import ExportOptions


def transforms(scene: Scene4D) -> dict[str, Any]:
    """The file as a dictionary; every frame has intrinsics of its own."""
    height, width = scene.cameras.size
    intrinsics = scene.cameras.intrinsics.detach().cpu().double().tolist()
    frames = [
        {
            "file_path": f"grid/v{v}_t0.png",
            "fl_x": k[0][0],
            "fl_y": k[1][1],
            "cx": k[0][2],
            "cy": k[1][2],
            "w": width,
            "h": height,
            "transform_matrix": pose.tolist(),
        }
        for v, (k, pose) in enumerate(zip(intrinsics, opengl_poses(scene.cameras, Z_UP), strict=True))
    ]
    applied = np.concatenate([Z_UP, np.zeros((3, 1))], 1)
    return {"camera_model": "OPENCV", "applied_transform": applied.tolist(), "frames": frames}


def write(scene: Scene4D, path: Path, options: ExportOptions, on_step: OnStep) -> list[Path]:
    """See SceneFormat."""
    written = write_bytes(path, json.dumps(transforms(scene), indent=1).encode())
    on_step(1, 1)
    return [written]
