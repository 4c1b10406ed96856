#!/usr/bin/env python3
"""Scenes from views of the same times, on sample scenes of which everything is known: given views, and views held back.

    python benchmarks/given_views.py SCENE ... [--size WxH] [--rows 0,2,4,6] [--held-out 1,3,5] [--no-cameras]

Every cell of the rows is given, with the true cameras of the rows unless left out. Scored are plain renders of the
scene: in the given cells, where the views were given, and at the true cameras of views held back (with cameras only:
without them nobody knows where these stand). Beside them stands the scene of the first row and column alone.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from time import perf_counter

import torch
from torch import Tensor

from fourreal_core.cameras import Cameras
from fourreal_core.cli.arguments import parse_size
from fourreal_core.errors import InputError
from fourreal_core.flow.clip_flows import ClipFlows
from fourreal_core.geometry.given_cameras import GivenCameras, triangulate
from fourreal_core.grid import FrameGrid
from fourreal_core.metrics import psnr
from fourreal_core.pipeline import quality_options, run_pipeline
from fourreal_core.scene.render import render_camera, render_cell
from fourreal_core.scene.scene4d import Scene4D
from fourreal_core.synthetic.sample_scenes import SAMPLE_SCENES, sample_clips
from fourreal_core.synthetic.scene import SceneGrid


def main() -> int:
    """Runs every scene and prints its figures."""
    args = _parser().parse_args()
    try:
        rows, held = ([int(v) for v in text.split(",") if v] for text in (args.rows, args.held_out))
        for name in args.scenes:
            truth = sample_clips(name, parse_size(args.size), 1 + max(rows + held), args.times)
            for label, grid in _grids(truth, rows).items():
                print(f"{name:16s} {label:12s} {_scored(truth, grid, (rows, held), args)}", flush=True)
    except InputError as err:
        print(f"given_views: {err}", file=sys.stderr)
        return 2
    return 0


def _grids(truth: SceneGrid, rows: list[int]) -> dict[str, FrameGrid]:
    frames = truth.frames[rows]
    known, valid = torch.ones(frames.shape[:2], dtype=torch.bool), torch.ones(frames.shape[2:4], dtype=torch.bool)
    return {"all cells": FrameGrid(frames, known, valid), "two clips": FrameGrid.from_clips(frames[:, 0], frames[0])}


def _scored(truth: SceneGrid, grid: FrameGrid, views: tuple[list[int], list[int]], args: argparse.Namespace) -> str:
    rows, held = views
    cameras = truth.cameras[torch.tensor(rows)]
    options = quality_options(args.quality)
    if not args.no_cameras:
        options = replace(options, geometry_source=GivenCameras(cameras))
    start = perf_counter()
    result = run_pipeline(grid, options)
    seconds = perf_counter() - start
    with torch.no_grad():
        given = [_psnr(render_cell(result.scene, k, t).image, truth.frames[v, t]) for k, v in enumerate(rows)
                 for t in range(grid.times)]  # fmt: skip
        text = f"given views {_mean(given):6.2f} dB"
        if held and not args.no_cameras:
            unit = triangulate(ClipFlows(grid.freeze_time), cameras).state.scale
            new = [_held_back(result.scene, truth, (cameras, unit), v) for v in held]
            text += f"   views held back {_mean([x for figures in new for x in figures]):6.2f} dB"
    return f"{text}   {seconds:6.1f} s"


def _held_back(scene: Scene4D, truth: SceneGrid, given: tuple[Cameras, float], view: int) -> list[float]:
    """PSNR of a view that the scene was not given, at every time; its camera in the scene's world and unit."""
    cameras, unit = given
    pose = truth.cameras.world_to_cam[view] @ torch.linalg.inv(cameras.world_to_cam[len(cameras) // 2])
    pose[:3, 3] /= unit
    camera = Cameras(pose[None].float(), truth.cameras.intrinsics[view : view + 1].float(), truth.cameras.size)
    return [_psnr(render_camera(scene, camera, t).image, truth.frames[view, t]) for t in range(scene.times)]


def _psnr(image: Tensor, frame: Tensor) -> float:
    return psnr(image.clamp(0, 1), frame, torch.ones(frame.shape[:2], dtype=torch.bool))


def _mean(figures: list[float]) -> float:
    return sum(figures) / len(figures)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", nargs="+", choices=SAMPLE_SCENES, metavar="SCENE", help=", ".join(SAMPLE_SCENES))
    parser.add_argument("--size", default="320x180", metavar="WxH", help="size of the frames (default 320x180)")
    parser.add_argument("--times", type=int, default=8, metavar="N", help="times of the grid (default 8)")
    parser.add_argument("--rows", default="0,2,4,6", metavar="V,V", help="views that are given (default 0,2,4,6)")
    parser.add_argument("--held-out", default="1,3,5", metavar="V,V", help="views held back (default 1,3,5)")
    parser.add_argument("--no-cameras", action="store_true", help="let parallax find the cameras")
    parser.add_argument("--quality", default="normal", help="draft, normal (default) or best")
    return parser


if __name__ == "__main__":
    sys.exit(main())
