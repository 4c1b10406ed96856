"""Rotary positions: products depend on differences alone, along each of the three axes."""

from __future__ import annotations

import pytest
import torch

from fourreal_core.model.rope import BASE, rope_angles, rotate, split_head

from .small import rng


@pytest.mark.parametrize(
    ("width", "parts"), [(64, (16, 24, 24)), (32, (8, 12, 12)), (6, (2, 2, 2)), (12, (2, 6, 4)), (128, (32, 48, 48))]
)
def test_parts_of_a_head_are_even_and_add_up(width: int, parts: tuple[int, int, int]) -> None:
    assert split_head(width) == parts
    assert sum(parts) == width and not any(part % 2 for part in parts)


def test_angles_by_hand() -> None:
    angles = rope_angles(torch.tensor([0, 3]), (2, 2), 12)
    assert angles.shape == (8, 6)
    y_waves = [1, BASE ** (-1 / 3), BASE ** (-2 / 3)]
    # frame 1 at position 3, row 1, column 0; the parts are 2, 6 and 4 wide
    expected = torch.tensor([3.0, *y_waves, 0, 0])
    torch.testing.assert_close(angles[6], expected, rtol=0, atol=1e-6)  # float32


def test_rotation_by_hand() -> None:
    x = torch.tensor([[[1.0, 2.0, 0.0, 0.0]]])
    quarter = torch.tensor([[[torch.pi / 2, 0.0]]])
    torch.testing.assert_close(
        rotate(x, quarter.cos(), quarter.sin()), torch.tensor([[[0.0, 2.0, 1.0, 0.0]]]), rtol=0, atol=1e-6
    )  # float32


def test_products_depend_on_differences() -> None:
    q, k = torch.randn(2, 1, 1, 12, generator=rng(), dtype=torch.float64)

    def product(at: tuple[float, int, int], to: tuple[float, int, int]) -> float:
        turned = []
        for x, (frame, y, column) in ((q, at), (k, to)):
            angles = rope_angles(torch.tensor([frame]), (4, 4), 12)[4 * y + column].view(1, 1, -1).double()
            turned.append(rotate(x[None], angles.cos(), angles.sin()))
        return float((turned[0] * turned[1]).sum())

    base = product((1, 2, 3), (4, 1, 1))
    assert product((5, 3, 3), (8, 2, 1)) == pytest.approx(base, abs=1e-5)  # angles are float32
    assert abs(product((1, 2, 3), (5, 1, 1)) - base) > 1e-3
    assert abs(product((1, 2, 3), (4, 2, 1)) - base) > 1e-3
    assert abs(product((1, 2, 3), (4, 1, 2)) - base) > 1e-3
