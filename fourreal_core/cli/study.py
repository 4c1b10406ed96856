"""``fourreal study``: a user study of compared methods, made, served and reported."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..errors import InputError
from .arguments import refuse_file_names

DEFAULT_PORT = 8420


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    """Declares the commands and their options."""
    parser = commands.add_parser(
        "study",
        help="a user study of compared methods",
        description="A user study of compared methods: pairs of anonymous videos side by side, seven questions, "
        "left, right or no significant difference.",
    )
    actions = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    make = actions.add_parser("make", parents=parents, help="write a study's videos and pairs")
    make.add_argument(
        "methods",
        nargs="+",
        metavar="METHOD",
        help="folder of a method's grids or videos, one a scene, named alike in all; NAME=FOLDER names the method",
    )
    make.add_argument("-o", "--out", type=Path, required=True, metavar="STUDY", help="the study's folder")
    make.add_argument("--title", default="Which video is better?", help="shown above the pages")
    make.add_argument("--texts", type=Path, metavar="JSON", help="descriptions: an object of scene to text")
    make.add_argument("--evaluators", type=int, default=10, metavar="N", help="evaluators a pair (default 10)")
    make.add_argument("--checks", type=int, default=0, metavar="N", help="attention checks an evaluator (default 0)")
    make.add_argument("--views", type=int, metavar="N", help="views that a video shows in turn (default: all)")
    make.add_argument("--fps", type=float, default=8.0, help="frames a second of videos made from grids (default 8)")
    make.add_argument("--seed", type=int, default=0, help="of sides and orders (default 0)")
    make.set_defaults(execute=execute_make)
    serve = actions.add_parser("serve", parents=parents, help="serve a study to evaluators; Ctrl-C ends it")
    serve.add_argument("study", type=Path, metavar="STUDY", help="the study's folder")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen at (default: this machine only)")
    serve.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help=f"0 for any that is free (default {DEFAULT_PORT})"
    )
    serve.add_argument("--token", help="that visitors must bring; made up where other machines can reach the page")
    serve.set_defaults(execute=execute_serve)
    report = actions.add_parser("report", parents=parents, help="shares, intervals, agreement, scores")
    report.add_argument("study", type=Path, metavar="STUDY", help="the study's folder")
    report.add_argument("-o", "--out", type=Path, metavar="OUT", help="output folder (default: STUDY/report)")
    report.set_defaults(execute=execute_report)
    for name, text in (("export", "print an evaluator's answers"), ("delete", "remove an evaluator and their answers")):
        action = actions.add_parser(name, parents=parents, help=text)
        action.add_argument("study", type=Path, metavar="STUDY", help="the study's folder")
        action.add_argument("key", metavar="KEY", help="the evaluator's key")
        action.set_defaults(execute=execute_export if name == "export" else execute_delete)


def execute_make(args: argparse.Namespace) -> None:
    """Writes a study.

    Raises:
        InputError: Methods that don't belong together, or what can't be read or written.
    """
    from ..study.make_study import MakeOptions, make_study
    from .bars import StageBars
    from .report import tell

    refuse_file_names(args.out)
    methods: dict[str, dict[str, Path]] = {}
    for text in args.methods:
        label, _, rest = text.partition("=")
        named = bool(rest) and not Path(text).exists()
        place = Path(rest if named else text)
        name = label if named else place.resolve().name
        if name in methods:
            raise InputError(f"two methods {name!r}", "methods of different names", "say NAME=FOLDER")
        methods[name] = _scenes(place)
    texts = {} if args.texts is None else _texts(args.texts)
    options = MakeOptions(args.title, texts, args.evaluators, args.seed, args.fps, args.views, args.checks)
    with StageBars(args.quiet) as bars:
        study = make_study(methods, args.out, options, bars("videos"))
    pairs = [pair for pair in study.pairs if not pair.check]
    report = {"command": "study make", "study": str(args.out), "pairs": len(pairs), "methods": study.methods}
    tell(report, f"{len(pairs)} pairs of {len(study.methods)} methods in {args.out}", args)


def execute_serve(args: argparse.Namespace) -> None:
    """Serves a study until Ctrl-C.

    Raises:
        InputError: No study there, or an address that can't be used.
    """
    from ..study.server import StudyServer
    from ..study.study_file import read_study
    from .report import tell

    study = read_study(args.study)
    server = StudyServer(study, args.study, args.host, args.port, args.token)
    report = {"command": "study serve", "address": server.address, "study": str(args.study)}
    tell(report, f"the study is at {server.address} (Ctrl-C ends it)", args)
    sys.stdout.flush()
    try:
        server.serve_forever()
    except KeyboardInterrupt:  # how it is meant to end
        return
    finally:
        server.close()


def execute_report(args: argparse.Namespace) -> None:
    """Writes the report.

    Raises:
        InputError: No study there, or a folder that can't be written.
    """
    from ..media.line_plot import require_matplotlib
    from ..metrics.intervals import require_scipy
    from ..study.report import write_report
    from ..study.study_file import read_study
    from .report import tell

    require_matplotlib()
    require_scipy()
    out = args.out or args.study / "report"
    refuse_file_names(out)
    found = write_report(read_study(args.study), args.study, out)
    lines = [
        f"{found['answers']} answers of {found['evaluators']} evaluators; {found['pairs_complete']} of "
        f"{found['pairs']} pairs are complete"
    ]
    lines += [
        f"{s['question']:<12} {s['first']} over {s['second']}: {s['percent_without_junk']:5.1f} % "
        f"({s['low']:.1f} to {s['high']:.1f}), junk {s['percent_with_junk'][1]:.1f} %"
        for s in found["shares"]
    ]
    tell(found, "\n".join([*lines, f"report in {out / 'report.html'}"]), args)


def execute_export(args: argparse.Namespace) -> None:
    """Prints an evaluator's answers as JSON."""
    import json

    from ..study.store import AnswerStore
    from ..study.study_file import read_study

    store = AnswerStore(read_study(args.study), args.study)
    _check_known(store.knows(args.key), args.key)
    print(json.dumps({"key": args.key, "answers": store.rows(args.key)}, indent=1))


def execute_delete(args: argparse.Namespace) -> None:
    """Removes an evaluator and their answers."""
    from ..study.store import AnswerStore
    from ..study.study_file import read_study
    from .report import tell

    store = AnswerStore(read_study(args.study), args.study)
    _check_known(store.knows(args.key), args.key)
    count = store.delete(args.key)
    tell({"command": "study delete", "key": args.key, "answers": count}, f"{count} answers removed", args)


def _check_known(known: bool, key: str) -> None:
    if not known:
        raise InputError(f"no evaluator {key!r}", "a key of this study", "see evaluators.csv of its report")


def _scenes(place: Path) -> dict[str, Path]:
    """A method's grids or videos by scene; a folder's videos are scenes here, not views."""
    from ..evaluation.grids import find_scenes
    from ..media.view_clips import VIDEO_SUFFIXES

    if place.is_dir():
        videos = sorted(p for p in place.iterdir() if p.is_file() and p.suffix.lower() in VIDEO_SUFFIXES)
        if videos and not (place / "grid").is_dir():
            return {p.stem: p for p in videos}
    return find_scenes(place)


def _texts(path: Path) -> dict[str, str]:
    import json

    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise InputError(
            f"{path} can't be read as JSON ({err})", "an object of scene to text", "check --texts"
        ) from err
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise InputError(f"{path} without texts", "an object of scene to text", "check --texts")
    return found
