"""Completes a grid: every missing cell from the scene, coloured by the known frames of its own view.

The scene says where what is seen at ``[v, t]`` was at a time when view v is known; the colour is read there. So motion
and geometry are the scene's and the texture is the view's own, which matters because generated views differ in light.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..cameras import inside_image, pixel_grid, sample_map
from ..errors import InputError
from ..flow.flow_cache import FlowCache
from ..grid import FrameGrid
from ..media.hole_filling import fill_holes
from ..progress import OnStep, no_progress
from ..rasterizer import RasterOptions, Rendered
from ..scene.pixel_points import PixelPoints, pixel_points, render_source_map
from ..scene.render import render_cell
from ..scene.scene4d import Scene4D
from .blending import blend_by_error
from .candidate_selection import SelectionOptions, propose_from_source
from .coherent_choice import ChoiceOptions
from .image_filters import Image, Mask
from .scene_candidates import COVERED_ALPHA, SceneCandidates
from .scored_proposal import ScoredCells

GAP_PX = 4
"""Gaps between the moved pixels of a view that are narrower than this are no holes."""
SOURCE_DOUBT_GRAY = 10.0
"""Grey levels of 255 by which a source may explain the rows worse until it counts 1/e as much."""
FAR_WEIGHT = 0.1
"""Weight of the second nearest known time where no known time lies on the other side."""
UNSEEN_GRAY = 60.0
"""Expected error, in grey levels of 255, of what no known frame of the view shows."""
SOURCES = 2
"""At most so many known frames of the view are blended, by nearness in time."""


@dataclass(frozen=True)
class ProposalOptions:
    """How missing cells are coloured.

    Attributes:
        colors: ``"source"`` reads known frames of the same view; ``"splats"`` shows the splats' own colours.
        choice: ``"scored"`` makes one picture of all candidates by learned scores; ``"verified"`` takes the candidate
            that known rows verify best, by hand-set rules. Where no row is known throughout, the scene is believed.
        selection: How known rows verify where colours come from, for ``"verified"``.
        scored: How a picture is made of scored candidates, for ``"scored"``.
    """

    colors: Literal["source", "splats"] = "source"
    choice: Literal["scored", "verified"] = "scored"
    selection: SelectionOptions = field(default_factory=SelectionOptions)
    scored: ChoiceOptions = field(default_factory=ChoiceOptions)

    def __post_init__(self) -> None:
        if self.colors not in ("source", "splats"):
            raise InputError(f"colours {self.colors!r}", "'source' or 'splats'", "choose one of the two")
        if self.choice not in ("scored", "verified"):
            raise InputError(f"choice {self.choice!r}", "'scored' or 'verified'", "choose one of the two")


@dataclass(frozen=True)
class Completion:
    """A completed grid, and how surely each pixel was completed.

    Attributes:
        grid: Every cell filled; which cells were given stays as it was.
        error_gray: ``(V, T, H, W)`` expected error in grey levels of 255: 0 in cells that were given, UNSEEN_GRAY where
            the view shows nothing of what a pixel should.
    """

    grid: FrameGrid
    error_gray: Tensor


def complete_grid(
    scene: Scene4D,
    grid: FrameGrid,
    options: ProposalOptions | None = None,
    raster: RasterOptions | None = None,
    on_step: OnStep = no_progress,
    *,
    flows: FlowCache | None,
) -> FrameGrid:
    """Fills every unknown cell of a grid; known cells stay bit for bit. Arguments and errors as of completion."""
    return completion(scene, grid, options, raster, on_step, flows=flows).grid


def completion(
    scene: Scene4D,
    grid: FrameGrid,
    options: ProposalOptions | None = None,
    raster: RasterOptions | None = None,
    on_step: OnStep = no_progress,
    *,
    flows: FlowCache | None,
) -> Completion:
    """Fills every unknown cell of a grid, and says how sure each pixel is; known cells stay bit for bit.

    Args:
        scene: Fitted to the grid.
        grid: Known cells.
        options: See ProposalOptions.
        raster: Rasterizer options.
        on_step: Progress, one step a cell, with the cell as preview.
        flows: Between the grid's known cells; None to believe the scene, and verify it nowhere.

    Raises:
        InputError: A grid of another shape than the scene's.
    """
    options = options or ProposalOptions()
    if (grid.views, grid.times) != (scene.views, scene.times):
        raise InputError(
            f"a grid of {grid.views} x {grid.times} cells",
            f"{scene.views} x {scene.times} as the scene",
            "complete the grid the scene was fitted to",
        )
    frames, errors = grid.frames.clone(), grid.frames.new_zeros(grid.frames.shape[:4])
    done, total = 0, int((~grid.known).sum())
    with torch.no_grad():
        candidates = scored = None
        if flows is not None and options.colors == "source":
            candidates = SceneCandidates(scene, grid, flows, options.selection, raster)
            scored = ScoredCells(candidates, options.scored) if options.choice == "scored" else None
        for view in range(grid.views):
            missing = (~grid.known[view]).nonzero()[:, 0].tolist()
            reader = SourceReader(grid, pixel_points(scene, view), candidates, raster, scored) if missing else None
            for time in missing:
                assert reader is not None
                picture, error = propose_cell(reader, (view, time), options)
                frames[view, time], errors[view, time] = picture.cpu(), error.cpu()
                done += 1
                on_step(done, total, frames[view, time])
    return Completion(replace(grid, frames=frames), errors)


@dataclass(frozen=True)
class SourceReader:
    """Reads the known frames of one view.

    Attributes:
        grid: Known cells.
        points: The view's own pixels as points of the scene.
        candidates: What corrects the scene, and verifies it; None to believe the scene.
        raster: Rasterizer options.
        scored: What makes a picture of scored candidates; None to take the one that is verified best.
    """

    grid: FrameGrid
    points: PixelPoints
    candidates: SceneCandidates | None
    raster: RasterOptions | None = None
    scored: ScoredCells | None = None

    def scene_flow(self, time: int, source: int) -> tuple[Tensor, Tensor]:
        """Where what the view shows at one time stood at another, as the scene says.

        Returns:
            ``(H, W, 2)`` pixels from the time to the source's, extended over holes, and where the scene has an answer
            ``(H, W)`` bool.
        """
        flow, alpha = render_source_map(self.points, time, source, self.raster)
        covered = close_gaps(alpha > COVERED_ALPHA, GAP_PX)  # between points that spread apart there is no hole
        return fill_holes(flow, covered), covered

    def read(self, cell: tuple[int, int], source: int, rendered: Rendered) -> tuple[Image, Mask, Image]:
        """Colours of cell ``[view, time]`` read from known cell ``[view, source]``.

        Args:
            cell: View and time.
            source: Time of the known cell.
            rendered: The cell as the scene renders it.

        Returns:
            Colours ``(H, W, 3)``, where they were seen ``(H, W)`` bool, and their error, ``(H, W)`` in grey levels of
            255: what their scores expect, or the photometric error in the known rows; zero without rows.
        """
        view, time = cell
        flow, covered = self.scene_flow(time, source)
        if self.scored is not None:
            proposal = self.scored.propose(cell, source, flow.cpu().numpy(), covered.cpu().numpy(), rendered)
            if proposal is not None:
                return proposal
        at = pixel_grid(self.grid.size, flow.device) + flow
        shows = sample_map(self.grid.valid.to(flow), at) > 0.99  # a caption in the source is not the scene's colour
        inside = inside_image(at, self.grid.size)
        seen = covered & inside & shows
        if self.candidates is None:
            color = sample_map(self.grid.frames[view, source].to(flow), at)
            return color.cpu().numpy(), seen.cpu().numpy(), np.zeros(seen.shape, np.float32)
        found, checks = self.candidates.candidates(cell, source, flow.cpu().numpy(), seen.cpu().numpy())
        picture = self.grid.frames[view, source].float().cpu().numpy()
        made = propose_from_source(picture, found, checks, self.candidates.options)
        return made.color, made.seen, made.error


def propose_cell(reader: SourceReader, cell: tuple[int, int], options: ProposalOptions) -> tuple[Tensor, Tensor]:
    """One cell; a view with no known frame at all falls back to splat colours.

    Where no source sees a pixel, the splats' colours are taken, shifted smoothly by the difference to the sources
    around them, so that no seam shows where a view is brighter than the splats. Where there is no splat either, the
    sources' colours are extended.

    Args:
        reader: Of the known frames of the cell's view.
        cell: View and time.
        options: See ProposalOptions.

    Returns:
        Its picture ``(H, W, 3)`` in ``[0, 1]``, and its expected error ``(H, W)`` in grey levels of 255.
    """
    (view, time), grid = cell, reader.grid
    rendered = render_cell(reader.points.scene, view, time, reader.raster)
    own = rendered.image.clamp(0, 1)
    known = grid.known[view].nonzero()[:, 0].tolist()
    if options.colors == "splats" or not known:
        return own, own.new_full(own.shape[:2], UNSEEN_GRAY)
    times = nearest_times(known, time)
    found = [reader.read(cell, source, rendered) for source, _ in times]
    weights = [np.float32(weight) * seen for (_, weight), (_, seen, _) in zip(times, found, strict=True)]
    # what is expected of the blend is blended as its colours are
    pictures = [np.concatenate([color, error[..., None]], -1) for color, _, error in found]
    blend = blend_by_error(pictures, [error for _, _, error in found], SOURCE_DOUBT_GRAY, weights)
    values, mass = (torch.from_numpy(x).to(own) for x in blend)
    blended, error = values[..., :3], values[..., 3]
    seen = mass > 0
    lit = own + fill_holes(blended - own, seen)
    nothing = (rendered.alpha < COVERED_ALPHA)[..., None]  # no splat either, as behind a caption that never moves
    rest = torch.where(nothing, fill_holes(blended, seen), lit)
    return torch.where(seen[..., None], blended, rest).clamp(0, 1), torch.where(seen, error, UNSEEN_GRAY)


def nearest_times(known: list[int], time: int) -> list[tuple[int, float]]:
    """The nearest known time before and the one after, weighted by nearness.

    Where all known times lie on one side, the second nearest counts FAR_WEIGHT as much as the nearest.
    """
    before = [t for t in known if t <= time][-1:]
    after = [t for t in known if t > time][:1]
    both = sorted(before + after, key=lambda t: abs(t - time))
    if len(both) == 2:
        gap = abs(both[0] - time) + abs(both[1] - time)
        return [(both[0], abs(both[1] - time) / gap), (both[1], abs(both[0] - time) / gap)]
    others = sorted((t for t in known if t not in both), key=lambda t: abs(t - time))
    return [(both[0], 1.0), *((t, FAR_WEIGHT) for t in others[: SOURCES - 1])]


def close_gaps(mask: Tensor, gap: int) -> Tensor:
    """A mask ``(H, W)`` with gaps of up to ``gap`` pixels closed; the picture's rim counts as set."""
    grown = torch.nn.functional.max_pool2d(mask[None].float(), gap + 1 - gap % 2, 1, gap // 2)
    return 1 - torch.nn.functional.max_pool2d(1 - grown, gap + 1 - gap % 2, 1, gap // 2)[0] > 0.5
