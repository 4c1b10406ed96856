"""Depth as a picture, for whoever watches it being measured."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def depth_picture(inverse_depth: NDArray[np.floating]) -> Tensor:
    """Near is bright: all but the nearest and the farthest hundredth spread from black to white.

    Args:
        inverse_depth: ``(H, W)`` one over z-depth, finite.

    Returns:
        ``(H, W, 3)`` in ``[0, 1]``.
    """
    far, near = np.percentile(inverse_depth, (1, 99))
    gray = ((inverse_depth - far) / max(float(near - far), 1e-12)).clip(0, 1)
    return torch.from_numpy(gray.astype(np.float32))[..., None].expand(-1, -1, 3)
