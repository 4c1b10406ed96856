"""``fourreal doctor``: what this machine offers, and what of it does not work and why."""

from __future__ import annotations

import argparse
import json
from typing import Any


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    """Declares the command."""
    parser = commands.add_parser(
        "doctor",
        parents=parents,
        help="print versions, devices and what works here",
        description="Prints versions, devices, and which rasterizer back ends work and why the others don't.",
    )
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> None:
    """Runs the command."""
    from .versions import versions

    report = {"versions": versions(), "devices": devices(), "rasterizers": rasterizers(), "video": video()}
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
        import av
    except ImportError as err:
        return {"h264": f"PyAV is missing: {err}"}
    encoder = "libx264" in av.codecs_available
    return {"h264": "works" if encoder else "this build of PyAV has no libx264 encoder; install PyAV's own wheel"}
