"""``fourreal export``: a saved scene in the formats that other programs open."""

from __future__ import annotations

import argparse

from ..exports import EXPORTS
from ..scene.formats.registry import check_path, format_named, format_of
from ..scene.formats.scene_format import OPTIONS, ExportOptions, export_scene
from .scenes import add_scene_options, open_scene, parse_times


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    """Declares the command and its options."""
    parser = commands.add_parser(
        "export",
        parents=parents,
        help="write a saved scene for other programs",
        description="Writes a saved scene in the format that the ending of OUT says:",
        epilog="\n".join(
            f"  {form.name:<12}{' '.join(form.endings) or 'a folder':<24}{form.writes}" for form in EXPORTS
        )
        + "\n\nA name without an ending is a folder of .ply files.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_scene_options(parser)
    parser.add_argument(
        "--format", choices=[form.name for form in EXPORTS], help="what to write (default: by the ending of OUT)"
    )
    parser.add_argument(
        "--times",
        metavar="T,T",
        help=f"time steps of {_takers('times')} files in a folder, fractions allowed (default all)",
    )
    parser.add_argument(
        "--time",
        type=float,
        metavar="T",
        help=f"time step of a file of one moment, fractions allowed ({_takers('time')}; default the first)",
    )
    parser.add_argument(
        "--view",
        type=int,
        metavar="N",
        help="take along how view N of the freeze-time clip differs from the others "
        f"({_takers('view')}; default: what new cameras see)",
    )
    parser.add_argument("--fps", type=float, help=f"time steps a second ({_takers('fps')}; default 8)")
    parser.add_argument(
        "--compact",
        action="store_true",
        default=None,
        help=f"leave out by how much each view of the clip differs, and the given frames ({_takers('compact')})",
    )
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        InputError: A scene or options that can't be used, or an output that can't be written.
    """
    from .bars import StageBars
    from .report import tell

    form = format_of(args.out, EXPORTS) if args.format is None else format_named(args.format, EXPORTS)
    check_path(form, args.out)
    scene = open_scene(args)
    given = {name: getattr(args, name) for name in OPTIONS if name != "times"}
    folder = args.scene if args.scene.is_dir() else args.scene.parent
    options = ExportOptions(times=parse_times(args.times, scene.times), run_folder=folder, **given)
    with StageBars(args.quiet) as bars:
        written = export_scene(scene, form, args.out, options, bars(f"write {form.name}"))
    megabytes = sum(path.stat().st_size for path in written) / 2**20
    report = {"command": "export", "format": form.name, "splats": len(scene.splats), "files": [str(p) for p in written]}
    files = "1 file" if len(written) == 1 else f"{len(written)} files"
    tell(report, f"{report['splats']} splats, {files}, {megabytes:.1f} MiB: {args.out}", args)


def _table() -> str:
    return "\n".join(f"  {f.name:<12}{' '.join(f.endings) or '(a folder)':<24}{f.writes}" for f in EXPORTS)


def _takers(option: str) -> str:
    """Which formats take an option."""
    return ", ".join(form.name for form in EXPORTS if option in form.takes)
