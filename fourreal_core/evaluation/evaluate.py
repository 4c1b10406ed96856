"""All figures of one grid."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import InputError
from ..flow.clip_flows import ClipFlows
from ..flow.engines import DisFlow, FlowEngine
from ..geometry.structure_from_motion import ClipCameras, find_cameras
from ..progress import OnStep, no_progress
from .confidence import confidence_entries, confidence_figures
from .figures import PLAIN_FIGURES, Figure, SceneFigures
from .flow_figures import neighbour_flows, warp_figures, whole_columns
from .grids import EvaluatedGrid, scored_like, shrunk
from .models import JudgeModels
from .picture_figures import change_figures, flicker, sharpness, truth_cells
from .scene_agreement import scene_agreement

Cells = dict[tuple[int, int], float]


@dataclass
class Evaluator:
    """Evaluates grids; methods that were given the same freeze-time clip share its cameras.

    Attributes:
        models: Networks that take part.
        engine: Measures flow; DIS when None.
        flow_width: Widest the cells are for figures from flow, in pixels; as they are when None.
    """

    models: JudgeModels = field(default_factory=JudgeModels)
    engine: FlowEngine | None = None
    flow_width: int | None = None
    _cameras: list[tuple[EvaluatedGrid, ClipCameras | None]] = field(default_factory=list)

    def figures(self) -> dict[str, Figure]:
        """What may be found, by name, in the order of tables."""
        found = dict(PLAIN_FIGURES)
        for model in self.models.confidence:
            found |= {figure.name: figure for figure in confidence_entries(model)}
        for learned in self.models.learned:
            found |= {figure.name: figure for figure in learned.entries()}
        return found

    def __call__(
        self, grid: EvaluatedGrid, truth: EvaluatedGrid | None = None, on_step: OnStep = no_progress
    ) -> SceneFigures:
        """All figures of a grid.

        Args:
            grid: To evaluate.
            truth: The true cells, not all of which need be there.
            on_step: Progress.

        Raises:
            InputError: Grids of other shapes, or nothing to score.
        """
        grid = grid if truth is None else scored_like(grid, truth)
        if not bool(grid.scored.any()):
            raise InputError(f"{grid.name}: no cell to score", "cells that were not given", "check the grid's cells")
        parts = 2 + len(self.models.confidence) + len(self.models.learned)

        def part(index: int) -> OnStep:
            return lambda done, total, preview=None: on_step(index * 100 + 100 * done // max(total, 1), parts * 100)

        values: dict[str, float] = {}
        cells: dict[str, Cells] = {}
        reference: dict[str, float] = {}
        if truth is not None:
            cells |= truth_cells(grid, truth)
            values |= change_figures(grid, truth)
        cells["sharpness"] = sharpness(grid)
        for name in ("psnr", "ssim", "sharpness"):
            if found := cells.get(name):
                values[name] = sum(found.values()) / len(found)
        if bool(grid.there.all()):
            made, row = flicker(grid.frames[1:], grid.valid), flicker(grid.frames[:1], grid.valid)
            values |= {} if made is None or grid.shape[0] < 2 else {"flicker": made}
            reference |= {} if row is None or not bool(grid.given[0].all()) else {"flicker": row}
        for found_values, found_cells, found_reference in (
            self._by_flow(grid, part(0)),
            *(m(grid, truth, part(2 + len(self.models.confidence) + k)) for k, m in enumerate(self.models.learned)),
        ):
            values, cells, reference = values | found_values, cells | found_cells, reference | found_reference
        for k, model in enumerate(self.models.confidence):
            made_shares, given_shares = confidence_figures(grid, model, part(2 + k))
            values, reference = values | made_shares, reference | given_shares
        on_step(parts * 100, parts * 100)
        order = self.figures()
        return SceneFigures(
            grid.name,
            {name: values[name] for name in order if name in values},
            {name: found for name in order if (found := cells.get(name))},
            {name: reference[name] for name in order if name in reference},
        )

    def _by_flow(
        self, grid: EvaluatedGrid, on_step: OnStep
    ) -> tuple[dict[str, float], dict[str, Cells], dict[str, float]]:
        engine, width = self.engine or DisFlow(), grid.frames.shape[3]
        grid = grid if self.flow_width is None else shrunk(grid, self.flow_width)
        to_full = width / grid.frames.shape[3]
        measured = neighbour_flows(grid, engine, on_step)
        values, cells, reference = warp_figures(grid, measured)
        cameras = self._cameras_of(grid, engine)
        if cameras is None:
            return values, cells, reference
        found: dict[str, list[float]] = {"reprojection": [], "match_share": []}
        cells["reprojection"] = {}
        for t in whole_columns(grid):
            agreed = scene_agreement(measured, t, cameras, grid.shape[0], grid.valid.cpu().numpy())
            if agreed is None:
                continue
            if bool(grid.given[:, t].all()):
                reference |= {"reprojection": agreed.reprojection_px * to_full, "match_share": agreed.match_share}
                continue
            found["reprojection"].append(agreed.reprojection_px * to_full)
            found["match_share"].append(agreed.match_share)
            cells["reprojection"] |= {(v, t): error * to_full for v, error in agreed.by_view.items()}
        values |= {name: sum(numbers) / len(numbers) for name, numbers in found.items() if numbers}
        return values, cells, reference

    def _cameras_of(self, grid: EvaluatedGrid, engine: FlowEngine) -> ClipCameras | None:
        """Cameras of the given freeze-time clip; None where it wasn't given, or none can be found."""
        if grid.shape[0] < 2 or not bool((grid.given & grid.there)[:, 0].all()):
            return None
        for known, cameras in self._cameras:
            if known.frames.shape == grid.frames.shape and bool((known.frames[:, 0] == grid.frames[:, 0]).all()):
                return cameras
        try:
            found: ClipCameras | None = find_cameras(ClipFlows(grid.frames[:, 0], engine), grid.valid)
        except InputError:  # a clip in which nothing matches has no cameras, and so no such figure
            found = None
        self._cameras[:] = [*self._cameras[-2:], (grid, found)]
        return found
