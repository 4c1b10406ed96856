"""The main job as both commands run it: from a grid of known cells to the files of an output folder."""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from .. import media
from ..cameras import Cameras
from ..grid import FrameGrid
from ..job_memory import JobSize, memory_shortfall
from ..media.files import whole_file
from ..media.films import write_film
from ..media.video import there_and_back_order
from ..metrics import peak_memory_mb
from ..pipeline import PipelineResult, quality_options, run_pipeline
from ..progress import StageClock
from ..scene.formats.scene_file import save_scene
from ..scene.render import bullet_time
from ..viewer import PayloadOptions, viewer_payload
from ..viewer.given_frames import frames_of_grid
from ..viewer.html import write_viewer
from .arguments import parse_device
from .bars import StageBars
from .engines import with_engines
from .versions import versions

log = logging.getLogger(__name__)
CLIP_FPS = 8.0
VIEWER = "viewer.html"
_CLIP_CRF = 8  # these are read again as input, small as they are
_BULLET_FPS = 16.0
_BULLET_FRAMES_A_CELL = 4
_VIDEO_SECONDS = 4.0


def complete(
    grid: FrameGrid, args: argparse.Namespace, bars: StageBars, cameras: Cameras | None = None
) -> PipelineResult:
    """Runs the pipeline with a command's seed, device, geometry, flow and tracks, and with cameras that are known.

    A warning says if it needs more memory than there is.
    """
    if short := memory_shortfall(JobSize.of(grid, args.flow), lower="--size"):
        log.warning("%s", short)
    options = replace(
        quality_options(args.quality), seed=args.seed, device=parse_device(args.device), camera=args.camera
    )
    if args.refit is not None:
        options = replace(options, refit=replace(options.refit, steps=args.refit))
    return run_pipeline(grid, with_engines(options, args, grid.views, cameras), bars)


def write_clips(freeze_time: torch.Tensor, fixed_view: torch.Tensor, out: Path) -> tuple[Path, Path]:
    """Writes the two clips the job starts from."""
    return (
        write_film(freeze_time, out / "freeze_time.mp4", CLIP_FPS, _CLIP_CRF),
        write_film(fixed_view, out / "fixed_view.mp4", CLIP_FPS, _CLIP_CRF),
    )


def write_results(out: Path, result: PipelineResult, bars: StageBars) -> None:
    """Writes wall, bullet time, scene, contact sheet, cells and viewer; the report is the caller's last file."""
    grid = result.grid
    frames = _BULLET_FRAMES_A_CELL * max(grid.views, grid.times)
    bullet = bullet_time(result.scene, frames, on_step=bars("bullet time"))
    order = there_and_back_order(len(bullet), _VIDEO_SECONDS, _BULLET_FPS)
    write_film(bullet, out / "bullet_time.mp4", _BULLET_FPS, order=order)
    del bullet
    write_film(
        media.grid_wall(grid.frames),
        out / "grid.mp4",
        CLIP_FPS,
        order=there_and_back_order(grid.times, _VIDEO_SECONDS, CLIP_FPS),
    )
    with whole_file(out / "scene.safetensors") as part:
        save_scene(result.scene, part)
    media.save_image(media.contact_sheet(grid.frames, grid.known), out / "contact_sheet.png")
    folder = media.prepare_folder(out / "grid")
    on_step = bars("cells")
    for i in range(grid.views * grid.times):
        v, t = divmod(i, grid.times)
        media.save_image(grid.frames[v, t], folder / f"v{v}_t{t}.png")
        on_step(i + 1, grid.views * grid.times)
    options = PayloadOptions(title=out.resolve().name, steps_per_second=CLIP_FPS)
    payload = viewer_payload(result.scene, frames_of_grid(result.steady, result.scene), options, bars("viewer"))
    write_viewer(payload, options.title, out / VIEWER)


def base_report(result: PipelineResult, clock: StageClock, args: argparse.Namespace) -> dict[str, Any]:
    """What every report says: sizes, seconds by stage in the order they ran, memory, versions."""
    grid = result.grid
    seconds: dict[str, float] = {}
    for name, value in clock.seconds.items():
        seconds.update(result.seconds if name == "job" else {name: value})
    memory, source = peak_memory_mb()
    device = parse_device(args.device)
    on_gpu = torch.device(device).type == "cuda"
    return {
        "grid": {
            "views": grid.views,
            "times": grid.times,
            "height": grid.size[0],
            "width": grid.size[1],
            "known_cells": int(grid.known.sum()),
            "known": grid.known.nonzero().tolist(),
            "valid_share": round(float(grid.valid.float().mean()), 4),
        },
        "splats": len(result.scene.splats),
        "seed": args.seed,
        "device": device,
        "quality": args.quality,
        "geometry": args.geometry,
        "flow": args.flow,
        "tracks": args.tracks,
        "camera": args.camera,
        "camera_motion": result.motion.summary(),
        "threads": torch.get_num_threads(),
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "seconds_total": round(sum(clock.seconds.values()), 3),
        "peak_memory_mb": None if memory is None else round(memory, 1),
        "peak_memory_source": source,
        "peak_gpu_memory_mb": round(torch.cuda.max_memory_allocated(device) / 2**20, 1) if on_gpu else None,
        "versions": versions(),
    }


def camera_line(report: dict[str, Any]) -> str:
    """A line on the fixed view's camera for the screen; none where it stands."""
    motion = report["camera_motion"]
    if motion["stands"]:
        return ""
    most = max(motion["shift_px"][t] for t in motion["moving_times"])
    kept = "; its cells have each time's own camera" if report["camera"] == "own" else ""
    return f"the fixed view's camera moved by up to {most:.1f} pixels, which was taken out{kept}\n"


def finish(out: Path, report: dict[str, Any], summary: str, args: argparse.Namespace) -> None:
    """Writes ``report.json``, the last file of a job, and prints the report, or the summary and what to open first."""
    text = json.dumps(report, indent=1, allow_nan=False)
    media.write_bytes(out / "report.json", text.encode())
    if args.json:
        print(text)
    elif not args.quiet:
        print(f"{summary}\n{camera_line(report)}{report['seconds_total']:.1f} s in all; outputs in {out}")
        print(f"open {out / VIEWER} in a browser to play and fly through the scene")
