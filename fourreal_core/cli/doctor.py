"""``fourreal doctor``: what this machine offers, and what of it does not work and why."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
from typing import Any

from ..errors import InputError

_NEEDED = {"opencv": "OpenCV", "pyav": "PyAV", "pictures": "imageio"}
_LARGEST = 3840
_SINGLE_PURPOSES = {
    "fourdgs": ("fourdgs", "exports as .4dgs and .glb"),
    "pxr": ("usd-core", "exports for OpenUSD"),
    "gaussforge": ("gaussforge", "exports as .spz and .sog"),
    "matplotlib": ("matplotlib", "the plot of 'Sync Strength'"),
    "kornia": ("kornia", "training on pseudo-4D grids"),
    "accelerate": ("accelerate", "training"),
    "webdataset": ("webdataset", "training on shards"),
}
"""By the module that is imported: what pip calls it, and what it is for."""


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    """Declares the command."""
    parser = commands.add_parser(
        "doctor",
        parents=parents,
        help="print versions, devices and what works here",
        description="Prints versions, devices, what runs fast and what slowly, and which packages work and why the "
        "others don't.",
    )
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> None:
    """Runs the command."""
    from .versions import versions

    report = {
        "versions": versions(),
        "devices": devices(),
        "speed": speed(),
        "memory": memory(),
        "rasterizers": rasterizers(),
        "video": video(),
        "packages": packages(),
    }
    if args.json:
        print(json.dumps(report, indent=1))
        return
    for title, entries in report.items():
        print(title)
        for name, value in entries.items():
            print(f"  {name:<24} {value}")


def devices() -> dict[str, str]:
    """Torch's devices by name, with what they are."""
    import torch

    found = {"cpu": f"{torch.get_num_threads()} threads"}
    for i in range(torch.cuda.device_count()):
        props = torch.cuda.get_device_properties(i)
        found[f"cuda:{i}"] = f"{props.name}, {props.total_memory / 2**30:.1f} GiB"
    if torch.backends.mps.is_available():
        found["mps"] = "Apple GPU"
    return found


def speed() -> dict[str, str]:
    """Which of the fast ways run here, and why the others don't."""
    import torch

    from ..compiled import unavailable, unkept
    from ..rasterizer import available_backends

    reason, states = unavailable(), available_backends()
    if reason is not None:
        cpu = f"slow: {reason}; plain NumPy and torch do its work"
    elif (folder := unkept()) is not None:
        cpu = f"fast, but compiled anew at every start: {folder}; set NUMBA_CACHE_DIR to a folder that can be written"
    else:
        cpu = "fast: compiled by numba, kept on disk"
    gpu = "no CUDA device" if not torch.cuda.is_available() else f"slow: {states['gsplat']}; torch renders the splats"
    return {"cpu kernels": cpu, "gpu splats": "fast: gsplat" if states.get("gsplat") == "ok" else gpu}


def memory() -> dict[str, str]:
    """What is free, and how large the frames of 8 x 8 cells may be so that the main job needs no more."""
    from ..job_memory import JobSize
    from ..metrics import free_memory_mb

    free, usual = free_memory_mb(), JobSize(8, 8, 288, 512)
    needs = f"{usual.working_mb / 1024:.1f} GB"
    if free is None:
        return {"free": "not told by this system", "8 x 8 of 512 x 288": needs}
    most = JobSize(8, 8, _LARGEST * 9 // 16, _LARGEST).fitting(free)
    fits = "none" if most is None else f"{most.width} x {most.height} pixels"
    return {"free": f"{free / 1024:.1f} GB", "8 x 8 of 512 x 288": needs, "largest 8 x 8 of 16:9": fits}


def packages() -> dict[str, str]:
    """The packages that a job can't do without, each loaded, and whether those of single purposes are there."""
    found = {}
    for module, name in _NEEDED.items():
        try:
            importlib.import_module(f"..needed.{module}", __package__)
            found[name] = "works"
        except Exception as err:
            found[name] = str(err)
    for module, (name, purpose) in _SINGLE_PURPOSES.items():
        there = importlib.util.find_spec(module) is not None
        found[name] = "installed" if there else f"not installed; needed for {purpose}"
    return found


def rasterizers() -> dict[str, str]:
    """The rasterizer's back ends with "works" or why they don't, each tried on a picture of one splat."""
    import torch

    from ..rasterizer import RasterOptions, available_backends, rasterize

    found: dict[str, str] = {}
    for name, state in available_backends().items():
        found[name] = "works" if state == "ok" else state
        if state != "ok":
            continue
        device = "cuda" if name == "gsplat" else "cpu"
        try:
            drawn: Any = rasterize(
                torch.tensor([[0.0, 0.0, 1.0]], device=device),
                torch.tensor([0.1], device=device),
                torch.tensor([0.9], device=device),
                torch.ones(1, 3, device=device),
                torch.tensor([[16.0, 0, 8], [0, 16, 8], [0, 0, 1]], device=device),
                (16, 16),
                options=RasterOptions(backend=name),
            )
            if not 0.5 < float(drawn.image.max()) <= 1.0:
                found[name] = f"draws a white splat as {float(drawn.image.max()):.3f}"
        except Exception as err:  # whatever a back end fails with here is the answer to the question
            found[name] = f"fails: {type(err).__name__}: {err}"
    return found


def video() -> dict[str, str]:
    """Whether H.264 can be written and read."""
    try:
        from ..needed.pyav import av
    except InputError as err:
        return {"h264": str(err)}
    encoder = "libx264" in av.codecs_available
    return {"h264": "works" if encoder else "this build of PyAV has no libx264 encoder; install PyAV's own wheel"}
