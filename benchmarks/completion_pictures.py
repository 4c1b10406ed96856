"""Pictures of completion on scenes of the project's own: the truth, copies, flow, rules set by hand, learned scores.

    python benchmarks/completion_pictures.py -o docs/images [--grids 1 3] [--size 256x144]

``completion_scene_N.webp``: a method a line, the same four cells far from the given ones side by side. Row 0 and
column 0 of 8 x 8 cells of test scene N are given; PSNR over all other cells is printed, and stands in the picture.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import torch
from ablation_pictures import sheet
from torch import Tensor

from fourreal_core.cli.arguments import parse_size
from fourreal_core.grid import FrameGrid
from fourreal_core.media import prepare_folder, write_bytes
from fourreal_core.media.images import to_uint8, webp_bytes
from fourreal_core.metrics import psnr
from fourreal_core.pipeline import quality_options, run_pipeline
from fourreal_core.proposals.baselines import floors
from fourreal_core.synthetic.grids import GridOptions, make_grid


def completions(truth: Tensor) -> dict[str, Tensor]:
    """Grids ``(V, T, H, W, 3)`` by the method that completed them, from the truth's row 0 and column 0."""
    given = FrameGrid.from_clips(truth[:, 0], truth[0])
    options, simple = quality_options("normal"), floors(truth)
    verified = replace(options, proposal=replace(options.proposal, choice="verified"))
    made = {
        "frozen scene": simple["copy"],
        "mean of 2D flows": simple["mean of flows"],
        "rules set by hand": run_pipeline(given, verified).grid.frames,
        "learned scores": run_pipeline(given, options).grid.frames,
    }
    return {name: given.filled(frames).frames for name, frames in made.items()}


def main() -> int:
    """Writes a picture of each scene and prints its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--grids", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--size", default="256x144")
    args = parser.parse_args()
    out, size = prepare_folder(args.out), parse_size(args.size)
    for index in args.grids:
        scene = make_grid("test", index, GridOptions(size=size))
        lines = {"truth": scene.frames}
        for name, frames in completions(scene.frames).items():
            cells = [psnr(frames[v, t], scene.frames[v, t]) for v in range(1, 8) for t in range(1, 8)]
            figure = sum(cells) / len(cells)
            lines[f"{name} {figure:.2f} dB"] = frames
            print(f"scene {index}, {scene.name}: {name} {figure:.2f} dB", flush=True)
        write_bytes(out / f"completion_scene_{index}.webp", webp_bytes(to_uint8(sheet(lines))))
    return 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main())
