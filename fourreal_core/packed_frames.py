"""Frames held as they came: cells of 8 bits in 8 bits, cells that are not filled not at all, all others as they are."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import torch
from torch import Tensor


def blank_frames(*shape: int) -> Tensor:
    """Zeros, float32, that take memory only where something is written into them.

    NumPy asks the system for pages that are zero already; torch would write every one.
    """
    return torch.from_numpy(np.zeros(shape, np.float32))


class PackedFrames:
    """The frames of a grid in as little memory as gives them back bit for bit.

    Args:
        frames: ``(V, T, H, W, 3)`` float32.
    """

    def __init__(self, frames: Tensor) -> None:
        self.shape = frames.shape
        with torch.inference_mode(False), torch.no_grad():
            self._cells = [_packed(frame.detach().cpu()) for frame in frames.flatten(0, 1)]
        self._last: weakref.ref[Tensor] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last": None}  # copies and pickles hold what is packed alone

    @property
    def bytes(self) -> int:
        """Memory that the frames take."""
        return sum(0 if cell is None else cell.numel() * cell.element_size() for cell in self._cells)

    def unpack(self) -> Tensor:
        """The frames on the CPU: those of the last call while somebody still has them, else made anew."""
        frames = None if self._last is None else self._last()
        if frames is None:
            with torch.inference_mode(False), torch.no_grad():
                frames = blank_frames(*self.shape)
                for frame, cell in zip(frames.flatten(0, 1), self._cells, strict=True):
                    if cell is not None:
                        frame.copy_(_from_8_bits(cell) if cell.dtype == torch.uint8 else cell)
            self._last = weakref.ref(frames)
        return frames


def _packed(frame: Tensor) -> Tensor | None:
    bits = frame.contiguous().view(torch.int32)  # -0.0 is no 0.0, and NaN is like NaN
    if not bool(bits.any()):
        return None
    eight = frame.mul(255).round_().clamp_(0, 255).nan_to_num_().to(torch.uint8)
    return eight if torch.equal(_from_8_bits(eight).view(torch.int32), bits) else frame.clone()


def _from_8_bits(cell: Tensor) -> Tensor:
    """As every reader makes floats of 8 bits."""
    return cell.float().div_(255)
