"""Proposals of one cell blended by how well each is verified."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .image_filters import Image

_MOST_DOUBT = 60.0


def blend_by_error(pictures: Sequence[Image], errors: Sequence[Image], doubt_gray: float) -> Image:
    """Pictures ``(..., H, W, 3)`` blended; each counts 1/e as much for every ``doubt_gray`` of photometric error.

    Args:
        pictures: At least one.
        errors: ``(..., H, W)`` of each, in grey levels of 255.
        doubt_gray: Grey levels of 255.
    """
    shares = [np.exp(-np.minimum(error / doubt_gray, _MOST_DOUBT))[..., None] for error in errors]
    total = shares[0] * pictures[0]
    for share, picture in zip(shares[1:], pictures[1:], strict=True):
        total = total + share * picture
    return np.asarray(total / sum(shares[1:], shares[0]))
