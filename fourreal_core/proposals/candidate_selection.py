"""Where a cell's colours come from, settled by what other views show at the same two times.

The scene says where what a cell shows stood when its view was known. Where that is wrong, measured flow often is right:
a row that is known at both times shows the motion itself. So the scene's answer is corrected by what flow measured in
such a row beyond the scene's own motion there, one candidate for each way of measuring; standing still is a candidate
too. Every candidate has to explain the row: what it takes for the same point must look the same there at both times.
What nothing explains is new, such as an arm that was behind the body; it is taken from the row, in the view's own tone.

The paper renders splats here and leaves the rest to its model; this is ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import InputError
from ..flow.flow_cache import FlowCache
from ..flow.flow_field import Flow, warp
from ..grid import FrameGrid
from ..media.hole_filling import fill_holes
from ..rasterizer import RasterOptions
from ..scene.pixel_points import PixelPoints, pixel_points, render_source_map
from ..scene.scene4d import Scene4D
from .photometric_check import (
    Witness,
    best_candidate,
    blurred,
    disocclusion_probability,
    on_picture,
    whole_regions,
    without_specks,
)

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class EvidenceOptions:
    """How candidates are weighed.

    Attributes:
        rows: At most so many known rows, the nearest, are asked.
        window_px: Standard deviation of the window over which colours are compared, for frames 512 wide.
        prefer: Grey levels of 255 by which a measured candidate must explain the row better than the scene does.
        new_gray: Colour difference in grey levels beyond which a pixel counts as new; infinite to take nothing over.
        itself_gray: Colour difference in grey levels up to which a row's own flow explains it, so that it is not new.
        new_soft: Grey levels over which that goes from no to yes.
        tone_px: Standard deviation of the window over which tones are compared, for frames 512 wide.
        covered: Alpha below which the scene says nothing about a pixel.
    """

    rows: int = 2
    window_px: float = 4.0
    prefer: float = 1.0
    new_gray: float = 20.0
    itself_gray: float = 10.0
    new_soft: float = 3.0
    tone_px: float = 8.0
    covered: float = 0.3

    def __post_init__(self) -> None:
        if self.rows < 0 or min(self.window_px, self.new_gray, self.new_soft, self.tone_px) <= 0:
            raise InputError(
                f"{self.rows} rows, windows of {self.window_px} and {self.tone_px} px, new from "
                f"{self.new_gray} grey levels on",
                "no negative rows, positive numbers",
                "leave them at their defaults",
            )


class Settled(NamedTuple):
    """What a cell takes from one known cell of its view.

    Attributes:
        color: ``(H, W, 3)``.
        seen: ``(H, W)`` bool, where there is such a colour.
        cost: ``(H, W)`` how badly it explains the rows, in grey levels of 255.
    """

    color: Image
    seen: Mask
    cost: Image


@dataclass
class Evidence:
    """The rows of a grid as witnesses; what they say is kept once it was asked for.

    Attributes:
        scene: Fitted to the grid.
        grid: Known cells.
        flows: Between them.
        options: See EvidenceOptions.
        raster: Rasterizer options.
    """

    scene: Scene4D
    grid: FrameGrid
    flows: FlowCache
    options: EvidenceOptions = field(default_factory=EvidenceOptions)
    raster: RasterOptions | None = None
    _lattices: dict[int, PixelPoints] = field(default_factory=dict)
    _scene_maps: dict[tuple[int, int, int], Flow] = field(default_factory=dict)
    _own_costs: dict[tuple[int, int, int], Image] = field(default_factory=dict)

    def witnesses(self, view: int, time: int, source: int) -> list[int]:
        """The nearest other rows that are known at both times; the scene is followed in rows that are wholly known."""
        whole = [r for r in range(self.grid.views) if r != view and bool(self.grid.known[r].all())]
        return sorted(whole, key=lambda r: abs(r - view))[: self.options.rows] if source != time else []

    def settle(self, cell: tuple[int, int], source: int, scene_flow: Flow, scene_seen: Mask) -> Settled:
        """Colours of a cell from a known cell of its view.

        Args:
            cell: View and time.
            source: Time of the known cell.
            scene_flow: ``(H, W, 2)`` in pixels from the cell to the source, as the scene says.
            scene_seen: ``(H, W)`` bool, where the scene has an answer that can be read.
        """
        view, time = cell
        picture = self.flows.picture((view, source))
        rows = self.witnesses(view, time, source)
        if not rows:
            return Settled(warp(picture, scene_flow), scene_seen, np.zeros(scene_seen.shape, np.float32))
        candidates = [scene_flow, np.zeros_like(scene_flow)]
        for row in rows:
            candidates += self._corrected(scene_flow, (view, source), row, time)
        flow, cost, choice = self._best(candidates, rows, cell, source)
        hidden = self._hidden(flow, cost, rows[0], cell, source)
        flow, choice = np.where(hidden[..., None], scene_flow, flow), np.where(hidden, 0, choice)
        seen = np.where(choice == 0, scene_seen, self._readable(flow))
        settled = Settled(warp(picture, flow), seen, np.where(hidden, 0, cost))
        return self._with_new(settled, flow, self._witness(rows[0], cell, source))

    def _hidden(self, flow: Flow, cost: Image, row: int, cell: tuple[int, int], source: int) -> Mask:
        """Where nothing explains the row, but the row explains itself: something near hides the point there.

        What hides it is in its own place in the view; the row has nothing to say about what is behind. Not so in a view
        that is known at several times: what one of them doesn't explain another may, and a row that is followed over
        so short a time explains itself nearly everywhere.
        """
        if int(self.grid.known[cell[0]].sum()) > 1:
            return np.zeros(cost.shape, bool)
        across = warp(self.flows((cell[0], source), (row, source)).best, flow)
        itself = warp(self._itself(row, cell[1], source), across)
        return (cost > self.options.new_gray) & (itself < self.options.itself_gray)

    def _itself(self, row: int, time: int, source: int) -> Image:
        """How badly ``(H, W)`` a row's own flow explains it at a time, in grey levels of 255."""
        key = (row, time, source)
        if key not in self._own_costs:
            now, then = self.flows.picture((row, time)), self.flows.picture((row, source))
            apart = [255 * np.abs(now - warp(then, way)).mean(-1) for way in self._ways(row, time, source)]
            self._own_costs[key] = np.min([self._blurred(a, self.options.window_px) for a in apart], 0)
        return self._own_costs[key]

    def _corrected(self, flow: Flow, source: tuple[int, int], row: int, time: int) -> list[Flow]:
        """The scene's flow plus what a row measured beyond the scene's own motion in that row."""
        match = self.flows(source, (row, source[1])).best
        at = warp(match, flow)
        scene = self._scene_map(row, time, source[1])
        return [flow + warp(way - scene, at) for way in self._ways(row, time, source[1])]

    def _ways(self, row: int, time: int, source: int) -> list[Flow]:
        measured = self.flows((row, time), (row, source))
        if len(measured.measured) == 1:
            return [measured.best]
        direct, _, chained = measured.measured
        return [measured.best, direct, chained]

    def _best(
        self, candidates: list[Flow], rows: list[int], cell: tuple[int, int], source: int
    ) -> tuple[Flow, Image, NDArray[np.int_]]:
        """Each pixel's candidate that explains the rows best, how well, and which one that is."""
        costs = [self._cost(flow, rows, cell, source) for flow in candidates]
        for k in range(1, len(candidates)):
            costs[k] = np.where(self._readable(candidates[k]), costs[k] + self.options.prefer * (k > 1), np.inf)
        flow, cost, choice = best_candidate(candidates, costs)
        return without_specks(flow), cost, choice

    def _cost(self, flow: Flow, rows: list[int], cell: tuple[int, int], source: int) -> Image:
        """How differently the rows show at the two times what a flow takes for one point, in grey levels of 255."""
        total = mass = np.float32(0)
        for row in rows:
            match = self.flows((cell[0], source), (row, source))
            apart = self._blurred(self._witness(row, cell, source).apart(flow), self.options.window_px)
            trust = np.exp(-np.minimum(warp(match.error, flow), 9)) + 1e-3 if len(rows) > 1 else np.float32(1)
            total, mass = total + trust * apart, mass + trust
        return total / mass

    def _witness(self, row: int, cell: tuple[int, int], source: int) -> Witness:
        match = self.flows((cell[0], source), (row, source)).best
        return Witness(match, self.flows.picture((row, cell[1])), self.flows.picture((row, source)))

    def _with_new(self, settled: Settled, flow: Flow, witness: Witness) -> Settled:
        """Takes what no candidate explains from a row, in the tone of the view."""
        if not np.isfinite(self.options.new_gray):
            return settled
        new, across = witness.toned(flow, settled.color, self.options.tone_px * flow.shape[1] / 512)
        share = whole_regions(disocclusion_probability(settled.cost, self.options.new_gray, self.options.new_soft))
        share = share * self._readable(across)
        color = settled.color + share[..., None] * (new - settled.color)
        return Settled(color.clip(0, 1), settled.seen | (share > 0.5), settled.cost)

    def _scene_map(self, row: int, time: int, source: int) -> Flow:
        """The scene's own flow of a row from one time to another."""
        key = (row, time, source)
        if key not in self._scene_maps:
            if row not in self._lattices:
                self._lattices[row] = pixel_points(self.scene, row)
            flow, alpha = render_source_map(self._lattices[row], time, source, self.raster)
            self._scene_maps[key] = fill_holes(flow, alpha > self.options.covered).cpu().numpy()
        return self._scene_maps[key]

    def _readable(self, flow: Flow) -> Mask:
        """Where a flow leads onto the picture and not under a caption."""
        return on_picture(flow) & (warp(self.grid.valid.cpu().numpy().astype(np.float32), flow) > 0.99)

    def _blurred(self, values: Image, sigma: float) -> Image:
        return blurred(values, sigma * values.shape[1] / 512)


def numpy_of(values: torch.Tensor) -> NDArray:
    """A tensor without its gradient, on the CPU."""
    return values.detach().cpu().numpy()
