"""Trains and measures the variants of a comparison on held-out seeded scenes, beside what needs no model.

    python benchmarks/ablations.py train    benchmarks/ablations.toml [--only NAME ...] [--set KEY=VALUE ...]
    python benchmarks/ablations.py evaluate benchmarks/ablations.toml [--json FILE] [--markdown FILE] [--scenes FILE]
    python benchmarks/ablations.py evaluate benchmarks/ablations.toml --only refiner --without sync tokens chooser rest

Both go on where they were stopped: training from its checkpoints, the evaluation row by row (one file each under
``OUT/results``; a row whose weights changed is measured again). Row 0 and column 0 are given and the other cells are
scored, see metrics.grid_quality. Rows that are not trained yet are named and left out.

``--without`` measures rows once more with a part taken out, where they have it; see training.experiments.removals.

The JSON is ``{"floors": {name: psnr}, "rows": [{"name", "psnr", "ci95", "ssim", "subject_psnr", ...}]}``. The Markdown
file keeps its text; the table between ``<!-- table -->`` and ``<!-- end of table -->`` is written anew. ``--scenes`` is
of every scene's figures, ``{"split": NAME, "rows": {name: {figure: [one a scene]}}}``: intervals can be computed again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ablation_table import PROPOSALS, REMOVED, VERIFIED, scenes_text, summary, table, write_table  # noqa: E402

from fourreal_core.cli.bars import StageBars  # noqa: E402
from fourreal_core.cli.changes import add_changes, changes_of  # noqa: E402
from fourreal_core.errors import InputError  # noqa: E402
from fourreal_core.evaluation.confidence import ConfidenceModel, confidence_entries, confidence_figures  # noqa: E402
from fourreal_core.evaluation.grids import EvaluatedGrid  # noqa: E402
from fourreal_core.evaluation.models import judge_models  # noqa: E402
from fourreal_core.grid import FrameGrid  # noqa: E402
from fourreal_core.media.files import prepare_folder, whole_file, write_bytes  # noqa: E402
from fourreal_core.metrics.grid_quality import FIGURES, grid_quality  # noqa: E402
from fourreal_core.model.model4d import Model4D  # noqa: E402
from fourreal_core.pipeline import PipelineOptions, run_pipeline  # noqa: E402
from fourreal_core.proposals.baselines import floors  # noqa: E402
from fourreal_core.proposals.grid_proposals import propose_planes  # noqa: E402
from fourreal_core.proposals.model_inputs import model_inputs  # noqa: E402
from fourreal_core.proposals.plane_names import PLANE_SETS  # noqa: E402
from fourreal_core.sampling.rectified_flow import SamplingOptions  # noqa: E402
from fourreal_core.synthetic.scene import to_float  # noqa: E402
from fourreal_core.training.completions import complete_frames, first_row_and_column  # noqa: E402
from fourreal_core.training.data.cache import CachedGrids  # noqa: E402
from fourreal_core.training.experiments.ablation import Ablation, EvaluateOptions, read_ablation, train_rows  # noqa: E402
from fourreal_core.training.experiments.removals import REMOVALS, can_go_without, choosing_once, without  # noqa: E402

Complete = Callable[[int, Tensor], dict[str, Tensor]]
"""Completions by name of grid ``index``, of whose frames only row 0 and column 0 are looked at."""
FLOORS = {
    "frozen scene": "copy",
    "frozen scene and the change of view 0": "additive",
    "2D flow in time": "flow in time",
    "2D flow across views": "flow in view",
    "mean of 2D flows": "mean of flows",
}


def flow_completions(index: int, frames: Tensor) -> dict[str, Tensor]:
    """What copies and 2D flow make of the clips."""
    simple, two = floors(frames), propose_planes(PLANE_SETS["flow"], frames[:, 0], frames[0])
    proposals = zip(PROPOSALS, (two[0], two[1], two.mean(0)), strict=False)
    return {name: simple[key] for name, key in FLOORS.items()} | dict(proposals)


def geometric(index: int, frames: Tensor, folder: Path) -> Tensor:
    """What ``fourreal run`` makes of the two clips, kept on disk; a frozen scene where it refuses them."""
    path = prepare_folder(folder) / f"{index:05d}.safetensors"
    if not path.exists():
        clips = FrameGrid.from_clips(frames[:, 0], frames[0])
        try:
            made, refused = run_pipeline(clips, PipelineOptions(seed=0)).grid.frames, ""
        except InputError as err:
            made, refused = frames[:, :1].expand_as(frames), str(err)
            print(f"grid {index}: {err}", file=sys.stderr, flush=True)
        cells = (made.clamp(0, 1) * 255).round().to(torch.uint8).contiguous()
        with whole_file(path) as part:
            save_file({"cells": cells}, part, {"refused": refused})
    return to_float(load_file(path)["cells"])


def model_completions(model: Model4D, parts: dict[str, str | None], options: EvaluateOptions) -> Complete:
    """A model's completions, in ``options.steps`` steps from noise that depends on seed and grid alone.

    Args:
        model: What completes the grids; what it is shown of a grid is made and chosen once for all completions.
        parts: By name of the completion, the part that is taken out, of REMOVALS, or None.
        options: Steps and seed.
    """

    def complete(index: int, frames: Tensor) -> dict[str, Tensor]:
        seed, steps = options.seed * 1_000_003 + index, SamplingOptions(steps=options.steps)
        planes = model_inputs(frames, first_row_and_column(*frames.shape[:2]), model.spec.dit.proposals)
        made = {}
        with choosing_once(model):
            for name, part in parts.items():
                with nullcontext(model) if part is None else without(model, part) as present:
                    generator = torch.Generator().manual_seed(seed)
                    made[name] = complete_frames(present, frames, generator, steps, planes=planes)
        return made

    return complete


@dataclass(frozen=True)
class Judge:
    """A network whose confidence becomes columns, see docs/evaluation.md.

    Attributes:
        model: The network.
        spec: As it was named, such as ``dust3r:CHECKPOINT``.
    """

    model: ConfidenceModel
    spec: str

    def __call__(self, made: Tensor) -> dict[str, float]:
        """Shares in percent of a completed grid ``(V, T, H, W, 3)``."""
        return confidence_figures(EvaluatedGrid.of_frames("", made), self.model)[0]


def measured(
    names: Sequence[str],
    digest: str,
    complete: Complete,
    grids: CachedGrids,
    ablation: Ablation,
    bars: StageBars,
    count: int | None = None,
    judge: Judge | None = None,
) -> dict[str, dict[str, list[float]]]:
    """Figures of every grid, or of the first ``count``, by name of the completion and of the figure; from the rows'
    files if they are there."""
    digest = digest if judge is None else f"{digest} {judge.spec}"
    wanted = (*FIGURES, *(entry.name for entry in (confidence_entries(judge.model) if judge else ())))
    options, folder = ablation.evaluate, prepare_folder(ablation.out / "results")
    paths = {name: folder / f"{''.join(c if c.isalnum() else '-' for c in name)}.json" for name in names}
    if all(path.exists() for path in paths.values()):
        known = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items()}
        if all(row["of"] == digest for row in known.values()):
            return {name: row["figures"] for name, row in known.items()}
    found: dict[str, dict[str, list[float]]] = {name: {figure: [] for figure in wanted} for name in names}
    on_step = bars(names[0])
    count = options.grids if count is None else count
    for index in range(count):
        cells, subject = grids.read(index)
        truth = to_float(cells)
        for name, made in complete(index, truth).items():
            figures = grid_quality(made, truth, subject, first_row_and_column(*truth.shape[:2]))
            figures |= {} if judge is None else judge(made)
            for figure in wanted:
                found[name][figure].append(figures.get(figure, float("nan")))
        on_step(index + 1, count)
    for name, path in paths.items():
        write_bytes(path, json.dumps({"name": name, "of": digest, "figures": found[name]}).encode())
    return found


def evaluate(
    ablation: Ablation,
    bars: StageBars,
    only: set[str] | None = None,
    removed: Sequence[str] = (),
    judge: Judge | None = None,
) -> tuple[dict[str, dict], dict[str, dict], list[str]]:
    """Figures by name of the floors and of the rows that are trained, and the names of the others."""
    measure = partial(measured, judge=judge)
    grids = CachedGrids(ablation.sections["data"]["cache"], ablation.evaluate.split)
    if len(grids) < ablation.evaluate.grids:
        raise InputError(
            f"{len(grids)} grids of the split {ablation.evaluate.split!r}",
            f"{ablation.evaluate.grids}",
            "render more with `fourreal data render-procedural --split`, or evaluate fewer",
        )
    on, geometry = f"{ablation.evaluate.split} {ablation.evaluate.grids}", ablation.out / "geometric"
    floor_rows: dict[str, dict] = {}
    if only is None or only & {*FLOORS, *PROPOSALS[:3]}:
        floor_rows |= measure([*FLOORS, *PROPOSALS[:3]], f"flow {on}", flow_completions, grids, ablation, bars)
    if only is None or only & {*VERIFIED}:
        floor_rows |= measure(
            VERIFIED,
            f"verified {on}",
            lambda index, frames: dict(
                zip(VERIFIED, propose_planes(PLANE_SETS["verified"], frames[:, 0], frames[0]), strict=True)
            ),
            grids,
            ablation,
            bars,
        )
    if only is None or PROPOSALS[3] in only:
        count = min(ablation.evaluate.geometric, ablation.evaluate.grids)
        floor_rows |= measure(
            PROPOSALS[3:],
            f"geometric {on} {count}",
            lambda index, frames: {PROPOSALS[3]: geometric(index, frames, geometry)},
            grids,
            ablation,
            bars,
            count,
        )
    rows, missing = {}, []
    for row in ablation.rows:
        if only is not None and row.name not in only:
            continue
        if not ablation.model_file(row).is_file():
            missing.append(row.name)
            continue
        model, digest = ablation.model(row), ablation.digest(row)
        parts: dict[str, str | None] = {row.name: None}
        parts |= {f"{row.name}, {REMOVED[part]}": part for part in removed if can_go_without(model, part)}
        complete = model_completions(model, parts, ablation.evaluate)
        rows |= measure([*parts], digest, complete, grids, ablation, bars)
    return floor_rows, rows, missing


def main() -> int:
    """Runs what was asked for."""
    args = _parser().parse_args()
    try:
        ablation = read_ablation(args.config, changes_of(args))
        with StageBars(args.quiet) as bars:
            if args.what == "train":
                train_rows(
                    ablation,
                    set(args.only) if args.only else None,
                    bars,
                    lambda folder, report: print(f"{folder}: loss {report['loss']:.5f}", flush=True),
                )
                return 0
            if args.threads:
                torch.set_num_threads(args.threads)
            only = set(args.only) if args.only else None
            floor_rows, rows, missing = evaluate(ablation, bars, only, args.without, _judge(args.model))
        text = table(floor_rows, rows, ablation) if floor_rows else ""
        print(text)
        for name in missing:
            print(f"not trained yet: {name}", file=sys.stderr)
        if args.json:
            floor_means = {name: summary(f, ablation.evaluate)["psnr"] for name, f in floor_rows.items()}
            found = {
                "floors": floor_means,
                "rows": [{"name": name, **summary(f, ablation.evaluate)} for name, f in rows.items()],
            }
            write_bytes(args.json, (json.dumps(found, indent=1) + "\n").encode())
        if args.scenes:
            write_bytes(args.scenes, scenes_text(floor_rows | rows, ablation).encode())
        if args.markdown:
            write_table(args.markdown, text)
    except InputError as err:
        print(f"ablations: {err}", file=sys.stderr)
        return 2
    return 0


def _judge(spec: str | None) -> Judge | None:
    models = judge_models([] if spec is None else [spec]).confidence
    if spec is not None and not models:
        raise InputError(f"the model {spec!r}", "one that has a confidence", "say for example dust3r:CHECKPOINT")
    return Judge(models[0], spec) if spec is not None else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("train", "evaluate"))
    parser.add_argument("config", type=Path, help="TOML file, see benchmarks/ablations.toml")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="rows (or floors) by name; all when left out")
    add_changes(parser)
    parser.add_argument(
        "--without", nargs="+", default=[], choices=tuple(REMOVALS), help="parts to take out, one by one"
    )
    parser.add_argument(
        "--model", metavar="MODEL", help="a network whose confidence becomes columns, such as dust3r:CHECKPOINT"
    )
    parser.add_argument("--scenes", type=Path, metavar="FILE", help="write the figures of every scene there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table into this page")
    parser.add_argument("--threads", type=int, default=1, help="of torch while rows are measured (default 1)")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    return parser


if __name__ == "__main__":
    sys.exit(main())
