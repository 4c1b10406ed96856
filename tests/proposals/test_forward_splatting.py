"""Maps carried forward: against a plain loop, the nearest in front, tears left open, gaps closed."""

from __future__ import annotations

import numpy as np
import pytest

from fourreal_core.proposals.forward_splatting import TEAR_PX, splat_forward

SIZE = (9, 12)


def plain_loop(moves, nearness, values, usable):
    """The same in double precision, one sample after the other."""
    h, w = nearness.shape
    out, nearest = np.zeros(values.shape), np.zeros((h, w))
    for y in range(h - 1):
        for x in range(w - 1):
            corners = [(y, x), (y, x + 1), (y + 1, x), (y + 1, x + 1)]
            if not all(usable[c] for c in corners):
                continue
            torn = any(np.abs(moves[y, x] - moves[c]).sum() >= TEAR_PX for c in corners[1:3])
            for b in (0.0, 0.5):
                for a in (0.0, 0.5):
                    if torn and (a or b):
                        continue
                    share = [(1 - a) * (1 - b), a * (1 - b), (1 - a) * b, a * b]
                    move, near, value = (
                        sum(s * m[c].astype(np.float64) for s, c in zip(share, corners, strict=True))
                        for m in (moves, nearness, values)
                    )
                    px, py = int(np.floor(x + a + move[0] + 0.5)), int(np.floor(y + b + move[1] + 0.5))
                    if 0 <= px < w and 0 <= py < h and near > nearest[py, px]:
                        nearest[py, px], out[py, px] = near, value
    return out, nearest > 0


def smooth_case(seed: int):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    moves = np.stack([0.3 * np.sin(y) + 1.2, 0.2 * np.cos(x) - 0.7], -1).astype(np.float32)
    nearness = (0.1 + rng.random(SIZE)).astype(np.float32)
    return moves, nearness, rng.random((*SIZE, 3)).astype(np.float32), rng.random(SIZE) > 0.1


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("torn", [False, True])
def test_it_is_as_the_plain_loop(seed: int, torn: bool) -> None:
    moves, nearness, values, usable = smooth_case(seed)
    if torn:
        moves[:, 6:] += 3
    expected, landed = plain_loop(moves, nearness, values, usable)
    carried, closed = splat_forward(moves, nearness, values, usable, gap_px=1)
    assert np.array_equal(closed, landed)
    assert np.abs(carried - expected)[landed].max() < 1e-5


def test_the_nearest_of_two_stays() -> None:
    moves = np.zeros((*SIZE, 2), np.float32)
    moves[:, :6, 0] = 4  # the left half lands on the right one
    nearness = np.ones(SIZE, np.float32)
    values = np.zeros((*SIZE, 1), np.float32)
    values[:, :6] = 1
    for front, seen in ((2.0, 1.0), (0.5, 0.0)):
        nearness[:, :6] = front
        carried, _ = splat_forward(moves, nearness, values, np.ones(SIZE, bool), gap_px=1)
        assert np.allclose(carried[1:-2, 6:9, 0], seen)


def test_gaps_up_to_a_width_are_closed_and_filled_smoothly() -> None:
    moves = np.zeros((*SIZE, 2), np.float32)
    moves[:, 6:, 0] = 3  # opens a gap of three columns
    nearness, values = np.ones(SIZE, np.float32), np.ones((*SIZE, 1), np.float32)
    inner = (slice(3, -4), slice(6, 8))
    carried, narrow = splat_forward(moves, nearness, values, np.ones(SIZE, bool), gap_px=1)
    _, wide = splat_forward(moves, nearness, values, np.ones(SIZE, bool), gap_px=5)
    assert not narrow[inner].any() and wide[inner].all()
    assert np.allclose(carried, 1)


def test_nothing_usable_lands_nowhere() -> None:
    moves, nearness, values, _ = smooth_case(0)
    carried, landed = splat_forward(moves, nearness, values, np.zeros(SIZE, bool), gap_px=5)
    assert not landed.any() and np.isfinite(carried).all()
