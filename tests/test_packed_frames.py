"""Packed frames: bit for bit what they were, in the memory that this takes and no longer than somebody has them."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from dataclasses import replace

import pytest
import torch

from fourreal_core.grid import FrameGrid
from fourreal_core.packed_frames import PackedFrames, blank_frames

SIZE = (6, 10, 3)
CELL = 6 * 10 * 3


def bits(x: torch.Tensor) -> torch.Tensor:
    return x.contiguous().view(torch.int32)


@pytest.fixture
def frames() -> torch.Tensor:
    """A cell of every value of 8 bits and its neighbours in number, one of floats, one that is not filled."""
    rng = torch.Generator().manual_seed(0)
    eight = torch.randint(0, 256, (2, *SIZE), generator=rng).to(torch.uint8)
    eight[0].view(-1)[:180] = torch.arange(180)
    eight[1].view(-1)[:76] = torch.arange(180, 256)
    return torch.stack([*(eight.float() / 255), torch.rand(SIZE, generator=rng), torch.zeros(SIZE)]).view(2, 2, *SIZE)


def test_frames_come_back_bit_for_bit_in_the_memory_that_they_need(frames: torch.Tensor) -> None:
    packed = PackedFrames(frames)
    assert torch.equal(bits(packed.unpack()), bits(frames)) and packed.unpack().dtype == torch.float32
    assert packed.bytes == CELL * (1 + 1 + 4 + 0) and packed.shape == frames.shape


@pytest.mark.parametrize("odd", [-0.0, 1.0 + 1e-6, -1e-4, 0.5, 1e-9])
def test_a_pixel_that_is_none_of_8_bits_keeps_its_cell_as_it_is(frames: torch.Tensor, odd: float) -> None:
    frames[0, 0, 2, 3, 1] = odd
    packed = PackedFrames(frames)
    assert torch.equal(bits(packed.unpack()), bits(frames)) and packed.bytes == CELL * (4 + 1 + 4 + 0)


def test_what_is_packed_is_a_copy(frames: torch.Tensor) -> None:
    before, packed = frames.clone(), PackedFrames(frames)
    frames += 1
    assert torch.equal(packed.unpack(), before)


def test_frames_are_made_once_while_somebody_has_them_and_go_with_him(frames: torch.Tensor) -> None:
    packed = PackedFrames(frames)
    made = packed.unpack()
    assert packed.unpack() is made
    last = weakref.ref(made)
    del made
    gc.collect()
    assert last() is None


def test_inference_mode_leaves_no_mark(frames: torch.Tensor) -> None:
    with torch.inference_mode():
        packed = PackedFrames(frames * 1.0)
        made = packed.unpack()
    assert not made.is_inference()
    with torch.enable_grad():
        (made * torch.ones(1, requires_grad=True)).sum().backward()


def test_blank_frames_are_zeros() -> None:
    blank = blank_frames(2, 3, *SIZE)
    assert blank.shape == (2, 3, *SIZE) and blank.dtype == torch.float32 and not blank.any()


class TestGrid:
    @pytest.fixture
    def grid(self, frames: torch.Tensor) -> FrameGrid:
        known = torch.tensor([[True, True], [True, False]])
        return FrameGrid(frames, known, torch.ones(SIZE[:2], dtype=torch.bool))

    def test_a_packed_grid_is_the_same_grid(self, grid: FrameGrid, frames: torch.Tensor) -> None:
        packed = grid.packed()
        assert isinstance(packed.held, PackedFrames) and packed.packed() is packed and grid.held is grid.frames
        assert (packed.views, packed.times, packed.size) == (grid.views, grid.times, grid.size) == (2, 2, SIZE[:2])
        assert torch.equal(bits(packed.frames), bits(frames)) and torch.equal(packed.freeze_time, frames[:, 0])
        assert "frames" not in vars(packed) and "frames" in vars(grid)

    def test_what_is_made_from_it_is_plain(self, grid: FrameGrid, frames: torch.Tensor) -> None:
        plain = replace(grid.packed(), known=torch.zeros(2, 2, dtype=torch.bool))
        assert isinstance(plain.held, torch.Tensor) and torch.equal(plain.frames, frames)
        assert torch.equal(grid.packed().filled(frames).frames, frames)

    @pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda grid: pickle.loads(pickle.dumps(grid))])
    def test_copies_are_packed_too(self, grid: FrameGrid, copied: object, frames: torch.Tensor) -> None:
        packed = grid.packed()
        had = packed.frames
        again = copied(packed)  # type: ignore[operator]
        assert isinstance(again.held, PackedFrames) and torch.equal(again.frames, had)

    def test_other_names_are_missing_as_ever(self, grid: FrameGrid) -> None:
        with pytest.raises(AttributeError, match="no attribute 'pictures'"):
            grid.packed().pictures  # type: ignore[attr-defined] # noqa: B018

    def test_grids_of_clips_are_filled_where_clips_are(self, frames: torch.Tensor) -> None:
        grid = FrameGrid.from_clips(frames[:, 0], frames[0])
        assert grid.packed().held.bytes == CELL * (1 + 1 + 4)  # type: ignore[union-attr]
        assert not grid.frames[1, 1].any()
