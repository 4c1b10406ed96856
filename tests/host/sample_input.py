"""Clips for the host's input folder, and a way about in a workflow."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

VIEWS = TIMES = 8
SIZE = (80, 128)


def node_of(prompt: dict[str, Any], class_type: str) -> dict[str, Any]:
    """The first node of a class."""
    return next(node for node in prompt.values() if node["class_type"] == class_type)


def sample_clips() -> tuple[torch.Tensor, torch.Tensor]:
    """A textured wall with a box before it: the camera slides past it, and the box moves while the camera stands."""
    rng = np.random.default_rng(0)
    h, w = SIZE
    wall, box = _texture(rng, h, 3 * w), _texture(rng, 32, 40)[..., ::-1]
    freeze = [_compose(wall, box, wall_x=w - 1.0 * v, box_x=40 - 2.0 * v, box_y=24) for v in range(VIEWS)]
    fixed = [_compose(wall, box, wall_x=w, box_x=40 + 1.5 * t, box_y=24 + 1.0 * t) for t in range(TIMES)]
    return torch.from_numpy(np.stack(freeze)), torch.from_numpy(np.stack(fixed))


def _compose(wall: np.ndarray, box: np.ndarray, wall_x: float, box_x: float, box_y: float) -> np.ndarray:
    h, w = SIZE
    picture = wall[:, round(2 * w - wall_x) : round(2 * w - wall_x) + w].copy()
    x, y = round(box_x), round(box_y)
    picture[y : y + box.shape[0], x : x + box.shape[1]] = box
    return picture.astype(np.float32)


def _texture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    picture = np.zeros((height, width, 3))
    for cell in (4, 8, 16):
        coarse = rng.random((height // cell + 2, width // cell + 2, 3))
        fine = (
            torch.nn.functional.interpolate(
                torch.from_numpy(coarse).permute(2, 0, 1)[None], scale_factor=cell, mode="bilinear"
            )[0]
            .permute(1, 2, 0)
            .numpy()
        )
        picture += fine[:height, :width] / 3
    return picture
