"""What tracked points show of a frame, for whoever watches the tracking."""

from __future__ import annotations

import torch
from torch import Tensor


def point_picture(points: Tensor, colors: Tensor, intrinsics: Tensor, size: tuple[int, int]) -> Tensor:
    """Every point as a pixel of its colour on black, the nearest one on top.

    Args:
        points: ``(N, 3)`` in the camera's space; those behind it are left out.
        colors: ``(N, 3)`` in ``[0, 1]``.
        intrinsics: ``(3, 3)`` in pixels.
        size: ``(height, width)`` of the picture.

    Returns:
        ``(H, W, 3)`` in ``[0, 1]``.
    """
    picture = torch.zeros(size[0] * size[1], 3)
    far_to_near = points[:, 2].argsort(descending=True)
    points, colors = points[far_to_near], colors[far_to_near].float()
    pixels = (points @ intrinsics.T)[:, :2] / points[:, 2:].clamp_min(1e-6)
    x, y = pixels.nan_to_num(-1.0).clamp(-1, max(size)).floor().long().unbind(-1)
    seen = (points[:, 2] > 0) & (x >= 0) & (x < size[1]) & (y >= 0) & (y < size[0])
    picture[y[seen] * size[1] + x[seen]] = colors[seen]
    return picture.view(*size, 3)
