"""What is known around a missing cell: its view at a known time, and a row that is known at both times."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..flow.flow_cache import FlowCache
from ..flow.flow_field import Flow, on_picture, warp
from .image_filters import WIDTH_PX, Image, Mask, resized

LEAST_DEPTH = 1e-6
_LEAST_SCALE = 0.5


@dataclass(frozen=True)
class CellEvidence:
    """A missing cell ``[v, t]``, the known cell ``[v, s]`` it is made from, and reference row r, known at t and s.

    Pictures are ``(H, W, 3)`` in ``[0, 1]``, flows ``(H, W, 2)`` in pixels, errors ``(H, W)`` in pixels by which a flow
    misses its start on its way there and back.

    Attributes:
        cell: View v and time t.
        phases: v and t as fractions of the grid.
        source: ``[v, s]``.
        row_then: ``[r, s]``.
        row_now: ``[r, t]``.
        match: From the source to the row then, and its error.
        match_error: Of the match.
        match_back: From the row then to the source.
        match_back_error: Of match_back.
        back: From the row now to the row then.
        back_error: Of back.
        forth: From the row then to the row now.
        forth_error: Of forth.
        row_nearness: ``(H, W)`` inverse depth in the row then.
        source_nearness: ``(H, W)`` inverse depth in the source.
        valid: ``(H, W)`` bool, False under captions.
    """

    cell: tuple[int, int]
    phases: tuple[float, float]
    source: Image
    row_then: Image
    row_now: Image
    match: Flow
    match_error: Image
    match_back: Flow
    match_back_error: Image
    back: Flow
    back_error: Image
    forth: Flow
    forth_error: Image
    row_nearness: Image
    source_nearness: Image
    valid: Mask

    @cached_property
    def scale(self) -> float:
        """Pixels for each pixel of frames that are WIDTH_PX wide, in which windows and distances are given."""
        return float(self.source.shape[1] / WIDTH_PX)

    @cached_property
    def error_scale(self) -> float:
        """The same for errors of flows, which don't get smaller than some part of a pixel."""
        return max(self.scale, _LEAST_SCALE)

    @cached_property
    def _shown(self) -> Image | None:
        return None if bool(self.valid.all()) else self.valid.astype(np.float32)

    def free_of_captions(self, flow: Flow) -> Mask:
        """Where ``(H, W)`` a flow doesn't lead under a caption."""
        return np.ones(flow.shape[:2], bool) if self._shown is None else warp(self._shown, flow) > 0.99

    def readable(self, flow: Flow) -> Mask:
        """Where ``(H, W)`` a flow leads onto the picture and not under a caption."""
        return on_picture(flow) & self.free_of_captions(flow)

    @classmethod
    def of_cell(
        cls,
        flows: FlowCache,
        cell: tuple[int, int],
        source_time: int,
        row: int,
        depths: tuple[Image, Image],
        valid: Mask,
    ) -> CellEvidence:
        """Reads it from the cache.

        Args:
            flows: Between the grid's known cells.
            cell: View and time.
            source_time: When the view is known.
            row: Known at both times.
            depths: ``(H, W)`` of the row and of the view at the source's time, 0 where nothing is.
            valid: False under captions.
        """
        (view, time), (views, times) = cell, flows.known.shape
        source, then, now = (view, source_time), (row, source_time), (row, time)
        match, match_back = flows(source, then), flows(then, source)
        back, forth = flows(now, then), flows(then, now)
        return cls(
            cell=cell,
            phases=(view / max(views - 1, 1), time / max(times - 1, 1)),
            source=flows.picture(source),
            row_then=flows.picture(then),
            row_now=flows.picture(now),
            match=match.best,
            match_error=match.error,
            match_back=match_back.best,
            match_back_error=match_back.error,
            back=back.best,
            back_error=back.error,
            forth=forth.best,
            forth_error=forth.error,
            row_nearness=_nearness(depths[0]),
            source_nearness=_nearness(depths[1]),
            valid=valid,
        )

    def smaller(self, factor: int) -> CellEvidence:
        """The same in pictures smaller by a whole factor; flows and errors are in their pixels."""
        if factor == 1:
            return self
        pictures = ("source", "row_then", "row_now", "row_nearness", "source_nearness")
        lengths = (
            *("match", "match_error", "match_back", "match_back_error"),
            *("back", "back_error", "forth", "forth_error"),
        )
        small = {name: shrunk(getattr(self, name), factor) for name in pictures}
        # a point that leaves the picture misses by an infinity, which must stay one pixel's
        small |= {name: shrunk(np.minimum(getattr(self, name), 1e3), factor) / np.float32(factor) for name in lengths}
        valid = shrunk(self.valid.astype(np.float32), factor) > 0.99
        return CellEvidence(self.cell, self.phases, **small, valid=valid)


def shrunk(values: Image, factor: int) -> Image:
    """A map ``(H, W[, C])`` averaged over squares of ``factor`` pixels; a rest at the rim is spread over all."""
    h, w = values.shape[:2]
    return resized(values, (max(1, round(h / factor)), max(1, round(w / factor))))


def read(values: Image, flow: Flow, most: float = np.inf) -> Image:
    """A map at the ends of a flow, values above ``most`` cut."""
    return warp(np.minimum(values, most).astype(np.float32), flow)


def _nearness(depth: Image) -> Image:
    """Inverse depth ``(H, W)``, positive everywhere; where there is nothing, as far as can be."""
    seen = depth > LEAST_DEPTH
    return np.where(seen, 1 / np.maximum(depth, LEAST_DEPTH), LEAST_DEPTH).astype(np.float32)
