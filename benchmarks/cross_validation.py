#!/usr/bin/env python3
"""Chooses options by cross-validation over real grids: each grid is scored with what is best on the others.

    python benchmarks/cross_validation.py GRIDS -o OUT [--track complete|reconstruct] [--settings NAME ...]

GRIDS is laid out as for ``real_grids.py``. Every setting changes the defaults in one place (``SETTINGS``). Geometry,
tracks, floaters and flows are worked out once a grid and shared, the fit once for all settings that leave it alone. Two
figures are kept of each: ``cells``, mean PSNR of the track's cells as the product fills them, and ``splats``, the same
of plain renders of the scene. They go to OUT/NAME.json, so that what was interrupted goes on where it was.

For both figures it then prints what leaving one grid out gives: for every grid the setting that is best on average
over the others, and the mean of the grids' scores with these settings beside that of the defaults.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from real_grids import load_grid
from torch import Tensor

from fourreal_core import media
from fourreal_core.cli.arguments import parse_size
from fourreal_core.errors import InputError
from fourreal_core.flow.flow_cache import FlowCache
from fourreal_core.geometry.structure_from_motion import parallax_geometry
from fourreal_core.grid import FrameGrid
from fourreal_core.metrics import psnr
from fourreal_core.pipeline import PipelineOptions
from fourreal_core.proposals.complete_grid import SourceReader, propose_cell
from fourreal_core.proposals.scene_candidates import SceneCandidates
from fourreal_core.reconstruction.canonical import canonical_scene
from fourreal_core.reconstruction.fit_deformation import fit_deformation
from fourreal_core.reconstruction.floaters import prune_floaters
from fourreal_core.scene.pixel_points import pixel_points
from fourreal_core.scene.render import render_cell
from fourreal_core.scene.scene4d import Scene4D
from fourreal_core.tracking.track_engines import FlowTracks
from fourreal_core.tracking.tracks import Tracks

DEFAULT = "default"
FIGURES = ("cells", "splats")
RENDERS = 400
"""Known cells rendered for a fit: no setting is judged by the fit to completed cells."""
Change = Callable[[PipelineOptions], PipelineOptions]


def _proposal(**changes: Any) -> Change:
    return lambda options: replace(options, proposal=replace(options.proposal, **changes))


def _selection(**changes: Any) -> Change:
    return lambda options: _proposal(selection=replace(options.proposal.selection, **changes))(options)


def _rendering(**changes: Any) -> Change:
    return lambda options: replace(
        options, fit=replace(options.fit, rendering=replace(options.fit.rendering, **changes))
    )


SETTINGS: dict[str, Change] = {
    DEFAULT: lambda options: options,
    "window 2.5": _selection(window_px=2.5),
    "window 6": _selection(window_px=6.0),
    "disoccluded from 14": _selection(disocclusion_gray=14.0),
    "disoccluded from 30": _selection(disocclusion_gray=30.0),
    "disoccluded from 45": _selection(disocclusion_gray=45.0),
    "tone 4": _selection(tone_px=4.0),
    "tone 16": _selection(tone_px=16.0),
    "SSIM 0.1": _rendering(ssim_weight=0.1),
    "SSIM 0.4": _rendering(ssim_weight=0.4),
    "motion rate x 0.4": _rendering(motion_rate=1.6e-5),
    "motion rate x 2.5": _rendering(motion_rate=1e-4),
}
"""Options by name, each one step away from the defaults."""


@dataclass(frozen=True)
class Start:
    """What all settings share of one grid.

    Attributes:
        grid: What the track may see.
        truth: The cells that are scored, ``(H, W, 3)`` by view and time.
        scene: Splats before they are animated.
        times: Tracks of the fixed-view clip.
        flows: Between known cells, kept once measured.
    """

    grid: FrameGrid
    truth: dict[tuple[int, int], Tensor]
    scene: Scene4D
    times: Tracks | None
    flows: FlowCache


def main() -> int:
    """Scores what has not been scored yet, and prints the validation."""
    args = _parser().parse_args()
    try:
        out = media.prepare_folder(args.out)
        folders = sorted(p.parent for p in args.grids.glob("*/grid.json"))
        if not folders:
            raise InputError(f"no grid under {args.grids}", "folders with a grid.json", "check the path")
        scores = {}
        for folder in folders:
            if args.only is None or folder.name in args.only:
                scores[folder.name] = score_grid(folder, out / f"{folder.name}.json", args)
        for figure in FIGURES:
            print(report(scores, figure))
    except InputError as err:
        print(f"cross_validation: {err}", file=sys.stderr)
        return 2
    return 0


def score_grid(folder: Path, path: Path, args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Both figures of a grid by setting; those in the file are not worked out again, and new ones are added to it."""
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    begun, fitted = None, {}
    for name in args.settings:
        if name in kept:
            continue
        options = SETTINGS[name](PipelineOptions(seed=0, device="cpu"))
        begun = begun or begin(folder, args.track, args.size, options)
        if options.fit not in fitted:
            fitted = {
                options.fit: fit_deformation(
                    begun.scene, begun.grid, begun.times, replace(options.fit, seed=0, steps=RENDERS), flows=begun.flows
                )
            }
        kept[name] = figures(begun, fitted[options.fit], options)
        media.write_bytes(path, json.dumps(kept, indent=1).encode())
        print(f"{folder.name:24s} {name:18s} " + "   ".join(f"{f} {kept[name][f]:6.2f}" for f in FIGURES), flush=True)
    return {name: kept[name] for name in args.settings}


def begin(folder: Path, track: str, size: tuple[int, int], options: PipelineOptions) -> Start:
    """Everything up to the fit, at a size."""
    whole, meta = load_grid(folder, track, False), json.loads((folder / "grid.json").read_text(encoding="utf-8"))
    picture = {cell: _shrunk(_read(folder, cell), size) for cell in map(tuple, meta["known"])}
    first, fixed = (
        torch.stack(cells)
        for cells in ([picture[v, 0] for v in range(whole.views)], [picture[0, t] for t in range(whole.times)])
    )
    grid = FrameGrid.from_clips(first, fixed, _shrunk(whole.valid[..., None].float(), size)[..., 0] > 0.99)
    more = [cell for cell in map(tuple, whole.known.nonzero().tolist()) if 0 not in cell]
    grid = grid.with_known({cell: picture[cell] for cell in more})
    tracks, engine = replace(options.tracks, seed=0), FlowTracks()
    flows = FlowCache(grid.frames, grid.known)
    geometry = parallax_geometry(flows.freeze_time, grid.valid, options.parallax)
    through_views = engine.track_views(flows.freeze_time, geometry, grid.valid, tracks)
    scene = canonical_scene(through_views, grid.times, options.canonical)
    scene = prune_floaters(scene, grid.freeze_time, grid.valid, options.floaters)
    scored = map(tuple, meta["targets" if track == "complete" else "held_out"])
    return Start(
        grid,
        {cell: picture[cell] for cell in scored},
        scene,
        engine.track_times(flows.fixed_view, geometry, grid.valid, tracks),
        flows,
    )


def figures(start: Start, scene: Scene4D, options: PipelineOptions) -> dict[str, float]:
    """Mean PSNR of the scored cells as they are filled, and of plain renders of them."""
    grid, found = start.grid, {figure: [] for figure in FIGURES}
    with torch.no_grad():
        candidates = SceneCandidates(scene, grid, start.flows, options.proposal.selection)
        readers = {
            view: SourceReader(grid, pixel_points(scene, view), candidates)
            for view in {view for view, _ in start.truth}
        }
        for (view, time), truth in start.truth.items():
            filled = propose_cell(readers[view], (view, time), options.proposal)[0]
            plain = render_cell(scene, view, time).image.clamp(0, 1)
            for figure, image in zip(FIGURES, (filled, plain), strict=True):
                found[figure].append(psnr(image, truth, grid.valid))
    return {figure: sum(values) / len(values) for figure, values in found.items()}


def left_out(scores: dict[str, dict[str, dict[str, float]]], figure: str) -> dict[str, str]:
    """For every grid the setting with the best mean of a figure over the other grids; the default wins a tie."""
    chosen = {}
    for grid in scores:
        others = [rows for name, rows in scores.items() if name != grid]
        names = list(scores[grid])
        chosen[grid] = max(names, key=lambda s: (sum(rows[s][figure] for rows in others), s == DEFAULT))
    return chosen


def report(scores: dict[str, dict[str, dict[str, float]]], figure: str) -> str:
    """Means of every setting, and what cross-validation chooses and reaches."""
    settings = list(next(iter(scores.values())))
    if len(scores) < 2 or DEFAULT not in settings:
        return f"{figure}: two grids and the defaults are needed"

    def mean(chosen: dict[str, str]) -> float:
        return sum(scores[grid][setting][figure] for grid, setting in chosen.items()) / len(chosen)

    base = mean(dict.fromkeys(scores, DEFAULT))
    lines = [f"{figure}: mean PSNR of {len(scores)} grids"]
    for name in settings:
        gains = [rows[name][figure] - rows[DEFAULT][figure] for rows in scores.values()]
        lines.append(
            f"  {name:18s} {base + sum(gains) / len(gains):6.2f} dB  {sum(gains) / len(gains):+.3f}   "
            f"better on {sum(g > 0.005 for g in gains)}, worse on {sum(g < -0.005 for g in gains)}"
        )
    chosen = left_out(scores, figure)
    picks = ", ".join(f"{name} ({count})" for name, count in Counter(chosen.values()).most_common())
    lines.append(f"  each grid left out: {mean(chosen):.2f} dB, the defaults {base:.2f} dB; chosen: {picks}")
    return "\n".join(lines)


def _read(folder: Path, cell: tuple[int, int]) -> Tensor:
    found = sorted(folder.glob(f"v{cell[0]}_t{cell[1]}.*"))
    return media.read_image(found[0])


def _shrunk(image: Tensor, size: tuple[int, int]) -> Tensor:
    """A picture ``(H, W, C)`` at a size, by areas."""
    return torch.nn.functional.interpolate(image.permute(2, 0, 1)[None], size, mode="area")[0].permute(1, 2, 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("grids", type=Path, help="folder of grids")
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder for the scores, one file a grid")
    parser.add_argument("--track", choices=["complete", "reconstruct"], default="complete")
    parser.add_argument("--size", type=parse_size, default="256x144")
    parser.add_argument("--settings", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--only", nargs="+", metavar="NAME", help="names of the grids; all when left out")
    return parser


if __name__ == "__main__":
    sys.exit(main())
