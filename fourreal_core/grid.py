"""The frame grid ``I[v, t]``: frames over viewpoint and time, and which of them were given."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from .errors import InputError
from .packed_frames import PackedFrames, blank_frames

log = logging.getLogger(__name__)
AnyGrid = TypeVar("AnyGrid", bound="FrameGrid")

FIRST_FRAMES_MATCH_DB = 25.0
"""Below this PSNR the two clips' first frames are reported as different: re-encoding one frame costs less."""


@dataclass(frozen=True)
class FrameGrid:
    """A grid of frames over viewpoint (rows) and time (columns).

    Attributes:
        frames: ``(V, T, H, W, 3)`` float32 RGB in ``[0, 1]``; cells that are not filled are zero.
        known: ``(V, T)`` bool, the cells that were given; every method keeps them bit for bit.
        valid: ``(H, W)`` bool, pixels to look at; false where a caption or logo hides the picture in every cell.
    """

    frames: Tensor
    known: Tensor
    valid: Tensor

    def __post_init__(self) -> None:
        f = self.frames
        if f.ndim != 5 or f.shape[-1] != 3 or f.dtype != torch.float32:
            raise InputError(
                f"a frame grid of shape {tuple(f.shape)} and type {f.dtype}",
                "(V, T, H, W, 3) float32",
                "convert the frames first",
            )
        if self.known.shape != f.shape[:2] or self.known.dtype != torch.bool:
            raise InputError(
                f"a known-cells mask of shape {tuple(self.known.shape)} and type {self.known.dtype}",
                f"{tuple(f.shape[:2])} bool, one entry a cell",
                "build it from the same grid",
            )
        if self.valid.shape != f.shape[2:4] or self.valid.dtype != torch.bool:
            raise InputError(
                f"a pixel mask of shape {tuple(self.valid.shape)} and type {self.valid.dtype}",
                f"{tuple(f.shape[2:4])} bool, one entry a pixel",
                "resize the mask to the frames",
            )
        for v, t in self.known.nonzero().tolist():
            check_frame(f[v, t], f"cell v{v}_t{t}")

    @classmethod
    def from_clips(cls, freeze_time: Tensor, fixed_view: Tensor, valid: Tensor | None = None) -> FrameGrid:
        """Lays a freeze-time clip down column 0 and a fixed-view clip along row 0.

        The corner is in both clips; the fixed-view clip's frame is taken, since motion is measured against it. If the
        two first frames differ by more than re-encoding explains, a warning says by how much.

        Args:
            freeze_time: ``(V, H, W, 3)`` in ``[0, 1]``, the camera moves and time stands.
            fixed_view: ``(T, H, W, 3)`` in ``[0, 1]``, time runs and the camera stands.
            valid: ``(H, W)`` bool, pixels to look at; all of them when left out.

        Raises:
            InputError: Clips of other ranks or of different sizes, NaN, or values outside ``[0, 1]``.
        """
        for name, clip in (("freeze-time", freeze_time), ("fixed-view", fixed_view)):
            if clip.ndim != 4 or clip.shape[-1] != 3 or clip.shape[0] < 1:
                raise InputError(
                    f"a {name} clip of shape {tuple(clip.shape)}", "(frames, height, width, 3)", "load it as RGB frames"
                )
            check_frame(clip, f"the {name} clip")
        if freeze_time.shape[1:] != fixed_view.shape[1:]:
            raise InputError(
                f"a freeze-time clip of {_size(freeze_time)} and a fixed-view clip of {_size(fixed_view)}",
                "one size",
                "resize one of them",
            )
        v, t = freeze_time.shape[0], fixed_view.shape[0]
        frames = blank_frames(v, t, *freeze_time.shape[1:])
        frames[:, 0] = freeze_time
        frames[0] = fixed_view
        known = torch.zeros(v, t, dtype=torch.bool)
        known[:, 0] = known[0] = True
        if valid is None:
            valid = torch.ones(frames.shape[2:4], dtype=torch.bool)
        grid = cls(frames, known, valid)
        match = first_frames_psnr(freeze_time[0], fixed_view[0], valid)
        if match < FIRST_FRAMES_MATCH_DB:
            log.warning(
                "the first frames of the two clips differ (PSNR %.1f dB, expected at least %.0f): both should "
                "show the same moment from the same place, or the motion will not fit the scene",
                match,
                FIRST_FRAMES_MATCH_DB,
            )
        return grid

    def packed(self: AnyGrid) -> AnyGrid:
        """This grid for keeping: it holds its frames as they came, and makes ``frames`` anew, bit for bit, when asked.

        Frames of 8-bit files take a quarter of the memory, cells that are not filled none (see PackedFrames). What is
        made from it by ``dataclasses.replace`` is a plain grid again.
        """
        if isinstance(self.held, PackedFrames):
            return self
        grid: AnyGrid = object.__new__(type(self))
        grid.__dict__.update(self.__dict__, packed_frames=PackedFrames(self.frames))
        del grid.__dict__["frames"]
        return grid

    @property
    def held(self) -> Tensor | PackedFrames:
        """What the frames are held in."""
        held: Tensor | PackedFrames | None = self.__dict__.get("packed_frames")
        return self.frames if held is None else held

    if not TYPE_CHECKING:  # a type checker would take any name for an attribute

        def __getattr__(self, name: str) -> Tensor:
            """Called for what a grid has not: the frames of a packed one."""
            if name == "frames" and "packed_frames" in self.__dict__:
                return self.__dict__["packed_frames"].unpack()
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def views(self) -> int:
        """Number of viewpoints V."""
        return self.known.shape[0]

    @property
    def times(self) -> int:
        """Number of time steps T."""
        return self.known.shape[1]

    @property
    def size(self) -> tuple[int, int]:
        """Frame size as ``(height, width)`` in pixels."""
        return self.valid.shape[0], self.valid.shape[1]

    @property
    def freeze_time(self) -> Tensor:
        """Column 0, ``(V, H, W, 3)``."""
        return self.frames[:, 0]

    @property
    def fixed_view(self) -> Tensor:
        """Row 0, ``(T, H, W, 3)``."""
        return self.frames[0]

    def with_known(self, cells: Mapping[tuple[int, int], Tensor]) -> FrameGrid:
        """Returns a grid in which further cells are given.

        Args:
            cells: ``(view, time)`` to frame ``(H, W, 3)`` in ``[0, 1]``.

        Raises:
            InputError: A cell outside the grid or of another size.
        """
        frames, known = self.frames.clone(), self.known.clone()
        for (v, t), frame in cells.items():
            if not (0 <= v < self.views and 0 <= t < self.times):
                raise InputError(
                    f"a known cell v{v}_t{t}",
                    f"views 0 to {self.views - 1} and times 0 to {self.times - 1}",
                    "rename the file or ask for a larger grid",
                )
            if frame.shape != frames.shape[2:]:
                raise InputError(f"cell v{v}_t{t} of {_size(frame[None])}", _size(self.frames[0]), "resize it")
            frames[v, t], known[v, t] = frame, True
        return replace(self, frames=frames, known=known)

    def filled(self, frames: Tensor) -> FrameGrid:
        """Returns the grid with its unknown cells taken from ``frames (V, T, H, W, 3)``; known cells stay as given."""
        if frames.shape != self.frames.shape:
            raise InputError(
                f"frames of shape {tuple(frames.shape)}",
                str(tuple(self.frames.shape)),
                "predict every cell of the grid",
            )
        keep = self.known[:, :, None, None, None]
        return replace(self, frames=torch.where(keep, self.frames, frames.to(torch.float32).clamp(0, 1)))


def check_frame(frames: Tensor, name: str) -> None:
    """Raises InputError when ``frames`` holds NaN, infinities or values outside ``[0, 1]``."""
    low, high = float(frames.amin()), float(frames.amax())
    if not (low == low and high == high and abs(low) != float("inf") and abs(high) != float("inf")):
        raise InputError(
            f"{name} has NaN or infinite pixels",
            "finite values in [0, 1]",
            "find the step before this one that divides by zero",
        )
    if low < -1e-3 or high > 1 + 1e-3:  # decoders and resizers overshoot by rounding, not by more
        raise InputError(
            f"{name} has values from {low:.3g} to {high:.3g}",
            "[0, 1]",
            "divide 8-bit images by 255, or clamp what a model overshot",
        )


def first_frames_psnr(a: Tensor, b: Tensor, valid: Tensor) -> float:
    """PSNR in dB between two frames ``(H, W, 3)`` over the valid pixels ``(H, W)``."""
    mse = float(((a - b) ** 2)[valid].mean()) if bool(valid.any()) else 0.0
    return float("inf") if mse == 0 else float(-10 * torch.log10(torch.tensor(mse)))


def _size(clip: Tensor) -> str:
    return f"{clip.shape[-2]} x {clip.shape[-3]} pixels"
