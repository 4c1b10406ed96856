"""Extending maps smoothly from where they are known."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def fill_holes(values: Tensor, known: Tensor) -> Tensor:
    """Extends a map ``(H, W, C)`` smoothly from where it is known ``(H, W)`` by a pyramid of averages."""
    value = (values * known[..., None]).permute(2, 0, 1)[None]
    weight = known[None, None].to(values.dtype)
    levels = [(value, weight)]
    while max(levels[-1][0].shape[-2:]) > 1:
        v, w = levels[-1]
        levels.append((F.avg_pool2d(v, 2, ceil_mode=True), F.avg_pool2d(w, 2, ceil_mode=True)))
    v, w = levels[-1]
    filled = v / w.clamp_min(1e-8)
    for v, w in reversed(levels[:-1]):
        up = F.interpolate(filled, size=v.shape[-2:], mode="bilinear", align_corners=False)
        filled = torch.where(w > 1e-4, v / w.clamp_min(1e-8), up)
    return filled[0].permute(1, 2, 0)
