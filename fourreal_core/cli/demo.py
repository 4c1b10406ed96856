"""``fourreal demo``: the main job on a sample scene that it makes itself, compared with the truth."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import DEFAULT_COUNT, add_job_options, parse_device, parse_size, refuse_file_names

if TYPE_CHECKING:
    from ..grid import FrameGrid
    from ..synthetic.scene import SceneGrid

_SIZE = "256x144"


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    """Declares the command and its options."""
    parser = commands.add_parser(
        "demo",
        parents=parents,
        help="run the main job on a built-in sample scene",
        description="Makes a sample scene with known geometry, cameras and motion, renders "
        "two clips of it, runs the main job on the clips and compares with the truth. Needs "
        "no download and no GPU.",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        default=Path("fourreal-demo"),
        metavar="OUT",
        help="output folder (default fourreal-demo)",
    )
    parser.add_argument(
        "--model",
        metavar="NAME",
        help="complete a seeded scene of 64 x 64 pixels with a 4D model "
        "that comes with this package, such as small, in place of the main job; no 4D scene is made",
    )
    add_job_options(parser, f"size of the frames (default {_SIZE})")
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        InputError: Options or an output folder that can't be used.
    """
    from .. import media
    from ..grid import FrameGrid
    from ..progress import StageClock
    from ..synthetic.sample_scenes import sample_clips
    from .bars import StageBars
    from .job import base_report, complete, finish, write_clips, write_results
    from .small_demo import execute_with_model

    refuse_file_names(args.out)
    if args.model is not None:
        execute_with_model(args)
        return
    size, _ = parse_size(args.size or _SIZE), parse_device(args.device)
    views, times = (DEFAULT_COUNT if n is None else n for n in (args.views, args.times))
    out = media.prepare_folder(args.out)
    clock = StageClock()
    with StageBars(args.quiet) as bars:
        with clock("sample scene"):
            truth = sample_clips("puppet", size, views, times, args.seed, bars("sample scene"))
        with clock("clips"):  # the job sees what a video file keeps of the frames, as it would from a user
            clips = write_clips(truth.frames[:, 0], truth.frames[0], out)
            given = FrameGrid.from_clips(*(clip[:, : size[0], : size[1]] for clip in media.read_clip_pair(*clips)))
        with clock("job"):
            result = complete(given, args, bars)
        with clock("compare"):
            figures = compare(result.grid, truth)
        with clock("write"):
            write_results(out, result, bars)
    report = {"command": "demo", **figures, **base_report(result, clock, args)}
    unknown = len(figures["cells"])
    finish(
        out,
        report,
        f"{unknown} cells made, against the truth: PSNR {report['psnr_mean']:.2f} dB, SSIM "
        f"{report['ssim_mean']:.3f} (a frozen scene: {report['psnr_mean_frozen']:.2f} dB)",
        args,
    )


def compare(grid: FrameGrid, truth: SceneGrid) -> dict[str, Any]:
    """Figures of the made cells against the truth.

    Returns:
        ``psnr_mean`` and ``ssim_mean`` over the cells that were not given; ``psnr_mean_subject`` over the pixels of
        what moves; ``psnr_mean_frozen``, the same as ``psnr_mean`` for repeating the freeze-time frames, which is what
        no motion at all would score; and ``cells``, PSNR and SSIM by name.
    """
    from ..metrics import psnr, ssim

    cells, subject, frozen, frames = {}, [], [], truth.frames
    for v, t in (~grid.known).nonzero().tolist():
        frame, true = grid.frames[v, t], frames[v, t]
        cells[f"v{v}_t{t}"] = (round(psnr(frame, true), 3), round(ssim(frame, true), 4))
        subject.append(psnr(frame, true, truth.masks[v, t]) if bool(truth.masks[v, t].any()) else psnr(frame, true))
        frozen.append(psnr(grid.frames[v, 0], true))
    psnr_mean, ssim_mean = (sum(column) / len(cells) for column in zip(*cells.values(), strict=True))
    return {
        "psnr_mean": psnr_mean,
        "ssim_mean": ssim_mean,
        "psnr_mean_subject": sum(subject) / len(cells),
        "psnr_mean_frozen": sum(frozen) / len(cells),
        "cells": cells,
    }
