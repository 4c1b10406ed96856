"""The plan of an extension: every cell once, the kept and far cells finished before, by hand and at any size."""

from __future__ import annotations

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.sampling.chunks import ChunkOptions, frame_likeness, plan_chunks

SMALL = ChunkOptions(views=4, times=5, keep=2, far="first")


def test_a_plan_by_hand() -> None:
    plan = plan_chunks(5, 9, SMALL)
    seen = [(c.window.views, c.window.times, c.new_views, c.new_times) for c in plan.chunks]
    assert seen == [
        ((0, 1, 2, 3), (0, 1, 2, 3, 4), (0, 1, 2, 3), (0, 1, 2, 3, 4)),
        ((0, 2, 3, 4), (0, 1, 2, 3, 4), (4,), (0, 1, 2, 3, 4)),
        ((0, 1, 2, 3), (0, 3, 4, 5, 6), (0, 1, 2, 3), (5, 6)),
        ((0, 2, 3, 4), (0, 3, 4, 5, 6), (4,), (5, 6)),
        ((0, 1, 2, 3), (0, 5, 6, 7, 8), (0, 1, 2, 3), (7, 8)),
        ((0, 2, 3, 4), (0, 5, 6, 7, 8), (4,), (7, 8)),
    ]


def test_a_grid_of_one_window_is_one_chunk() -> None:
    plan = plan_chunks(3, 5, SMALL)
    assert len(plan.chunks) == 1
    assert plan.chunks[0].window.views == (0, 1, 2)


@pytest.mark.parametrize(
    "options",
    [
        ChunkOptions(),
        ChunkOptions(keep=1, far="none"),
        SMALL,
        ChunkOptions(far="overlap", far_count=2),
        ChunkOptions(4, 4, 3, "none"),
    ],
)
@pytest.mark.parametrize(("views", "times"), [(2, 2), (8, 8), (8, 120), (13, 9), (20, 31)])
def test_every_cell_is_finished_once_and_after_what_it_needs(options: ChunkOptions, views: int, times: int) -> None:
    likeness = [torch.rand(n, n, generator=torch.Generator().manual_seed(n)) for n in (views, times)]
    plan = plan_chunks(views, times, options, *likeness)
    finished: set[tuple[int, int]] = set()
    for chunk in plan.chunks:
        window = {(v, t) for v in chunk.window.views for t in chunk.window.times}
        new = set(chunk.cells)
        assert len(chunk.window.views) <= options.views and len(chunk.window.times) <= options.times
        assert new <= window and not new & finished
        assert window - new <= finished  # all that it only looks at is finished
        assert list(chunk.window.times) == sorted(set(chunk.window.times))
        finished |= new
    assert len(finished) == views * times
    assert set(plan.finished_by()) == finished


def test_the_paper_s_120_frames_keep_four_columns() -> None:
    plan = plan_chunks(8, 120, ChunkOptions(far="none"))
    assert len(plan.chunks) == 1 + (120 - 8) // 4
    for before, chunk in zip(plan.chunks, plan.chunks[1:], strict=False):
        assert chunk.window.times[:4] == before.window.times[-4:]
        assert len(chunk.new_times) == 4


def test_far_cells_by_overlap_are_those_most_alike() -> None:
    likeness = torch.zeros(12, 12)
    likeness[7, 2] = likeness[8, 1] = 0.9
    likeness[9, 5] = likeness[7, 6] = 1.0  # 5 and 6 are kept anyway, or not finished
    plan = plan_chunks(2, 12, ChunkOptions(views=8, times=7, keep=2, far="overlap", far_count=2), None, likeness)
    assert plan.chunks[1].window.times == (1, 2, 5, 6, 7, 8, 9)


def test_likeness_of_frames() -> None:
    frames = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    frames[3] = frames[1] + 0.01
    likeness = frame_likeness(frames)
    assert likeness.shape == (4, 4)
    torch.testing.assert_close(likeness.diagonal(), torch.ones(4))
    assert likeness[3, :3].argmax() == 1 and likeness[3, 1] > 0.9
    assert torch.equal(likeness, likeness.T)


def test_a_plan_has_a_name_of_its_own() -> None:
    names = {plan_chunks(8, 20, options).digest() for options in (ChunkOptions(), ChunkOptions(keep=3))}
    names |= {plan_chunks(9, 20, ChunkOptions()).digest()}
    assert len(names) == 3
    assert plan_chunks(9, 20, ChunkOptions()).digest() in names


@pytest.mark.parametrize(
    "fields",
    [
        {"keep": 0},
        {"keep": 5},
        {"times": 5},
        {"far": "overlap", "far_count": 0},
        {"far": "overlap", "far_count": 4},
        {"far": "last"},
    ],
)
def test_impossible_plans_are_refused(fields: dict) -> None:
    with pytest.raises(InputError, match="choose"):
        ChunkOptions(**fields)


def test_grids_of_one_row_and_missing_likeness_are_refused() -> None:
    with pytest.raises(InputError, match="choose longer clips"):
        plan_chunks(1, 20, ChunkOptions())
    with pytest.raises(InputError, match="a time likeness: none"):
        plan_chunks(4, 20, ChunkOptions(far="overlap"))
    with pytest.raises(InputError, match=r"a view likeness: one of shape \(3, 3\)"):
        plan_chunks(20, 4, ChunkOptions(far="overlap"), torch.zeros(3, 3))
