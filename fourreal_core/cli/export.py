"""``fourreal export``: a saved scene in the formats that other programs open."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from .scenes import add_scene_options, open_scene, parse_times

if TYPE_CHECKING:
    from ..progress import OnStep
    from ..scene.scene4d import Scene4D

FORMATS = ("html", "ply", "4dgs", "cameras")
_ENDINGS = {".html": "html", ".htm": "html", ".ply": "ply", ".4dgs": "4dgs", ".json": "cameras"}


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    """Declares the command and its options."""
    parser = commands.add_parser(
        "export",
        parents=parents,
        help="write a saved scene for other programs",
        description="Writes a saved scene as .html (one file that plays it in any browser), as .ply "
        "(one file a time step in the layout of 3D "
        "Gaussian Splatting), as .4dgs (one file that moves; needs the package fourdgs), or "
        "its cameras as JSON.",
    )
    add_scene_options(parser)
    parser.add_argument(
        "--format",
        choices=FORMATS,
        help="what to write (default: by the ending of OUT, a folder of .ply where it has none)",
    )
    parser.add_argument(
        "--times",
        metavar="T,T",
        help="time steps of the .ply files, fractions allowed (default all; the first where OUT is one .ply file)",
    )
    parser.add_argument(
        "--view",
        type=int,
        metavar="N",
        help="take along how view N of the freeze-time clip differs "
        "from the others (.ply only; default: what new cameras see)",
    )
    parser.add_argument("--fps", type=float, default=8.0, help="time steps a second of an .html or a .4dgs (default 8)")
    parser.add_argument(
        "--compact",
        action="store_true",
        help="leave out by how much each view of the clip differs, and the given frames (.html only)",
    )
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        InputError: A scene or options that can't be used, or an output that can't be written.
    """
    from .bars import StageBars
    from .report import tell

    kind = args.format or _ENDINGS.get(args.out.suffix.lower(), "ply")
    if kind != "ply" and (args.times is not None or args.view is not None):
        raise InputError(f"--times or --view for {kind}", "them for .ply only", "leave them out")
    if kind != "html" and args.compact:
        raise InputError(f"--compact for {kind}", "it for .html only", "leave it out")
    scene = open_scene(args)
    with StageBars(args.quiet) as bars:
        on_step = bars(f"write {kind}")
        written = {"html": _html, "ply": _ply, "4dgs": _fourdgs, "cameras": _cameras}[kind](scene, args, on_step)
    megabytes = sum(path.stat().st_size for path in written) / 2**20
    report = {"command": "export", "format": kind, "splats": len(scene.splats), "files": [str(p) for p in written]}
    files = "1 file" if len(written) == 1 else f"{len(written)} files"
    tell(report, f"{report['splats']} splats, {files}, {megabytes:.1f} MiB: {args.out}", args)


def _html(scene: Scene4D, args: argparse.Namespace, on_step: OnStep) -> list[Path]:
    from ..viewer import PayloadOptions, viewer_payload
    from ..viewer.given_frames import frames_of_run
    from ..viewer.html import write_viewer

    _beside(args.out)
    folder = args.scene if args.scene.is_dir() else args.scene.parent
    options = PayloadOptions(title=folder.resolve().name, steps_per_second=args.fps, differences=not args.compact)
    frames = [] if args.compact else frames_of_run(folder, scene)
    return [write_viewer(viewer_payload(scene, frames, options, on_step), options.title, args.out)]


def _ply(scene: Scene4D, args: argparse.Namespace, on_step: OnStep) -> list[Path]:
    from ..scene.formats.ply import save_ply, save_ply_sequence, splats_at

    times = parse_times(args.times, scene.times)
    if args.out.suffix.lower() != ".ply":
        return save_ply_sequence(scene, args.out, times, args.view, on_step)
    times = times or [0.0]
    if len(times) > 1:
        raise InputError(f"{len(times)} times for one file", "one", "name a folder with -o, or one time")
    _beside(args.out)
    save_ply(splats_at(scene, times[0], args.view), args.out)
    on_step(1, 1)
    return [args.out]


def _fourdgs(scene: Scene4D, args: argparse.Namespace, on_step: OnStep) -> list[Path]:
    from ..scene.formats.fourdgs import save_fourdgs

    _beside(args.out)
    save_fourdgs(scene, args.out, args.fps, on_step)
    return [args.out]


def _cameras(scene: Scene4D, args: argparse.Namespace, on_step: OnStep) -> list[Path]:
    from ..media import write_bytes
    from ..scene.camera_paths import freeze_time_path, path_to_json

    _beside(args.out)
    path = freeze_time_path(scene, 0.0, scene.views)
    on_step(1, 1)
    return [write_bytes(args.out, path_to_json(path).encode())]


def _beside(path: Path) -> None:
    """Makes the folder of an output file."""
    from ..media import prepare_folder

    prepare_folder(path.parent)
