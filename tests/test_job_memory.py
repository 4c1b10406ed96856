"""The estimate of a job's memory: what it grows with, what was measured, and the sentence where it is too much."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fourreal_core import job_memory
from fourreal_core.grid import FrameGrid
from fourreal_core.job_memory import JobSize, memory_shortfall

USUAL = JobSize(8, 8, 288, 512)


@pytest.mark.parametrize("change", [{"views": 9}, {"times": 9}, {"height": 320}, {"width": 544}, {"flow": "raft"}])
def test_it_grows_with_everything(change: dict[str, int]) -> None:
    assert replace(USUAL, **change).working_mb > USUAL.working_mb


def test_memory_goes_with_the_pixels_and_a_process_has_its_own() -> None:
    small, large = JobSize(8, 8, 144, 256).working_mb, JobSize(8, 8, 720, 1280).working_mb
    assert JobSize(8, 8, 144, 512).working_mb == pytest.approx(2 * small)
    assert 0.5 * 25 * small < large < 25 * small  # there are no more splats than are followed at most
    assert USUAL.estimated_mb - USUAL.working_mb == job_memory.BASE_MB


def test_the_size_is_that_of_the_grid() -> None:
    grid = FrameGrid.from_clips(torch.zeros(3, 32, 48, 3), torch.zeros(5, 32, 48, 3))
    assert JobSize.of(grid, "raft") == JobSize(3, 5, 32, 48, "raft")
    assert JobSize.of(grid.packed()) == JobSize(3, 5, 32, 48)


def test_what_fits_is_not_talked_about() -> None:
    assert memory_shortfall(USUAL, USUAL.working_mb + 1) == ""


def test_the_sentence_has_the_figures_and_a_size_that_fits() -> None:
    large = JobSize(8, 8, 720, 1280)
    said = memory_shortfall(large, 1000.0, "--size")
    smaller = large.fitting(1000.0)
    assert smaller is not None and smaller.working_mb <= 1000 < replace(large, height=smaller.height + 32).working_mb
    assert abs(smaller.width / smaller.height - 16 / 9) < 0.02 and smaller.width % 2 == smaller.height % 2 == 0
    need = large.working_mb / 1024
    assert f"8 x 8 cells of 1280 x 720 pixels need about {need:.1f} GB" in said or f"about {need + 0.05:.1f} GB" in said
    assert "1.0 GB are free" in said and f"lower --size ({smaller.width} x {smaller.height} pixels would fit)" in said


def test_where_nothing_fits_no_size_is_named() -> None:
    said = memory_shortfall(USUAL, 1.0)
    assert "would fit" not in said and "lower the size, or the number of views and times" in said


def test_nobody_is_warned_where_the_machine_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_memory, "free_memory_mb", lambda: None)
    assert memory_shortfall(JobSize(256, 256, 4096, 4096)) == ""
    monkeypatch.setattr(job_memory, "free_memory_mb", lambda: 100.0)
    assert "0.1 GB are free" in memory_shortfall(USUAL)
