#!/usr/bin/env python3
"""Runs the main job on a folder of real, partly known frame grids and scores the cells that were held back.

    python benchmarks/real_grids.py GRIDS -o OUT --track complete|reconstruct [--only NAME ...]

GRIDS/NAME/ holds known cells ``v{view}_t{time}.png|jpg``, ``valid.png`` (black where a caption hides the picture), the
clips ``freeze_time.mp4`` and ``fixed_view.mp4``, and ``grid.json`` with the cells by role: ``known``, ``inputs``,
``targets``, ``held_out``, each a list of ``[view, time]``.

Tracks: ``complete`` is given row 0 and column 0 and scored on ``targets``; ``reconstruct`` is given every known cell
but ``held_out`` and scored on those. Predictions go to OUT/NAME/v{view}_t{time}.png, figures to OUT/report.json. Beside
the completed cells, plain renders of the scene are scored, on the track's cells (``plain``) and on those given
(``known``); ``--method verified`` completes by hand-set rules in place of learned scores.

``--shake``, ``--pan`` and ``--roll`` move the camera of the fixed-view clip (all frames but the first are read anew,
its rim repeated); what is scored stays as it was, so the figures say what a camera that doesn't stand costs.
``--camera still`` shows what it costs when nothing is done about it.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from fourreal_core import media
from fourreal_core.errors import InputError
from fourreal_core.grid import FrameGrid
from fourreal_core.metrics import peak_memory_mb, psnr, ssim
from fourreal_core.proposals.baselines import floors

if TYPE_CHECKING:
    from fourreal_core.pipeline import PipelineOptions, PipelineResult
    from fourreal_core.scene.scene4d import Scene4D

FLOORS = {"freeze": "copy", "flow": "mean of flows"}
"""Methods that only copy or measure 2D flow, by what they are called in proposals.baselines."""
FIGURES = ("psnr", "ssim", "plain_psnr", "known_psnr", "seconds", "processor_seconds")


def main() -> int:
    """Runs every grid, prints the table and writes the report."""
    args = _parser().parse_args()
    try:
        folders = _folders(args.grids, args.only)
        out = media.prepare_folder(args.out)
        rows = {}
        for folder in folders:
            rows[folder.name] = row = _run_one(folder, media.prepare_folder(media.output_path(out, folder.name)), args)
            stages = "  ".join(f"{name} {s:.1f}" for name, s in row["stages"].items())
            print(f"{_line(folder.name, row)}   {_mb(row['peak_memory_mb'])}   {stages}", flush=True)
        keys = [key for key in FIGURES if key in next(iter(rows.values()))]
        mean = {key: sum(r[key] for r in rows.values()) / len(rows) for key in keys}
        print(_line("mean", mean))
        report = {
            "track": args.track,
            "method": args.method,
            "quality": args.quality,
            "clips": args.clips,
            "moved": {"shake_px": args.shake, "pan_px": args.pan, "roll_degrees": args.roll},
            "camera": args.camera,
            "width": args.width,
            "grids": rows,
            "mean": mean,
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
        }
        media.write_bytes(out / "report.json", json.dumps(report, indent=1).encode())
    except InputError as err:
        print(f"real_grids: {err}", file=sys.stderr)
        return 2
    return 0


def _line(name: str, row: dict[str, Any]) -> str:
    plain = ""
    if "plain_psnr" in row:
        plain = f"   plain {row['plain_psnr']:6.2f} dB   known {row['known_psnr']:6.2f} dB"
    seconds = f"{row['seconds']:6.1f} s ({row['processor_seconds']:.1f} of processors)"
    return f"{name:24s} PSNR {row['psnr']:6.2f} dB   SSIM {row['ssim']:.3f}{plain}   {seconds}"


class Moved(NamedTuple):
    """How the camera of the fixed-view clip is moved, from its second frame on.

    Attributes:
        shake_px: Each frame is off by so many pixels, in a direction of its own.
        pan_px: Each frame is off by so many pixels more than the one before, to the side.
        roll_degrees: Each frame is turned by so much, one way or the other.
    """

    shake_px: float = 0.0
    pan_px: float = 0.0
    roll_degrees: float = 0.0

    def apply(self, clip: Tensor, seed: int = 0) -> Tensor:
        """The clip ``(T, H, W, 3)`` with its camera moved; its rim is repeated."""
        from fourreal_core.needed.opencv import cv2

        if self == Moved():
            return clip
        rng, (_, h, w, _) = np.random.default_rng(seed), clip.shape
        frames = [clip[0].numpy()]
        for t in range(1, len(clip)):
            angle, side = rng.uniform(0, 2 * np.pi), rng.choice([-1, 1])
            turned = cv2.getRotationMatrix2D(((w - 1) / 2, (h - 1) / 2), side * self.roll_degrees, 1.0)
            turned[:, 2] += [self.shake_px * np.cos(angle) + self.pan_px * t, self.shake_px * np.sin(angle)]
            read = cv2.warpAffine(
                clip[t].numpy(), turned, (w, h), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
            )
            frames.append(read.clip(0, 1))
        return torch.from_numpy(np.stack(frames))


def load_grid(
    folder: Path, track: str, clips: bool, size: tuple[int, int] | None = None, moved: Moved | None = None
) -> FrameGrid:
    """A folder's grid with the cells that the track may see.

    Args:
        folder: One grid's folder.
        track: ``complete`` or ``reconstruct``.
        clips: Take row 0 and column 0 from the two MP4 clips instead of from the cells' own pictures.
        size: ``(height, width)`` of the cells; as they are if None.
        moved: How the fixed view's camera is moved.
    """
    meta = _meta(folder)
    size = size or (meta["height"], meta["width"])
    valid = media.read_mask(folder / "valid.png", size)
    views, times = (1 + max(cell[axis] for cell in meta["known"]) for axis in (0, 1))
    if clips:
        freeze, fixed = media.read_clip_pair(folder / "freeze_time.mp4", folder / "fixed_view.mp4", size)
    else:
        freeze = torch.stack([read_cell(folder, v, 0, size) for v in range(views)])
        fixed = torch.stack([read_cell(folder, 0, t, size) for t in range(times)])
    fixed = fixed if moved is None else moved.apply(fixed)
    grid = FrameGrid.from_clips(freeze, fixed, valid)
    if track == "reconstruct":
        held = {tuple(cell) for cell in meta["held_out"]}
        more = [tuple(cell) for cell in meta["known"] if tuple(cell) not in held and 0 not in cell]
        grid = grid.with_known({cell: read_cell(folder, *cell, size) for cell in more})
    return grid


def score(folder: Path, frames: Tensor, valid: Tensor, track: str) -> dict[str, Any]:
    """Mean PSNR and SSIM of ``frames (V, T, H, W, 3)`` over the track's cells, and the figures of every cell."""
    cells = {}
    for v, t in _meta(folder)["targets" if track == "complete" else "held_out"]:
        truth = read_cell(folder, v, t, (frames.shape[2], frames.shape[3]))
        cells[f"v{v}_t{t}"] = (psnr(frames[v, t], truth, valid), ssim(frames[v, t], truth, valid))
    means = [sum(figures) / len(cells) for figures in zip(*cells.values(), strict=True)]
    return {"psnr": means[0], "ssim": means[1], "cells": cells}


def _run_one(folder: Path, out: Path, args: argparse.Namespace) -> dict[str, Any]:
    meta = _meta(folder)
    size = None if args.width is None else (round(meta["height"] * args.width / meta["width"]), args.width)
    grid = load_grid(folder, args.track, args.clips, size, Moved(args.shake, args.pan, args.roll))
    start, processor = perf_counter(), process_time()
    result = None if args.method in FLOORS else _pipeline(grid, args)
    seconds, processor = perf_counter() - start, process_time() - processor
    frames = floors(grid.frames)[FLOORS[args.method]] if result is None else result.grid.frames
    frames = grid.filled(frames).frames
    for v in range(grid.views):
        for t in range(grid.times):
            media.save_image(frames[v, t], out / f"v{v}_t{t}.png")
    row = {
        **score(folder, frames, grid.valid, args.track),
        "seconds": seconds,
        "processor_seconds": processor,
        "stages": {} if result is None else dict(result.seconds),
        "peak_memory_mb": peak_memory_mb()[0],
    }
    if result is not None:
        row["camera_motion"] = result.motion.summary()
        plain = _renders(result.scene)
        known = [psnr(plain[v, t], grid.frames[v, t], grid.valid) for v, t in grid.known.nonzero().tolist()]
        row["plain_psnr"] = score(folder, plain, grid.valid, args.track)["psnr"]
        row["known_psnr"] = sum(known) / len(known)
    return row


def _pipeline(grid: FrameGrid, args: argparse.Namespace) -> PipelineResult:
    from fourreal_core.pipeline import run_pipeline

    return run_pipeline(grid, _options(args))


def _renders(scene: Scene4D) -> Tensor:
    """Every cell ``(V, T, H, W, 3)`` as the scene renders it; none is coloured from known cells."""
    from fourreal_core.scene.render import render_cell

    with torch.no_grad():
        cells = [
            [render_cell(scene, v, t).image.clamp(0, 1).cpu() for t in range(scene.times)] for v in range(scene.views)
        ]
    return torch.stack([torch.stack(row) for row in cells])


def _options(args: argparse.Namespace) -> PipelineOptions:
    from fourreal_core.pipeline import quality_options

    options = replace(quality_options(args.quality), seed=args.seed, device=args.device, camera=args.camera)
    if args.refit is not None:
        options = replace(options, refit=replace(options.refit, steps=args.refit))
    if args.fit is not None:
        options = replace(options, fit=replace(options.fit, steps=args.fit))
    if args.method == "verified":
        options = replace(options, proposal=replace(options.proposal, choice="verified"))
    return options


def _folders(root: Path, only: list[str] | None) -> list[Path]:
    found = {p.parent.name: p.parent for p in sorted(root.glob("*/grid.json"))}
    missing = sorted(set(only or []) - set(found))
    if not found or missing:
        raise InputError(
            f"no grid {missing or ''} under {root}",
            "folders with a grid.json",
            f"choose from {sorted(found)}" if found else "check the path",
        )
    return [found[name] for name in only or found]


def _meta(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "grid.json").read_text(encoding="utf-8"))


def read_cell(folder: Path, view: int, time: int, size: tuple[int, int] | None = None) -> Tensor:
    """A cell's own picture ``(H, W, 3)``, brought to a size ``(height, width)`` where one is given."""
    for ext in ("png", "jpg"):
        if (folder / f"v{view}_t{time}.{ext}").exists():
            return media.read_image(folder / f"v{view}_t{time}.{ext}", size)
    raise InputError(
        f"{folder} has no cell v{view}_t{time}",
        "a PNG or JPEG of every cell in grid.json's known",
        "complete the folder",
    )


def _mb(value: float | None) -> str:
    return "peak unknown" if value is None else f"peak {value:5.0f} MiB"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("grids", type=Path, help="folder of grids")
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder for predictions and report.json")
    parser.add_argument("--track", choices=["complete", "reconstruct"], default="complete")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="names of the grids to run; all when left out")
    parser.add_argument("--clips", action="store_true", help="take the inputs from the two MP4 clips")
    parser.add_argument(
        "--method",
        choices=["pipeline", "verified", *FLOORS],
        default="pipeline",
        help="verified chooses by hand-set rules in place of learned scores; freeze repeats column 0 for all times, "
        "flow is the mean of what 2D flow makes of either clip: the floors, see proposals.baselines",
    )
    parser.add_argument("--quality", choices=["draft", "normal", "best"], default="normal")
    parser.add_argument("--fit", type=int, metavar="N", help="renders that fit the known cells, else by --quality")
    parser.add_argument("--refit", type=int, metavar="N", help="renders that fit the completed grid, else by --quality")
    parser.add_argument("--width", type=int, metavar="PX", help="width that the cells are brought to, else their own")
    parser.add_argument("--shake", type=float, default=0.0, metavar="PX", help="shake the fixed view by so many pixels")
    parser.add_argument("--pan", type=float, default=0.0, metavar="PX", help="pan it by so many pixels a frame")
    parser.add_argument("--roll", type=float, default=0.0, metavar="DEG", help="roll it by so many degrees")
    parser.add_argument(
        "--camera", choices=["auto", "still"], default="auto", help="still leaves the camera's motion in (default auto)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    return parser


if __name__ == "__main__":
    sys.exit(main())
