"""What a user may type, checked: sizes, devices, and paths that would overwrite each other."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from ..errors import InputError
from ..geometry.camera_modes import CAMERA_MODES
from .engines import add_engine_options

DEFAULT_COUNT = 8
_SMALLEST_SIDE = 32
OUTPUT_NAMES = (
    "freeze_time.mp4",
    "fixed_view.mp4",
    "grid.mp4",
    "bullet_time.mp4",
    "scene.safetensors",
    "viewer.html",
    "contact_sheet.png",
    "report.json",
)


def add_job_options(parser: argparse.ArgumentParser, size_help: str) -> None:
    """The options that ``demo`` and ``run`` share."""
    parser.add_argument("--size", metavar="WxH", help=size_help)
    parser.add_argument(
        "--views",
        type=int,
        metavar="N",
        help="viewpoints of the grid, evenly spread over the clip "
        f"(default {DEFAULT_COUNT}, or all if the clip is shorter)",
    )
    parser.add_argument(
        "--times",
        type=int,
        metavar="N",
        help=f"times of the grid, evenly spread over the clip (default {DEFAULT_COUNT}, or all if the clip is shorter)",
    )
    parser.add_argument(
        "--quality",
        choices=("draft", "normal", "best"),
        default="normal",
        help="how long the job may take: how often cells are rendered to fit the scene (default normal)",
    )
    parser.add_argument(
        "--refit",
        type=int,
        metavar="N",
        help="cells rendered to fit the scene to the completed grid; 0 leaves it as it was fitted to the given cells "
        "(default: by --quality)",
    )
    parser.add_argument(
        "--camera",
        choices=CAMERA_MODES,
        default="auto",
        help="what is done about a fixed view whose camera moves: auto (default) takes the motion out, own gives the "
        "completed cells each time's own camera, still looks for none",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random (default 0)")
    parser.add_argument("--device", default="auto", help="torch device, for example cpu or cuda:0 (default auto)")
    add_engine_options(parser)


def parse_size(text: str) -> tuple[int, int]:
    """``(height, width)`` of a ``--size`` such as ``512x288``.

    Raises:
        InputError: Not two numbers, or a side shorter than 32 pixels.
    """
    match = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", text)
    if not match or min(int(side) for side in match.groups()) < _SMALLEST_SIDE:
        raise InputError(
            f"the size {text!r}",
            f"WIDTHxHEIGHT with sides of at least {_SMALLEST_SIDE} pixels",
            "say for example --size 512x288",
        )
    return int(match[2]), int(match[1])


def parse_device(text: str) -> str:
    """A torch device name; ``auto`` is CUDA where there is one, else the CPU.

    Raises:
        InputError: No such device here.
    """
    import torch

    if text == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=torch.device(text)).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as err:  # each back end refuses in its own way
        raise InputError(
            f"the device {text!r} ({str(err).splitlines()[0].rstrip('.')})",
            "a device of this machine",
            "leave --device away, or see `fourreal doctor`",
        ) from err
    return text


def refuse_file_names(out: Path | str) -> None:
    """Raises InputError for an output folder that is named like a file: nobody means a folder called ``out.mp4``.

    Addresses (``s3://...``) and folders that are there already may be called anything.
    """
    from mimetypes import MimeTypes

    from ..exports import EXPORTS
    from ..media.clip_files import WRITERS
    from ..scene.formats.registry import endings

    ours = {*WRITERS, *endings(EXPORTS), ".ksplat", ".m4v", ".mkv", ".safetensors", ".splat", ".exr", ".parquet"}
    path = Path(out)
    ending = path.suffix.lower()
    named = ending in ours or ending in MimeTypes().types_map[True]  # Python's own table, the same on every machine
    if named and "://" not in str(out) and not path.is_dir():
        raise InputError(
            f"the output {path.name}, which is the name of a file",
            "the name of a folder for all outputs",
            "leave the ending out; `fourreal render` and `fourreal export` write single files",
        )


def refuse_overwriting(inputs: list[Path], out: Path) -> None:
    """Raises InputError when an output would overwrite an input, or be taken for one in the next run."""
    out = out.resolve()
    names = [*OUTPUT_NAMES, *(name.replace(".mp4", ".webp") for name in OUTPUT_NAMES)]  # WebP where there is no PyAV
    targets = {out, out / "grid", *(out / name for name in names)}
    for path in inputs:
        if path.resolve() in targets or path.resolve().parent == out / "grid":
            raise InputError(
                f"the input {path} lies where outputs are written", "an output folder of its own", "choose another -o"
            )
