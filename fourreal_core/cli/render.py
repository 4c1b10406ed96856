"""``fourreal render``: a video of a saved scene along a camera path."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from .arguments import parse_size
from .scenes import add_scene_options, open_scene

if TYPE_CHECKING:
    from ..scene.camera_paths import CameraPath
    from ..scene.scene4d import Scene4D

MODES = ("bullet-time", "freeze-time", "fixed-view", "orbit", "path")
_MOST_FRAMES = 100_000


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    """Declares the command and its options."""
    parser = commands.add_parser(
        "render",
        parents=parents,
        help="make a video of a saved scene",
        description="Renders a saved scene along a camera path, to an .mp4 (H.264), .webm (VP9) or .webp (animated), "
        "or, where OUT has no ending, to a folder of PNG frames.",
    )
    add_scene_options(parser)
    parser.add_argument(
        "--mode",
        choices=MODES,
        default=MODES[0],
        help="bullet-time: camera and time move together "
        "(default); freeze-time: the camera moves along its path; fixed-view: time runs; orbit: the "
        "central camera sways; path: the cameras of --path",
    )
    parser.add_argument(
        "--path",
        type=Path,
        metavar="JSON",
        help="cameras and times of --mode path, as `fourreal export --format cameras` writes them",
    )
    parser.add_argument(
        "--time", type=float, default=0.0, help="time step of freeze-time and orbit, fractions allowed (default 0)"
    )
    parser.add_argument("--view", type=float, default=0.0, help="view of fixed-view, fractions allowed (default 0)")
    parser.add_argument("--degrees", type=float, default=10.0, help="largest turn of an orbit to a side (default 10)")
    parser.add_argument(
        "--frames", type=int, default=48, metavar="N", help="frames to render (default 48; a path has its own number)"
    )
    parser.add_argument("--fps", type=float, default=16.0, help="frames a second of a file (default 16)")
    parser.add_argument("--size", metavar="WxH", help="size of the frames (default: the scene's)")
    parser.add_argument(
        "--alpha", action="store_true", help="leave the background out (folders of PNG frames and .webp only)"
    )
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        InputError: A scene, a path or options that can't be used, or an output that can't be written.
    """
    from ..media import prepare_folder
    from ..media.clip_files import WRITERS, check_clip_path, write_clip
    from ..scene.render import render_along
    from .bars import StageBars
    from .report import tell

    size = None if args.size is None else parse_size(args.size)
    _check(args)
    check_clip_path(args.out, args.alpha)
    scene = open_scene(args)
    path = camera_path(scene, args)
    if size is not None:
        path = path.scaled(size)
    prepare_folder(args.out.parent if args.out.suffix.lower() in WRITERS else args.out)  # before minutes of rendering
    with StageBars(args.quiet) as bars:
        frames = render_along(scene, path, on_step=bars("render"), alpha=args.alpha)
        written = write_clip(frames, args.out, args.fps, bars("frames"))
    height, width = frames.shape[1:3]
    tell(
        {
            "command": "render",
            "mode": args.mode,
            "frames": len(frames),
            "width": width,
            "height": height,
            "files": [str(p) for p in written],
        },
        f"{len(frames)} frames of {width} x {height} in {args.out}",
        args,
    )


def camera_path(scene: Scene4D, args: argparse.Namespace) -> CameraPath:
    """The path that the options ask for.

    Raises:
        InputError: A time or view that the scene doesn't have, or a file that is no camera path.
    """
    from ..scene import camera_paths

    if args.mode == "path":
        return camera_paths.path_from_json(_text(args.path), scene)
    return {
        "bullet-time": lambda: camera_paths.bullet_time_path(scene, args.frames),
        "freeze-time": lambda: camera_paths.freeze_time_path(scene, args.time, args.frames),
        "fixed-view": lambda: camera_paths.fixed_view_path(scene, args.view, args.frames),
        "orbit": lambda: camera_paths.orbit_path(scene, args.time, args.frames, args.degrees),
    }[args.mode]()


def _check(args: argparse.Namespace) -> None:
    if (args.mode == "path") != (args.path is not None):
        raise InputError(
            f"--mode {args.mode} {'without' if args.path is None else 'with'} --path",
            "--path with --mode path and only there",
            "add it or leave it out",
        )
    if not 1 <= args.frames <= _MOST_FRAMES:
        raise InputError(f"{args.frames} frames", f"1 to {_MOST_FRAMES}", "say for example --frames 48")
    if not 0.1 <= args.fps <= 1000:
        raise InputError(f"{args.fps:g} frames a second", "0.1 to 1000", "say for example --fps 16")
    if not 0 <= args.degrees <= 90:
        raise InputError(f"an orbit of {args.degrees:g} degrees", "0 to 90", "say for example --degrees 10")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise InputError(f"{path} can't be read ({err})", "a camera path as JSON", "check --path") from err
