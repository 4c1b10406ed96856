#!/usr/bin/env python3
"""Measures every stage from two clips to a 4D scene on worlds of which everything is known.

    python benchmarks/reconstruction.py [-o FILE] [--worlds rigid soft] [--views-off 0 1.5] [--ablations all]
                                        [--size 256x144] [--views 8] [--times 8] [--pictures DIR]
                                        [--starts flow made-up:0.12 dust3r:CHECKPOINT vggt:CHECKPOINT ...]

Worlds: rigid, articulated and soft motion (``synthetic_worlds.py``); with ``--views-off PX`` every view but the central
one is bent by a smooth field of about so many pixels and lit differently. Printed for each, and for each ablation:

- depth: median relative error after one common factor; share of pixels within 5 %
- cameras: largest rotation error in degrees, largest error of a centre over the baseline, error of the focal length
- tracks through views and through times: average Jaccard and APD_3D of TAPVid-3D, ``mov`` of what moves
  alone, ``back`` of what stands; ``mpx`` and ``bpx``: mean distance in pixels from where either is truly seen
- PSNR in dB of the cells that were not given (``cells``, and ``splats`` for the plain render of them, ``front`` and
  ``back`` where it shows what moves and what stands), of known cells, of views between the cameras, and of times
  between the steps
- seconds: rasterizer and all else of the fit by rendering, the whole (of a world's first run; later ones take over its
  geometry and tracks, which no ablation changes); peak memory of the process

``--starts`` gives a row to each feed-forward start as well (supplement, section 3; ``feed_forward_starts.py``); one
whose package or weights are not here is left out with a sentence.

``--cost`` runs one world at 512 x 288 with at most 200,000 splats and prints seconds by stage.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from feed_forward_starts import STARTS_HELP, load_starts
from reconstruction_figures import camera_figures, depth_figures, picture_figures, track_figures
from synthetic_worlds import WORLDS, World, make_world
from torch import Tensor

from fourreal_core import media
from fourreal_core.cli.arguments import parse_size
from fourreal_core.errors import InputError
from fourreal_core.flow.clip_flows import ClipFlows
from fourreal_core.geometry.geometry import Geometry
from fourreal_core.geometry.sources import GeometrySource
from fourreal_core.geometry.structure_from_motion import ParallaxOptions, parallax_geometry
from fourreal_core.grid import FrameGrid
from fourreal_core.metrics import peak_memory_mb
from fourreal_core.pipeline import PipelineOptions, PipelineResult, run_pipeline
from fourreal_core.progress import OnStep, no_progress
from fourreal_core.rasterizer import numba_backend
from fourreal_core.reconstruction import fit_deformation as fit_module
from fourreal_core.reconstruction import refit as refit_module
from fourreal_core.scene.render import render_cell
from fourreal_core.tracking.track3d import TrackOptions
from fourreal_core.tracking.track_engines import FlowTracks, TrackEngine
from fourreal_core.tracking.tracks import Tracks

FIT = "fit by rendering"


@dataclass
class Recorder:
    """The geometry and tracks of one world by one start, which no ablation changes: worked out once and kept.

    Attributes:
        source: Of the geometry.
        engine: Of the tracks.
        start: Hand the time tracks on; without them the deformation starts from a scene that stands.
    """

    source: GeometrySource = parallax_geometry
    engine: TrackEngine = field(default_factory=FlowTracks)
    start: bool = True
    geometry: Geometry | None = None
    views: Tracks | None = None
    times: Tracks | None = None

    def find_geometry(
        self,
        clip: ClipFlows,
        valid: Tensor | None,
        options: ParallaxOptions,
        on_step: OnStep = no_progress,
    ) -> Geometry:
        """See GeometrySource."""
        self.geometry = self.geometry or self.source(clip, valid, options, on_step)
        return self.geometry

    def track_views(
        self,
        clip: ClipFlows,
        geometry: Geometry,
        valid: Tensor | None = None,
        options: TrackOptions | None = None,
        on_step: OnStep = no_progress,
    ) -> Tracks:
        """See TrackEngine."""
        self.views = self.views or self.engine.track_views(clip, geometry, valid, options, on_step)
        return self.views

    def track_times(
        self,
        clip: ClipFlows,
        geometry: Geometry,
        valid: Tensor | None = None,
        options: TrackOptions | None = None,
        on_step: OnStep = no_progress,
    ) -> Tracks | None:
        """See TrackEngine."""
        self.times = self.times or self.engine.track_times(clip, geometry, valid, options, on_step)
        return self.times if self.start else None


Change = Callable[[PipelineOptions, Recorder], PipelineOptions]


def _unstarted(options: PipelineOptions, recorder: Recorder) -> PipelineOptions:
    recorder.start = False
    return options


def _no_offsets(options: PipelineOptions, recorder: Recorder) -> PipelineOptions:
    return replace(options, canonical=replace(options.canonical, view_offsets=False))


def _no_view_colors(options: PipelineOptions, recorder: Recorder) -> PipelineOptions:
    return replace(options, floaters=replace(options.floaters, view_colors=False))


def _rendering(options: PipelineOptions, **changes: float) -> PipelineOptions:
    fit, refit = (
        replace(stage, rendering=replace(stage.rendering, **changes)) for stage in (options.fit, options.refit)
    )
    return replace(options, fit=fit, refit=refit)


def _fits(options: PipelineOptions, fit: int, refit: int) -> PipelineOptions:
    return replace(options, fit=replace(options.fit, steps=fit), refit=replace(options.refit, steps=refit))


ABLATIONS: dict[str, Change] = {
    "full": lambda options, recorder: options,
    "no compensation": lambda options, recorder: _no_view_colors(_no_offsets(options, recorder), recorder),
    "no view offsets": _no_offsets,
    "no view colours": _no_view_colors,
    "no track start": _unstarted,
    "motion not fitted": lambda options, recorder: _rendering(options, motion_rate=0.0),
    "no newcomers": lambda options, recorder: replace(options, refit=replace(options.refit, newcomers=None)),
    "no refit": lambda options, recorder: _fits(options, options.fit.steps + options.refit.steps, 0),
    "no fit": lambda options, recorder: _fits(options, 0, 0),
}
"""Options that are changed, by name; the first is the product. Without the refit known cells are rendered as often."""


def main() -> int:
    """Runs what was asked for, prints the table and writes the report."""
    args = _parser().parse_args()
    try:
        size = parse_size("512x288" if args.cost else args.size)
        starts, left_out = load_starts(["flow"] if args.cost else args.starts, args.views)
        for sentence in left_out:
            print(f"reconstruction: left out: {sentence}", file=sys.stderr)
        rows = []
        print(HEAD, flush=True)
        for kind in ["articulated"] if args.cost else args.worlds:
            for off in [0.0] if args.cost else args.views_off:
                world = make_world(kind, args.views, size, off)
                for start, make in starts.items():
                    recorder = Recorder(*make(world))
                    for name in ["full"] if args.cost else args.ablations:
                        found = run_one(world, args, name, recorder)
                        rows.append({"world": kind, "views_off": off, "start": start, **found})
                        if args.pictures is not None:
                            media.save_image(rows[-1].pop("picture"), picture_file(args.pictures, rows[-1]))
                        print(line(rows[-1]), flush=True)
        if args.cost:
            print(cost(rows[-1]))
        if args.out is not None:
            media.write_bytes(
                args.out,
                json.dumps(
                    {"rows": rows, "torch": torch.__version__, "threads": torch.get_num_threads()}, indent=1
                ).encode(),
            )
    except InputError as err:
        print(f"reconstruction: {err}", file=sys.stderr)
        return 2
    return 0


def picture_file(folder: Path, row: dict[str, Any]) -> Path:
    """Where a row's picture is written."""
    name = f"{row['world']}_{row['views_off']:g}_{row['start']}_{row['ablation']}"
    return media.prepare_folder(folder) / f"{re.sub(r'[^-.a-z0-9_ ]+', '_', name)}.png"


def run_one(world: World, args: argparse.Namespace, ablation: str, recorder: Recorder) -> dict[str, Any]:
    """One run of the pipeline and all its figures; seconds leave out what the recorder has from an earlier run."""
    times = args.times
    with torch.no_grad():
        truth = [[world.cell(v, t / (times - 1)) for t in range(times)] for v in range(args.views)]
    frames = torch.stack([torch.stack([image for image, _ in row]) for row in truth])
    depth = torch.stack([torch.stack([d for _, d in row]) for row in truth])
    recorder.start = True
    options = ABLATIONS[ablation](PipelineOptions(seed=0, device="cpu"), recorder)
    options = replace(
        options,
        track_engine=recorder,
        geometry_source=recorder.find_geometry,
        tracks=replace(options.tracks, max_points=args.splats),
    )
    start = perf_counter()
    with rasterizer_time() as (stages, split, fitting):
        result = run_pipeline(FrameGrid.from_clips(frames[:, 0], frames[0]), options, stages)
    seconds = perf_counter() - start
    row: dict[str, Any] = {"ablation": ablation, "splats": len(result.scene.splats)}
    row |= depth_figures(result.geometry, depth[:, 0]) | camera_figures(result.geometry, world.cameras, depth[:, 0])
    row |= {f"views_{k}": v for k, v in track_figures(recorder.views, world, depth, "views").items()}
    row |= {f"times_{k}": v for k, v in track_figures(recorder.times, world, depth, "times").items()}
    row |= picture_figures(result, world, frames)
    fit, drawn = sum(fitting), split.get(FIT, 0.0)
    row |= {
        "fit_rasterizer_s": drawn,
        "fit_other_s": fit - drawn,
        "fit_start_s": result.seconds["deformation"] - fitting[0],
        "rasterizer_s": dict(split),
        "stages": dict(result.seconds),
        "seconds": seconds,
        "peak_memory_mb": peak_memory_mb()[0],
    }
    if args.pictures is not None:
        row["picture"] = compared(result, frames)
    return row


def compared(result: PipelineResult, frames: Tensor) -> Tensor:
    """Truth, completed cell and plain render of some cells, below each other."""
    v, t = result.grid.views - 1, result.grid.times - 1
    columns = []
    with torch.no_grad():
        for cell in ((0, t), (v // 2, t), (v, t // 2), (v, t)):
            columns.append(
                torch.cat([frames[cell], result.grid.frames[cell], render_cell(result.scene, *cell).image.clamp(0, 1)])
            )
    return torch.cat(columns, 1)


@contextmanager
def rasterizer_time() -> Iterator[tuple[Callable[[str], OnStep], dict[str, float], list[float]]]:
    """A stage factory, the seconds that the CPU rasterizer took in every stage, and those of every fit by rendering.

    The fit by rendering counts as a stage of its own in the rasterizer's seconds.
    """
    stage, split, fitting = [""], {}, []

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            start = perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                split[stage[0]] = split.get(stage[0], 0.0) + perf_counter() - start

        return call

    def begin(name: str) -> OnStep:
        stage[0] = name
        return no_progress

    def fitted(*args: Any, **kwargs: Any) -> Any:
        around, start = stage[0], perf_counter()
        stage[0] = FIT
        try:
            return fit(*args, **kwargs)
        finally:
            fitting.append(perf_counter() - start)
            stage[0] = around

    fit = fit_module.fit_rendering
    fit_module.fit_rendering = refit_module.fit_rendering = fitted
    forward, backward = numba_backend.render, numba_backend._Rasterize.backward
    numba_backend.render, numba_backend._Rasterize.backward = timed(forward), staticmethod(timed(backward))
    try:
        yield begin, split, fitting
    finally:
        fit_module.fit_rendering = refit_module.fit_rendering = fit
        numba_backend.render, numba_backend._Rasterize.backward = forward, staticmethod(backward)


COLUMNS = {
    "depth": ("depth_error", "7.4f"),
    "<5%": ("depth_near", "4.2f"),
    "rot": ("rotation_deg", "5.2f"),
    "centre": ("centre_error", "6.3f"),
    "focal": ("focal_error", "+6.3f"),
    "vAJ": ("views_aj", "5.3f"),
    "vAPD": ("views_apd", "5.3f"),
    "vmov": ("views_moving_apd", "5.3f"),
    "vback": ("views_standing_apd", "5.3f"),
    "mpx": ("views_moving_px", "5.2f"),
    "bpx": ("views_standing_px", "5.2f"),
    "tAJ": ("times_aj", "5.3f"),
    "tAPD": ("times_apd", "5.3f"),
    "tmov": ("times_moving_apd", "5.3f"),
    "cells": ("psnr_cells", "5.2f"),
    "splats": ("psnr_splats", "6.2f"),
    "front": ("psnr_front", "5.2f"),
    "back": ("psnr_back", "5.2f"),
    "known": ("psnr_known", "5.2f"),
    "btwV": ("psnr_between_views", "5.2f"),
    "btwT": ("psnr_between_times", "5.2f"),
    "frozen": ("psnr_frozen", "6.2f"),
    "raster": ("fit_rasterizer_s", "6.1f"),
    "other": ("fit_other_s", "6.1f"),
    "all s": ("seconds", "6.1f"),
    "MiB": ("peak_memory_mb", "5.0f"),
}
"""Heads of the table, with the figure and its format; v is through views, t through times, mov what moves,
back what stands."""
_RUN = "{:<12} {:>4} {:<14} {:<17} {:>7}"
HEAD = " ".join(
    [
        _RUN.format("world", "off", "start", "ablation", "splats"),
        *(head.rjust(len(format(0.0, form))) for head, (_, form) in COLUMNS.items()),
    ]
)


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    figures = [format(row[name] or 0.0, form).rjust(len(head)) for head, (name, form) in COLUMNS.items()]
    run = _RUN.format(row["world"], row["views_off"], row["start"], row["ablation"], row["splats"])
    return " ".join([run, *figures])


def cost(row: dict[str, Any]) -> str:
    """Seconds by stage, and how much of each was the rasterizer."""
    drawn = row["rasterizer_s"]
    stages = [
        f"{name:<12} {seconds:6.1f} s, rasterizer {drawn.get(name, 0.0):6.1f} s"
        for name, seconds in row["stages"].items()
    ]
    fit = row["fit_rasterizer_s"] + row["fit_other_s"]
    return "\n".join(
        [
            *stages,
            f"deformation is {row['fit_start_s']:.1f} s for the start from tracks and {fit:.1f} s "
            f"for the fit by rendering, rasterizer {drawn.get(FIT, 0.0):.1f} s",
            f"outside the rasterizer: {100 * row['fit_other_s'] / max(fit, 1e-9):.0f} % of the fit; "
            f"peak {row['peak_memory_mb'] or 0:.0f} MiB; {row['splats']} splats",
        ]
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, help="report as JSON")
    parser.add_argument("--worlds", nargs="+", choices=list(WORLDS), default=list(WORLDS))
    parser.add_argument("--views-off", nargs="+", type=float, default=[0.0, 1.5], metavar="PX")
    parser.add_argument("--ablations", nargs="+", choices=list(ABLATIONS), default=list(ABLATIONS))
    parser.add_argument("--starts", nargs="+", default=["flow"], metavar="START", help=STARTS_HELP)
    parser.add_argument("--size", default="256x144")
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--times", type=int, default=8)
    parser.add_argument("--splats", type=int, default=200_000, help="most splats")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="folder for pictures of every run")
    parser.add_argument("--cost", action="store_true", help="one world at 512 x 288, seconds by stage")
    return parser


if __name__ == "__main__":
    sys.exit(main())
