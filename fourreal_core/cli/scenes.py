"""What the commands that take a saved scene share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from .arguments import parse_device

if TYPE_CHECKING:
    from ..scene.scene4d import Scene4D


def add_scene_options(parser: argparse.ArgumentParser) -> None:
    """The scene, where the result goes, and the device."""
    parser.add_argument("scene", type=Path, metavar="SCENE", help="a scene.safetensors, or the output folder of a run")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="OUT", help="what to write")
    parser.add_argument("--device", default="auto", help="torch device, for example cpu or cuda:0 (default auto)")


def open_scene(args: argparse.Namespace) -> Scene4D:
    """The scene of a command, on its device.

    Raises:
        InputError: No scene there, or an output that would overwrite it.
    """
    import torch

    from ..scene.formats.scene_file import load_scene
    from ..scene.to_device import scene_to

    device = parse_device(args.device)
    path = args.scene / "scene.safetensors" if args.scene.is_dir() else args.scene
    if path.resolve() == args.out.resolve():
        raise InputError(f"the output {args.out}, which is the scene itself", "another place", "choose another -o")
    return scene_to(load_scene(path), torch.device(device))


def parse_times(text: str | None, count: int) -> list[float] | None:
    """Time steps of a ``--times`` such as ``0,2.5,7``; None when left out.

    Raises:
        InputError: Not numbers, or a time that the scene doesn't have.
    """
    if text is None:
        return None
    try:
        times = [float(word) for word in text.split(",")]
    except ValueError:
        times = []
    if not times or not all(0 <= time <= count - 1 for time in times):
        raise InputError(
            f"the times {text!r}",
            f"numbers from 0 to {count - 1}, since the scene has {count} times",
            "say for example --times 0,1.5,3",
        )
    return times
