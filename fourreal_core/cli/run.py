"""``fourreal run``: the main job on the user's clips, or on views of the same times."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from .arguments import DEFAULT_COUNT, add_job_options, parse_device, parse_size, refuse_file_names, refuse_overwriting

if TYPE_CHECKING:
    from torch import Tensor

    from ..grid import FrameGrid
    from .views import GivenViews

INPUTS = ("freeze_time", "fixed_view", "views_from", "cameras", "mask", "grid")
"""Options that name what is read."""


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    """Declares the command and its options."""
    parser = commands.add_parser(
        "run",
        parents=parents,
        help="complete the grid of two clips and make a 4D scene",
        description="Completes the frame grid of two clips, or of several views of the same times, and makes a 4D "
        "scene of splats. A clip is a video file, an animated WebP or GIF, or a folder of images.",
    )
    parser.add_argument("--freeze-time", type=Path, metavar="CLIP", help="the camera moves around a stopped scene")
    parser.add_argument(
        "--fixed-view", type=Path, metavar="CLIP", help="the camera stands where the other clip starts, and time runs"
    )
    parser.add_argument(
        "--views-from",
        type=Path,
        metavar="DIR",
        help="in place of the two clips: one clip a view, all of the same times and of cameras that stand, in natural "
        "order; or pictures named v{view}_t{time}",
    )
    parser.add_argument(
        "--cameras",
        type=Path,
        metavar="PATH",
        help="cameras of the views: a transforms.json (nerfstudio, Blender), or a folder of COLMAP's text model "
        "(default: found by parallax)",
    )
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="OUT", help="output folder")
    add_job_options(parser, "size of the frames (default: the freeze-time clip's)")
    parser.add_argument(
        "--fit",
        choices=("crop", "pad", "stretch"),
        default="crop",
        help="what to do with a clip of another shape than the frames: crop keeps its centre (default), pad all of it "
        "between black bars that are not looked at, stretch distorts it",
    )
    parser.add_argument(
        "--strict", action="store_true", help="refuse a clip that is damaged or ends early, instead of a warning"
    )
    parser.add_argument("--mask", type=Path, metavar="PNG", help="picture that is black where pixels don't count")
    parser.add_argument("--grid", type=Path, metavar="DIR", help="more known cells, named v{view}_t{time}.png or .jpg")
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        InputError: Clips, mask, cells or folder that can't be used.
    """
    from .. import media
    from ..progress import StageClock
    from .bars import StageBars
    from .job import base_report, complete, finish, write_clips, write_results

    size = None if args.size is None else parse_size(args.size)
    parse_device(args.device)
    check_inputs(args)
    refuse_file_names(args.out)
    refuse_overwriting([path for name in INPUTS if (path := getattr(args, name))], args.out)
    clock = StageClock()
    with StageBars(args.quiet) as bars:
        on_step = bars("read clips")
        with clock("read clips"):
            given, views = read_given(args, size)
            on_step(1, 1)
        out = media.prepare_folder(args.out)
        with clock("job"):
            result = complete(given, args, bars, None if views is None else views.cameras)
        with clock("write"):
            write_clips(given.freeze_time, given.fixed_view, out)
            write_results(out, result, bars)
    inputs = {name: str(getattr(args, name)) for name in INPUTS if getattr(args, name)}
    report = {"command": "run", "inputs": inputs, **base_report(result, clock, args)}
    made = given.views * given.times - int(given.known.sum())
    summary = f"{made} cells made from {int(given.known.sum())} given ones, {report['splats']} splats"
    if views is not None:
        order = views.order
        report["views"] = {"rows": list(order.names), "central": order.central, "by_cameras": order.by_cameras}
        summary += f"\n{order}"
    finish(out, report, summary, args)


def check_inputs(args: argparse.Namespace) -> None:
    """Raises InputError unless two clips are named, or a folder of views."""
    clips = [name for name in ("freeze_time", "fixed_view") if getattr(args, name)]
    if args.views_from and clips:
        raise InputError("--views-from beside a clip", "one of the two ways", "leave one of them away")
    if not args.views_from and len(clips) < 2:
        missing = "--fixed-view" if "freeze_time" in clips else "--freeze-time"
        raise InputError(f"no {missing}", "both clips, or --views-from", "name it")
    if args.cameras and not args.views_from:
        raise InputError("--cameras without --views-from", "cameras of views", "leave it away: parallax finds them")


def read_given(args: argparse.Namespace, size: tuple[int, int] | None) -> tuple[FrameGrid, GivenViews | None]:
    """The grid with everything that the user gave: two clips or views, a mask, further cells; and the views."""
    from .. import media
    from ..grid import FrameGrid
    from .views import read_views

    if args.views_from:
        views = read_views(args, size)
        return _with_more(views.grid, args), views
    clips = media.read_pair(
        *(args.freeze_time, args.fixed_view, size, args.views, args.times),
        at_most=DEFAULT_COUNT,
        fit=args.fit,
        strict=args.strict,
    )
    height, width = clips.inside.shape
    valid = clips.inside
    if args.mask is not None:
        valid = valid & media.read_mask(args.mask, (height, width), args.fit, clips.shown)
    return _with_more(FrameGrid.from_clips(clips.freeze_time, clips.fixed_view, valid), args, clips.shown), None


def _with_more(grid: FrameGrid, args: argparse.Namespace, shown: tuple[int, int] | None = None) -> FrameGrid:
    return grid if args.grid is None else grid.with_known(read_cells(args.grid, grid.size, args.fit, shown))


def read_cells(
    folder: Path, size: tuple[int, int], fit: str = "crop", shown: tuple[int, int] | None = None
) -> dict[tuple[int, int], Tensor]:
    """Cells ``(view, time)`` of a folder, ``(H, W, 3)`` each, brought to ``size`` (height, width).

    Args:
        folder: Where the pictures are.
        size: Of the frames.
        fit: How the clips came into the frames; cells of the clip's own shape go the same way.
        shown: ``(height, width)`` of the freeze-time clip; the frames' when None.

    Raises:
        InputError: No such folder, no cell in it, two files for one cell, or another aspect ratio.
    """
    from .. import media
    from ..media.cell_files import find_cells
    from ..media.framing import same_shape

    files = find_cells(folder)
    if not files:
        raise InputError(f"no cells in {folder}", "files named v{view}_t{time}.png or .jpg", "check --grid")
    cells = {}
    for cell, path in files.items():
        h, w = media.read_image(path).shape[:2]
        if not any(same_shape((h, w), shape) for shape in (size, shown or size)):
            raise InputError(
                f"the cell {path} of {w} x {h} pixels", f"the clips' aspect ratio, {size[1]} x {size[0]}", "crop it"
            )
        cells[cell] = media.read_clip(path, size, fit=fit)[0]
    return cells
