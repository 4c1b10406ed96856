"""Rotation vectors and cross-product matrices, in float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def cross_matrices(vectors: Array) -> Array:
    """The matrices ``(N, 3, 3)`` that multiply as the cross product with ``vectors (N, 3)`` does."""
    out = np.zeros((len(vectors), 3, 3))
    out[:, 0, 1], out[:, 0, 2], out[:, 1, 2] = -vectors[:, 2], vectors[:, 1], -vectors[:, 0]
    return out - out.transpose(0, 2, 1)


def rotation_from_vector(vector: Array) -> Array:
    """Rotation ``(3, 3)`` by the angle (in radians) and about the axis of ``vector (3,)`` (Rodrigues' formula)."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    k = cross_matrices(vector[None] / angle)[0]
    rotation: Array = np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k
    return rotation
