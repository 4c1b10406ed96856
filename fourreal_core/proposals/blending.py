"""Proposals of one cell blended by how well each is verified."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .image_filters import Image

_MOST_DOUBT = 60.0
_LEAST_MASS = 1e-30


def blend_by_error(
    pictures: Sequence[Image], errors: Sequence[Image], doubt_gray: float, weights: Sequence[Image] | None = None
) -> tuple[Image, Image]:
    """Pictures ``(H, W, 3)`` blended; each counts 1/e as much for every ``doubt_gray`` of photometric error.

    Args:
        pictures: At least one.
        errors: ``(H, W)`` of each, in grey levels of 255.
        doubt_gray: Grey levels of 255.
        weights: ``(H, W)`` of each beside that, 0 where it shows nothing; 1 everywhere if None.

    Returns:
        The blend ``(H, W, 3)``, black where nothing counts, and the sum of the weights ``(H, W)``.
    """
    shares = [np.exp(-np.minimum(error / doubt_gray, _MOST_DOUBT)) for error in errors]
    if weights is not None:
        shares = [weight * share for weight, share in zip(weights, shares, strict=True)]
    mass = sum(shares[1:], shares[0])
    total = shares[0][..., None] * pictures[0]
    for share, picture in zip(shares[1:], pictures[1:], strict=True):
        total = total + share[..., None] * picture
    return np.asarray(total / np.maximum(mass, _LEAST_MASS)[..., None], np.float32), np.asarray(mass, np.float32)
