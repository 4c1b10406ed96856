"""The proposal: every missing cell of a grid from the scene, coloured by the source frames of its own view.

The scene says where what is seen at ``[v, t]`` was at a time when view v is known; the colour is read there. So motion
and geometry are the scene's and the texture is the view's own, which matters because generated views differ in light.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..cameras import pixel_grid
from ..errors import InputError
from ..flow.flow_cache import FlowCache
from ..grid import FrameGrid
from ..media.hole_filling import fill_holes
from ..progress import OnStep, no_progress
from ..rasterizer import RasterOptions
from ..scene.pixel_points import PixelPoints, pixel_points, render_source_map
from ..scene.render import render_cell
from ..scene.scene4d import Scene4D
from .candidate_selection import Evidence, EvidenceOptions, numpy_of


@dataclass(frozen=True)
class ProposalOptions:
    """How missing cells are coloured.

    Attributes:
        colors: ``"source"`` reads known frames of the same view; ``"splats"`` shows the splats' own colours.
        covered: Alpha below which the scene says nothing about a pixel.
        gap_px: Gaps between the moved pixels of a view that are narrower than this are no holes.
        sources: At most this many known frames of the view are blended, by nearness in time.
        evidence: How the known rows settle where colours come from; None to believe the scene.
        doubt_gray: Grey levels of 255 by which a source may explain the rows worse until it counts 1/e as much.
        beyond: Weight of the second nearest known time where none lies on the other side.
    """

    colors: Literal["source", "splats"] = "source"
    covered: float = 0.3
    gap_px: int = 4
    sources: int = 2
    evidence: EvidenceOptions | None = field(default_factory=EvidenceOptions)
    doubt_gray: float = 10.0
    beyond: float = 0.1

    def __post_init__(self) -> None:
        if self.colors not in ("source", "splats") or self.sources < 1:
            raise InputError(
                f"colours {self.colors!r} from {self.sources} sources",
                "'source' or 'splats', at least 1",
                "choose one of the two",
            )


def complete_grid(
    scene: Scene4D,
    grid: FrameGrid,
    options: ProposalOptions | None = None,
    raster: RasterOptions | None = None,
    on_step: OnStep = no_progress,
    flows: FlowCache | None = None,
) -> FrameGrid:
    """Fills every unknown cell of a grid; known cells stay bit for bit.

    Args:
        scene: Fitted to the grid.
        grid: Known cells.
        options: See ProposalOptions.
        raster: Rasterizer options.
        on_step: Progress, one step a cell, with the cell as preview.
        flows: Between the grid's known cells; measured here if None.
    """
    options = options or ProposalOptions()
    if (grid.views, grid.times) != (scene.views, scene.times):
        raise InputError(
            f"a grid of {grid.views} x {grid.times} cells",
            f"{scene.views} x {scene.times} as the scene",
            "complete the grid the scene was fitted to",
        )
    frames = grid.frames.clone()
    done, total = 0, int((~grid.known).sum())
    with torch.no_grad():
        evidence = None
        if options.evidence is not None and options.colors == "source":
            flows = flows or FlowCache(grid.frames, grid.known)
            evidence = Evidence(scene, grid, flows, options.evidence, raster)
        for view in range(grid.views):
            points = None if bool(grid.known[view].all()) else pixel_points(scene, view)
            for time in (~grid.known[view]).nonzero()[:, 0].tolist():
                frames[view, time] = propose_cell(points, grid, (view, time), options, raster, evidence).cpu()
                done += 1
                on_step(done, total, frames[view, time])
    return grid.filled(frames)


def propose_cell(
    points: PixelPoints,
    grid: FrameGrid,
    cell: tuple[int, int],
    options: ProposalOptions,
    raster: RasterOptions | None = None,
    evidence: Evidence | None = None,
) -> Tensor:
    """One cell ``(H, W, 3)`` in ``[0, 1]``; a view with no known frame at all falls back to splat colours.

    Where no source sees a pixel, the splats' colours are taken over with the difference to the sources around them
    carried in smoothly, so that no seam shows where a view is brighter than the splats. Where there is no splat either,
    the sources' colours are extended.

    Args:
        points: The view's own pixels, which move with the scene.
        grid: Known cells.
        cell: View and time.
        options: See ProposalOptions.
        raster: Rasterizer options.
        evidence: What settles where colours come from; the scene alone if None.
    """
    view, time = cell
    rendered = render_cell(points.scene, view, time, raster)
    own = rendered.image.clamp(0, 1)
    known = grid.known[view].nonzero()[:, 0].tolist()
    if options.colors == "splats" or not known:
        return own
    total, mass = torch.zeros_like(own), torch.zeros_like(own[..., :1])
    for source, weight in _nearest_times(known, time, options.sources, options.beyond):
        color, seen, cost = read_source(points, grid, cell, source, options, raster, evidence)
        share = weight * seen[..., None] * torch.exp(-cost / options.doubt_gray)[..., None]
        total += share * color
        mass += share
    seen = mass[..., 0] > 0
    blended = total / mass.clamp_min(1e-12)
    lit = own + fill_holes(blended - own, seen)
    nothing = (rendered.alpha < options.covered)[..., None]  # no splat either, as behind a caption that never moves
    rest = torch.where(nothing, fill_holes(blended, seen), lit)
    return torch.where(seen[..., None], blended, rest).clamp(0, 1)


def _nearest_times(known: list[int], time: int, count: int, beyond: float = 0.0) -> list[tuple[int, float]]:
    """The nearest known time before and after, weighted by nearness; one of them gets all when ``count`` is 1.

    Where all known times lie on one side, the second nearest counts ``beyond`` as much as the nearest.
    """
    before = [t for t in known if t <= time][-1:]
    after = [t for t in known if t > time][:1]
    both = sorted(before + after, key=lambda t: abs(t - time))[:count]
    if len(before + after) == 1 and min(count, len(known)) > 1 and beyond:
        rest = sorted((t for t in known if t not in both), key=lambda t: abs(t - time))[0]
        return [(both[0], 1.0), (rest, beyond)]
    if len(both) == 1:
        return [(both[0], 1.0)]
    gap = abs(both[0] - time) + abs(both[1] - time)
    return [(both[0], abs(both[1] - time) / gap), (both[1], abs(both[0] - time) / gap)]


def read_source(
    points: PixelPoints,
    grid: FrameGrid,
    cell: tuple[int, int],
    source: int,
    options: ProposalOptions,
    raster: RasterOptions | None = None,
    evidence: Evidence | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Colours of cell ``[view, time]`` read from known cell ``[view, source]``.

    Returns:
        Colours ``(H, W, 3)``, where they were seen ``(H, W)`` bool, and how badly they explain the known rows, ``(H,
        W)`` in grey levels of 255, zero without evidence.
    """
    view, time = cell
    flow, alpha = render_source_map(points, time, source, raster)
    covered = _closed(alpha > options.covered, options.gap_px)  # between points that spread apart there is no hole
    flow = fill_holes(flow, covered)
    at = pixel_grid(grid.size, flow.device) + flow
    inside = (at[..., 0] >= 0) & (at[..., 0] < grid.size[1]) & (at[..., 1] >= 0) & (at[..., 1] < grid.size[0])
    shows = _sample(grid.valid.to(flow), at) > 0.99  # a caption in the source is not the scene's colour
    seen = covered & inside & shows
    if evidence is None:
        return _sample(grid.frames[view, source].to(flow), at), seen, torch.zeros_like(alpha)
    settled = evidence.settle(cell, source, numpy_of(flow), numpy_of(seen))
    return tuple(torch.from_numpy(np.ascontiguousarray(x)).to(flow.device) for x in settled)


def _closed(mask: Tensor, gap: int) -> Tensor:
    """A mask ``(H, W)`` with gaps of up to ``gap`` pixels closed; the picture's rim counts as set."""
    grown = torch.nn.functional.max_pool2d(mask[None].float(), gap + 1 - gap % 2, 1, gap // 2)
    return 1 - torch.nn.functional.max_pool2d(1 - grown, gap + 1 - gap % 2, 1, gap // 2)[0] > 0.5


def _sample(image: Tensor, at: Tensor) -> Tensor:
    """Bilinear samples of ``(H, W[, C])`` at pixels ``(H, W, 2)``; the border repeats."""
    flat = image.ndim == 2
    x = (image[..., None] if flat else image).permute(2, 0, 1)[None]
    h, w = image.shape[:2]
    grid = (at / at.new_tensor([w, h]) * 2 - 1)[None].to(x.dtype)
    out = torch.nn.functional.grid_sample(x, grid, align_corners=False, padding_mode="border")[0].permute(1, 2, 0)
    return out[..., 0] if flat else out
