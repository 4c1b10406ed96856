"""``fourreal evaluate``: figures of completed grids, alone, against the truth, or against each other."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from .spreading import add_spread_options, spread_options

if TYPE_CHECKING:
    from ..evaluation.figures import Figure, SceneFigures, WholeFigure
    from ..evaluation.grids import EvaluatedGrid
    from ..evaluation.scenes import EvaluatedScene, ScenesOptions
    from .bars import StageBars

FIGURES_FILE, REPORT_FILE = "figures.json", "report.html"


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    """Declares the command and its options."""
    parser = commands.add_parser(
        "evaluate",
        parents=parents,
        help="figures of completed grids, and a report",
        description="Figures of completed grids: how consistent they are in time and across views, how near the truth, "
        "and how compared methods differ. A GRID is the output folder of a run, a folder of cells "
        "v{view}_t{time}.png, a folder or a text file of videos, one a view, a wall video, or a folder of such "
        "grids, one a scene. NAME=GRID names its method.",
    )
    parser.add_argument("grids", nargs="+", metavar="GRID", help="grids of the method that is judged")
    parser.add_argument(
        "--against",
        nargs="+",
        action="append",
        default=[],
        metavar="GRID",
        help="grids of another method, of the same scenes; may be repeated, once a method",
    )
    parser.add_argument("--truth", type=Path, metavar="GRID", help="the true cells, or a folder of them by scene")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="OUT", help="output folder")
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="MODEL",
        help="a network that takes part, from this disk; may be repeated: dust3r:CHECKPOINT (Dust3R-confidence), "
        "mast3r:, vggt:, da3:, stlpips, lpips:TRUNK, clip:FOLDER, dino:FOLDER, fvd:CHECKPOINT, video:FOLDER, vbench, "
        "vbench:FOLDER",
    )
    parser.add_argument("--reach", type=int, metavar="N", help="pair views at most so far apart (default: all)")
    parser.add_argument(
        "--flow", default="dis", metavar="ENGINE", help="what measures optical flow: dis (default), raft"
    )
    parser.add_argument(
        "--flow-width", type=int, metavar="PX", help="measure flow in cells at most so wide, which is faster"
    )
    parser.add_argument("--views", type=int, metavar="N", help="views of wall videos (default: by their gaps)")
    parser.add_argument("--times", type=int, metavar="N", help="times of videos (default: all frames)")
    parser.add_argument("--seed", type=int, default=0, help="of the intervals (default 0)")
    parser.add_argument("--device", default="auto", help="torch device of the networks (default auto)")
    add_spread_options(parser, "here", 1)
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        InputError: Grids that can't be read or don't belong together, or a network that can't be had.
    """
    import json

    from .. import media
    from ..evaluation.comparison import as_json
    from ..evaluation.grids import TRUTH
    from ..evaluation.report import report_page
    from ..evaluation.scenes import ScenesOptions, evaluator_for
    from ..evaluation.video_distance import Rows
    from ..media.line_plot import require_matplotlib
    from ..metrics.intervals import require_scipy
    from ..needed import opencv  # noqa: F401  what is missing is said before anything long begins
    from .arguments import parse_device, refuse_file_names
    from .bars import StageBars
    from .report import tell
    from .versions import versions

    refuse_file_names(args.out)
    require_matplotlib()
    require_scipy()
    device = parse_device(args.device)
    methods = _methods(args)
    truths = _truths(args.truth, methods)
    out = media.prepare_folder(args.out)
    models = tuple(_absolute(spec) for spec in args.model)
    options = ScenesOptions(models, device, args.reach, args.flow, args.flow_width, args.views, args.times)
    evaluator = evaluator_for(options)

    def read(method: str, scene: str) -> EvaluatedGrid:
        return options.read(scene, truths[scene] if method == TRUTH else methods[method][scene])

    rows = Rows(evaluator.models.videos, [TRUTH, *methods])
    with StageBars(args.quiet) as bars:
        scenes = _evaluated(options, methods, truths, args, bars)
        for scene in scenes:
            rows.add(scene.features)
        found = {name: [scene.figures[name] for scene in scenes] for name in methods}
        figures = evaluator.figures()
        together = rows.distances(TRUTH)
        extra = {
            "command": "evaluate",
            "models": args.model,
            "flow": args.flow,
            "flow_width": args.flow_width,
            "seed": args.seed,
            "sources": {
                name: {scene: str(place) for scene, place in scenes.items()} for name, scenes in methods.items()
            },
            "versions": versions(),
        }
        report = as_json(found, figures, extra, args.seed, together)
        page = report_page(found, figures, read, bool(truths), ", ".join(methods), args.seed, together)
        media.write_bytes(out / REPORT_FILE, page.encode())
        media.write_bytes(out / FIGURES_FILE, json.dumps(report, indent=1, allow_nan=False).encode())
    tell(report, f"{table(found, figures, args.seed, together)}\nreport in {out / REPORT_FILE}", args)


def _evaluated(
    options: ScenesOptions,
    methods: dict[str, dict[str, Path]],
    truths: dict[str, Path],
    args: argparse.Namespace,
    bars: StageBars,
) -> list[EvaluatedScene]:
    """Every scene, in order; spread where the arguments say so."""
    from contextlib import closing
    from functools import partial

    from ..evaluation.scenes import SceneGrids, evaluate_scene
    from ..spread import Needs, spread_work
    from . import interrupts

    jobs = [  # a worker elsewhere has another working folder
        SceneGrids(
            scene,
            {name: places[scene].resolve() for name, places in methods.items()},
            truths[scene].resolve() if truths else None,
        )
        for scene in next(iter(methods.values()))
    ]
    how = spread_options(args)
    if how.engine == "here":
        return [evaluate_scene(options, job, bars(job.scene[:18])) for job in jobs]
    found: dict[str, EvaluatedScene] = {}
    on_step, needs = bars("scenes"), Needs(gpus=float(options.device.startswith("cuda")))
    work, tick = partial(evaluate_scene, options), lambda _: interrupts.check()
    with closing(spread_work(work, jobs, how, lambda job: needs, tick)) as outcomes:
        for outcome in outcomes:
            if outcome.failure is not None:
                raise outcome.failure.as_exception()
            assert outcome.value is not None
            found[outcome.item.scene] = outcome.value
            on_step(len(found), len(jobs))
    return [found[job.scene] for job in jobs]


def _absolute(spec: str) -> str:
    """A network's spec with the whole path of its file, as a worker elsewhere needs it."""
    name, colon, place = spec.partition(":")
    return f"{name}:{Path(place).resolve()}" if colon and place and Path(place).exists() else spec


def table(
    found: dict[str, list[SceneFigures]],
    figures: dict[str, Figure],
    seed: int = 0,
    together: Sequence[WholeFigure] = (),
) -> str:
    """Means and intervals of every method, and figures of all scenes together, as text."""
    from ..evaluation.comparison import mean_of, scene_values

    lines = [f"{'':47}" + "".join(f"{name:>26}" for name in found)]
    for figure in figures.values():
        cells = []
        for scenes in found.values():
            values = list(scene_values(scenes, figure.name).values())
            if not values:
                cells.append(f"{'-':>26}")
                continue
            mean, form = mean_of(values, seed), f".{figure.digits}f"
            spread = f" ({mean.low:{form}} to {mean.high:{form}})" if mean.scenes > 1 else ""
            cells.append(f"{mean.value:{form}}{spread}".rjust(26))
        if any(cell.strip() != "-" for cell in cells):
            lines.append(_row(figure, cells))
    for whole in together:
        form = f".{whole.figure.digits}f"
        lines.append(_row(whole.figure, [f"{whole.values[name]:{form}}".rjust(26) for name in found]))
    return "\n".join(lines)


def _row(figure: Figure, cells: list[str]) -> str:
    way = {"higher": "up", "lower": "down", "one": "to 1"}[figure.better]
    label = figure.label + (f", {figure.unit}" if figure.unit else "")
    return f"{label:<42}{way:<5}" + "".join(cells)


def _methods(args: argparse.Namespace) -> dict[str, dict[str, Path]]:
    """Places by method and scene; the first method is the one that is judged."""
    from ..evaluation.comparison import same_scenes
    from ..evaluation.grids import find_scenes

    methods: dict[str, dict[str, Path]] = {}
    for texts in [args.grids, *args.against]:
        name, scenes = "", {}
        for text in texts:
            label, _, rest = text.partition("=")
            named = bool(rest) and not Path(text).exists()
            place = Path(rest if named else text)
            name = name or (label if named else place.resolve().name)
            for scene, where in find_scenes(place).items():
                if scene in scenes:
                    raise InputError(f"two scenes {scene!r}", "scenes of different names", "rename one of the folders")
                scenes[scene] = where
        if name in methods:
            raise InputError(f"two methods {name!r}", "methods of different names", "say NAME=GRID")
        methods[name] = scenes
    if all(len(scenes) == 1 for scenes in methods.values()):  # one scene each: the same one, whatever it is called
        scene = next(iter(next(iter(methods.values()))))
        return {name: {scene: next(iter(scenes.values()))} for name, scenes in methods.items()}
    same_scenes(methods)
    return methods


def _truths(place: Path | None, methods: dict[str, dict[str, Path]]) -> dict[str, Path]:
    """Places of the truth by scene; empty without one."""
    from ..evaluation.grids import find_scenes

    if place is None:
        return {}
    wanted, found = list(next(iter(methods.values()))), find_scenes(place)
    if len(wanted) == 1 and len(found) == 1:
        return {wanted[0]: next(iter(found.values()))}
    missing = [scene for scene in wanted if scene not in found]
    if missing:
        raise InputError(
            f"no truth of {', '.join(missing)} in {place}", f"one of every scene: {', '.join(wanted)}", "check --truth"
        )
    return {scene: found[scene] for scene in wanted}
