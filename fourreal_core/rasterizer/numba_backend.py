"""The fast back end for CPUs: kernels compiled by numba, with a backward pass of their own."""

from __future__ import annotations

import functools
import importlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .. import compiled
from ..errors import one_line
from .inputs import Buffers, SplatView, non_finite
from .options import RasterOptions, Rendered
from .workers import run_on_workers, worker_count

if TYPE_CHECKING:
    from .binning import Lens, Raster
    from .compositing import Limits

_Frame = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Image, alpha and depth."""
_log = logging.getLogger(__name__)
_CHUNKS_PER_WORKER = 4  # splats are projected in chunks, so that a slow worker holds nobody up


_failures: list[str] = []
"""Why kernels that could be loaded failed when they were called; none is tried again."""


def unavailable() -> str | None:
    """The reason why this back end can't be used, or None."""
    return _failures[0] if _failures else _unloadable()


@functools.cache
def _unloadable() -> str | None:
    if (reason := compiled.unavailable()) is not None:
        return reason
    try:
        importlib.import_module(".gradients", __package__)  # it imports all the kernels
    except Exception as error:  # an llvmlite without something that they need: whatever it chose to raise
        return f"numba's kernels can't be loaded ({one_line(error)})"
    return None


def give_up(error: Exception) -> None:
    """From here on this back end is unavailable: a kernel has failed, which it does only where numba does."""
    _failures.append(f"numba can't compile the rasterizer ({one_line(error)})")
    compiled.announce_plain(_failures[0])


def render(views: Sequence[SplatView], options: RasterOptions, buffers: Buffers | None = None) -> Rendered:
    """Renders all views; see :mod:`.torch_backend` for what that means. Returns tensors with the leading B.

    Raises:
        ValueError: If an input holds a NaN or an infinity.
    """
    draw: Callable[..., _Frame] = _Rasterize.apply
    frames = [draw(view.means, view.scales, view.opacities, view.colors, view, options, buffers) for view in views]
    if len(frames) == 1:
        return Rendered(*(part[None] for part in frames[0]))
    return Rendered(*(torch.stack(parts) for parts in zip(*frames, strict=True)))


@dataclass(frozen=True)
class _Binned:
    """A view's splats after projection and binning; flat arrays as the kernels take them."""

    geometry: np.ndarray
    boxes: np.ndarray
    pairs: np.ndarray
    starts: np.ndarray
    first_slot: np.ndarray


class _Rasterize(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        means: torch.Tensor,
        scales: torch.Tensor,
        opacities: torch.Tensor,
        colors: torch.Tensor,
        view: SplatView,
        options: RasterOptions,
        buffers: Buffers | None,
    ) -> _Frame:
        from .compositing import composite_tiles

        inputs = tuple(tensor.detach().contiguous() for tensor in (means, scales, opacities, colors))
        flat = tuple(tensor.view(-1).numpy() for tensor in inputs)
        height, width = view.size
        alpha, depth = means.new_empty(2, height, width).unbind(0)
        frame = (means.new_empty(height, width, colors.shape[1]), alpha, depth)
        raster, lens, limits = _constants(view, options)
        _announce_compilation(composite_tiles, "the rasterizer", 12)
        binned = _bin(flat, lens, raster, {} if buffers is None or any(ctx.needs_input_grad) else buffers)
        drawn = _composite(binned, flat[3], raster, limits, view.background, frame)
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(*inputs, *frame)
            ctx.view, ctx.options, ctx.binned, ctx.drawn = view, options, binned, drawn
        return frame

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *frame_gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        try:
            return *_Rasterize._gradients(ctx, frame_gradients), None, None, None
        except MemoryError:
            raise
        except Exception as error:
            if ctx.options.backend == "numba":
                raise
            give_up(error)
            return *_gradients_by_torch(ctx, frame_gradients), None, None, None

    @staticmethod
    def _gradients(ctx: Any, frame_gradients: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        from .gradients import gather_gradients, replay_tiles, slot_size

        *inputs, image, alpha, depth = ctx.saved_tensors
        binned: _Binned = ctx.binned
        means, scales, opacities, colors = (tensor.view(-1).numpy() for tensor in inputs)
        raster, lens, limits = _constants(ctx.view, ctx.options)
        _announce_compilation(replay_tiles, "its backward pass", 6)
        slots = np.empty(len(binned.pairs) * slot_size.py_func(raster.channels), np.float32)
        used = np.zeros(len(binned.pairs), np.uint8)
        frame = tuple(part.view(-1).numpy() for part in (image, alpha, depth))
        flat_gradients = tuple(part.contiguous().view(-1).numpy() for part in frame_gradients)
        splats = (binned.geometry, binned.boxes, colors)
        run_on_workers(
            replay_tiles, binned.pairs, binned.starts, ctx.drawn, splats, binned.first_slot, raster, limits,
            ctx.view.background.numpy(), frame, flat_gradients, slots, used,
        )  # fmt: skip
        gradients = tuple(torch.empty_like(tensor) for tensor in inputs)
        out = tuple(tensor.view(-1).numpy() for tensor in gradients)
        chunks = _CHUNKS_PER_WORKER * worker_count()
        run_on_workers(
            gather_gradients, chunks, means, scales, opacities, binned.first_slot, slots, used, lens, raster, out
        )
        return gradients


def _gradients_by_torch(ctx: Any, frame_gradients: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor | None, ...]:
    """The same by torch, which renders the view again."""
    from .sparse_backend import render as render_by_torch

    with torch.enable_grad():
        inputs = [tensor.detach().requires_grad_() for tensor in ctx.saved_tensors[:4]]
        view = replace(ctx.view, **dict(zip(("means", "scales", "opacities", "colors"), inputs, strict=True)))
        drawn = render_by_torch([view], ctx.options)
        outputs = [part[0] for part in (drawn.image, drawn.alpha, drawn.depth)]
        return torch.autograd.grad(outputs, inputs, frame_gradients, allow_unused=True)


def _announce_compilation(kernel: Callable[..., None], what: str, seconds: int) -> None:
    """Says in the log that the next call will take a while, where it will."""
    from . import compiling

    if not compiling.has_code(kernel):
        _log.info("rasterizer: compiling %s once (about %d s); the code is kept on disk", what, seconds)


def _constants(view: SplatView, options: RasterOptions) -> tuple[Raster, Lens, Limits]:
    """The kernels' named tuples for a view: Raster, Lens, Limits."""
    from .binning import TILE, Lens, Raster
    from .compositing import Limits

    height, width = view.size
    columns, rows = -(-width // TILE), -(-height // TILE)
    camera = view.camera
    return (
        Raster(height, width, columns, columns * rows, view.colors.shape[1]),
        Lens(camera.fx, camera.fy, camera.cx, camera.cy, options.near, options.low_pass, options.min_alpha),
        Limits(options.max_alpha, options.min_alpha, options.min_transmittance),
    )


def _bin(flat: tuple[np.ndarray, ...], lens: Lens, raster: Raster, buffers: Buffers) -> _Binned:
    """Projects the splats and puts their pairs into the tiles' ranges, unsorted."""
    from .binning import NON_FINITE, place_pairs, project_splats

    means, scales, opacities, colors = flat
    count, chunks = len(scales), _CHUNKS_PER_WORKER * worker_count()
    geometry = _buffer(buffers, "geometry", 4 * count, np.float32)
    boxes = _buffer(buffers, "boxes", 4 * count, np.int16)
    first_slot = _buffer(buffers, "first_slot", count + 1, np.int64)
    counts, flags = np.zeros((chunks, raster.tiles), np.int64), np.zeros(chunks, np.int64)
    run_on_workers(project_splats, means, scales, opacities, colors, lens, raster, geometry, boxes, counts, flags)
    bad = int(np.bitwise_or.reduce(flags))
    for bit, name in enumerate(NON_FINITE):
        if bad >> bit & 1:
            raise non_finite(name)

    # tile by tile, and within a tile chunk by chunk: so the keys of a tile come by rising index
    ends = np.cumsum(counts.T).reshape(raster.tiles, chunks).T
    chunk_starts = np.ascontiguousarray(ends - counts)
    starts = np.append(chunk_starts[0], ends[-1, -1])
    per_chunk = counts.sum(1)
    pairs = _buffer(buffers, "pairs", int(starts[-1]), np.uint64)
    run_on_workers(place_pairs, means, boxes, raster, chunk_starts, np.cumsum(per_chunk) - per_chunk, pairs, first_slot)
    return _Binned(geometry, boxes, pairs, starts, first_slot)


def _composite(
    binned: _Binned, colors: np.ndarray, raster: Raster, limits: Limits, background: torch.Tensor, frame: _Frame
) -> np.ndarray:
    """Renders into the frame's tensors; returns how many pairs of every tile were drawn."""
    from .compositing import composite_tiles

    drawn = np.empty(raster.tiles, np.int64)
    out = tuple(part.view(-1).numpy() for part in frame)
    splats = (binned.geometry, binned.boxes, colors)
    longest = int(np.diff(binned.starts).max())
    run_on_workers(
        composite_tiles, binned.pairs, binned.starts, splats, raster, limits, background.numpy(), out, drawn, longest
    )
    return drawn


def _buffer(buffers: Buffers, name: str, size: int, dtype: type) -> np.ndarray:
    """An array of this size from the buffers, where a larger one may lie already."""
    kept = buffers.get(name)
    if kept is None or len(kept) < size:
        kept = buffers[name] = np.empty(size, dtype)
    return kept[:size]
