"""Rotation vectors against the matrix exponential and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fourreal_core.geometry.rotations import cross_matrices, rotation_from_vector


def test_cross_matrices_are_cross_products() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 5, 3))
    np.testing.assert_allclose(np.einsum("nij,nj->ni", cross_matrices(a), b), np.cross(a, b), atol=1e-14)


@pytest.mark.parametrize("vector", [(0.0, 0, 0), (1e-13, 0, 0), (0.3, -0.2, 0.5), (0.0, np.pi, 0), (3.0, 2, 1)])
def test_rotation_from_vector_is_the_matrix_exponential(vector: tuple[float, float, float]) -> None:
    x, y, z = vector
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    expected, term = np.eye(3), np.eye(3)
    for k in range(1, 60):
        term = term @ cross / k
        expected = expected + term
    np.testing.assert_allclose(rotation_from_vector(np.array(vector)), expected, rtol=0, atol=1e-12)


def test_a_quarter_turn_about_z_takes_x_to_y() -> None:
    np.testing.assert_allclose(rotation_from_vector(np.array([0, 0, np.pi / 2])) @ [1, 0, 0], [0, 1, 0], atol=1e-15)


def test_a_tiny_turn_is_its_cross_product() -> None:
    tiny = rotation_from_vector(np.array([1e-9, 0, 0]))
    np.testing.assert_allclose(tiny, np.eye(3) + [[0, 0, 0], [0, 0, -1e-9], [0, 1e-9, 0]], atol=1e-15)
