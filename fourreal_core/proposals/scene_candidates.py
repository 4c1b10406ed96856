"""Candidates of a cell's flow from the 4D scene, corrected by what flow measured in fully known rows.

The scene says where what a cell shows stood when its view was known. Where that is wrong, measured flow often is right:
a row that is known at both times shows the motion itself. So the scene's answer is corrected by what flow measured in
such a row beyond the scene's own motion there, one candidate for each way of measuring; standing still is a candidate
too. Which of them is right is verified in the rows (see candidate_selection).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..flow.flow_cache import FlowCache
from ..flow.flow_field import Flow, on_picture, warp
from ..grid import FrameGrid
from ..media.hole_filling import fill_holes
from ..rasterizer import RasterOptions
from ..scene.pixel_points import PixelPoints, pixel_points, render_source_map
from ..scene.render import render_cell
from ..scene.scene4d import Scene4D
from .candidate_selection import Candidates, SelectionOptions, smoothed_error
from .cell_evidence import CellEvidence
from .image_filters import Image, Mask
from .photometric_check import PhotometricCheck

REFERENCE_ROWS = 2
"""At most so many known rows, the nearest, verify a candidate."""
CORRECTION_HANDICAP_GRAY = 1.0
"""Grey levels of 255 by which a corrected flow must explain the rows better than the scene's own, which is smoother."""
COVERED_ALPHA = 0.3
"""Alpha below which the scene says nothing about a pixel."""


@dataclass
class SceneCandidates:
    """Candidates for the missing cells of a grid; what several cells need is kept once it was worked out.

    Attributes:
        scene: Fitted to the grid.
        grid: Known cells.
        flows: Between them.
        options: Of the selection: how errors are averaged.
        raster: Rasterizer options.
    """

    scene: Scene4D
    grid: FrameGrid
    flows: FlowCache
    options: SelectionOptions
    raster: RasterOptions | None = None
    _points: dict[int, PixelPoints] = field(default_factory=dict)
    _scene_flows: dict[tuple[int, int, int], Flow] = field(default_factory=dict)
    _self_errors: dict[tuple[int, int, int], Image] = field(default_factory=dict)
    _depths: dict[tuple[int, int], Image] = field(default_factory=dict)

    def reference_rows(self, view: int, time: int, source: int) -> list[int]:
        """The nearest other rows that can verify a cell; the scene is followed in rows that are wholly known."""
        whole = [r for r in range(self.grid.views) if r != view and bool(self.grid.known[r].all())]
        return sorted(whole, key=lambda r: abs(r - view))[:REFERENCE_ROWS] if source != time else []

    def candidates(
        self, cell: tuple[int, int], source: int, scene_flow: Flow, scene_seen: Mask
    ) -> tuple[Candidates, list[PhotometricCheck]]:
        """The candidates of a cell from a known cell of its view, and the references that verify them.

        Args:
            cell: View and time.
            source: Time of the known cell.
            scene_flow: ``(H, W, 2)`` in pixels from the cell to the source, as the scene says.
            scene_seen: ``(H, W)`` bool, where the scene has an answer that can be read.
        """
        view, time = cell
        rows = self.reference_rows(view, time, source)
        flows, handicaps = [scene_flow, np.zeros_like(scene_flow)], [0.0, 0.0]
        for row in rows:
            corrected = self.corrected(scene_flow, (view, source), row, time)
            flows += corrected
            handicaps += [CORRECTION_HANDICAP_GRAY] * len(corrected)
        self_error = self._self_error(rows[0], time, source) if rows and self._known_once(view) else None
        checks = [self._check(row, cell, source, len(rows) > 1) for row in rows]
        return Candidates(flows, handicaps, self._readable, scene_seen, self_error), checks

    def evidence(self, cell: tuple[int, int], source: int, row: int) -> CellEvidence:
        """What is known around a cell that is made from a known cell of its view, by a row known at both times."""
        depths = self._depth(row, source), self._depth(cell[0], source)
        return CellEvidence.of_cell(self.flows, cell, source, row, depths, self.grid.valid.cpu().numpy())

    def _depth(self, view: int, time: int) -> Image:
        """Depth ``(H, W)`` of what a view sees at a time; 0 where there is nothing."""
        key = (view, time)
        if key not in self._depths:
            at_rest = self.scene.view_depth[view]
            depth = at_rest if time == 0 else render_cell(self.scene, view, time, self.raster).depth
            self._depths[key] = depth.detach().float().cpu().numpy()
        return self._depths[key]

    def _known_once(self, view: int) -> bool:
        """A view that is known at several times takes from rows what they show in front.

        What one of its known cells doesn't explain another may, and a row that is followed over so short a time
        explains itself nearly everywhere.
        """
        return int(self.grid.known[view].sum()) == 1

    def _check(self, row: int, cell: tuple[int, int], source: int, voting: bool) -> PhotometricCheck:
        match = self.flows((cell[0], source), (row, source))
        now, then = self.flows.picture((row, cell[1])), self.flows.picture((row, source))
        return PhotometricCheck(match.best, now, then, match.error if voting else None)

    def corrected(self, flow: Flow, source: tuple[int, int], row: int, time: int) -> list[Flow]:
        """The scene's flow plus what a row measured beyond the scene's own motion in it, each way of measuring."""
        at = warp(self.flows(source, (row, source[1])).best, flow)
        scene = self._scene_flow(row, time, source[1])
        return [flow + warp(way - scene, at) for way in self._ways(row, time, source[1])]

    def _self_error(self, row: int, time: int, source: int) -> Image:
        """Photometric error ``(H, W)`` of a row under its own flow, by the best way of measuring, in grey levels."""
        key = (row, time, source)
        if key not in self._self_errors:
            now, then = self.flows.picture((row, time)), self.flows.picture((row, source))
            errors = [255 * np.abs(now - warp(then, way)).mean(-1) for way in self._ways(row, time, source)]
            self._self_errors[key] = np.min([smoothed_error(e, self.options) for e in errors], 0)
        return self._self_errors[key]

    def _ways(self, row: int, time: int, source: int) -> list[Flow]:
        """A row's flow from a time to another: the best, directly, by a chain; one for neighbours."""
        measured = self.flows((row, time), (row, source))
        if len(measured.measured) == 1:
            return [measured.best]
        return [measured.best, measured.measured[0], measured.measured[2]]

    def _scene_flow(self, row: int, time: int, source: int) -> Flow:
        """The scene's own flow ``(H, W, 2)`` of a row from one time to another."""
        key = (row, time, source)
        if key not in self._scene_flows:
            if row not in self._points:
                self._points[row] = pixel_points(self.scene, row)
            flow, alpha = render_source_map(self._points[row], time, source, self.raster)
            self._scene_flows[key] = fill_holes(flow, alpha > COVERED_ALPHA).cpu().numpy()
        return self._scene_flows[key]

    def _readable(self, flow: Flow) -> Mask:
        """Where ``(H, W)`` a flow leads onto the picture and not under a caption."""
        return on_picture(flow) & (warp(self.grid.valid.cpu().numpy().astype(np.float32), flow) > 0.99)
