"""Rows and columns as videos and back, and the nearest known cells of a grid."""

from __future__ import annotations

import pytest
import torch

from fourreal_core.model.known_sources import gather_sources, nearest_known
from fourreal_core.model.token_layout import AXES, from_videos, to_videos

from .small import rng, start_mask


def test_rows_and_columns_by_hand() -> None:
    grid = torch.arange(2 * 2 * 3).view(2, 2, 3, 1, 1)
    assert to_videos(grid, "time").flatten(1).tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]
    assert to_videos(grid, "view").flatten(1).tolist() == [[0, 3], [1, 4], [2, 5], [6, 9], [7, 10], [8, 11]]


@pytest.mark.parametrize("axis", AXES)
def test_there_and_back(axis: str) -> None:
    grid = torch.randn(2, 3, 4, 5, 6, generator=rng())
    videos = to_videos(grid, axis)
    back = from_videos(videos, axis, 2)
    assert torch.equal(back, grid)
    assert to_videos(back, axis).data_ptr() == videos.data_ptr()  # no copy the second time


def slow_nearest(known: torch.Tensor, v: int, t: int) -> tuple[int | None, int | None]:
    row = [u for u in range(known.shape[1]) if known[v, u]]
    column = [u for u in range(known.shape[0]) if known[u, t]]
    return (
        min(row, key=lambda u: (abs(u - t), u)) if row else None,
        min(column, key=lambda u: (abs(u - v), u)) if column else None,
    )


@pytest.mark.parametrize("share", [0.0, 0.1, 0.4, 1.0])
def test_nearest_known_is_the_slow_search(share: float) -> None:
    known = torch.rand(2, 5, 7, generator=rng(int(10 * share))) < share
    found = nearest_known(known)
    for b, v, t in torch.cartesian_prod(*map(torch.arange, known.shape)).tolist():
        row, column = slow_nearest(known[b], v, t)
        assert bool(found.in_row[b, v, t]) == (row is not None)
        assert bool(found.in_column[b, v, t]) == (column is not None)
        assert int(found.time[b, v, t]) == (row or 0)
        assert int(found.view[b, v, t]) == (column or 0)


def test_the_usual_start_gives_its_row_and_column() -> None:
    latents = torch.randn(1, 3, 4, 2, 1, 1, generator=rng())
    sources, flags = gather_sources(latents, nearest_known(start_mask(1, 3, 4)))
    assert bool(flags.all())
    for v in range(1, 3):
        for t in range(1, 4):
            assert torch.equal(sources[0, v, t, 0], latents[0, v, 0])
            assert torch.equal(sources[0, v, t, 1], latents[0, 0, t])
    assert torch.equal(sources[0, 0, 2, 0], latents[0, 0, 2])  # a known cell is its own nearest


def test_positions_with_a_gap_decide_what_is_near() -> None:
    known = torch.tensor([[[True, False, True]]])
    assert int(nearest_known(known).time[0, 0, 1]) == 0
    assert int(nearest_known(known, time_positions=torch.tensor([0, 9, 10])).time[0, 0, 1]) == 2


def test_where_nothing_is_known_sources_are_zero() -> None:
    sources, flags = gather_sources(torch.ones(1, 2, 2, 1, 1, 1), nearest_known(torch.zeros(1, 2, 2, dtype=torch.bool)))
    assert not flags.any() and not sources.any()
