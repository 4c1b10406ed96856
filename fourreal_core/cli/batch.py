"""``fourreal batch``: the main job on many pairs of clips, on this machine or on a cluster."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .arguments import add_job_options, refuse_file_names
from .spreading import add_spread_options, spread_options

if TYPE_CHECKING:
    from ..batch.fingerprint import Job
    from ..batch.runner import BatchPlan
    from ..spread import Needs

FAILED = 1
_STATUS = "status"
_JOB_OPTIONS = ("size", "views", "times", "quality", "refit", "seed", "device", "geometry", "focal", "flow", "tracks")


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    """Declares the command and its options."""
    parser = commands.add_parser(
        "batch",
        parents=parents,
        help="run the main job on many pairs of clips",
        description="Runs `fourreal run` for every row of a manifest. Run again it goes on: what is done is skipped, "
        "what failed is tried again. `fourreal batch status OUT` says how a batch stands. Exit status 1: a job failed.",
    )
    parser.add_argument(
        "manifest",
        metavar="MANIFEST",
        help="a CSV, JSON lines or Parquet file with the columns id, freeze_time, fixed_view and, if wanted, those of "
        "`fourreal run`'s options, cpus, gpus and memory_mb; or a folder, with --pattern; or the word status",
    )
    parser.add_argument("folder", nargs="?", metavar="OUT", help="after status: the output folder of a batch")
    parser.add_argument("-o", "--out", metavar="OUT", help="output folder, or an address such as s3://bucket/folder")
    parser.add_argument(
        "--pattern",
        metavar="A,B",
        help="files of the folder MANIFEST, freeze-time and fixed-view, for example '{id}_freeze.mp4,{id}_fixed.mp4'",
    )
    parser.add_argument("--dry-run", action="store_true", help="check the manifest and say what there is to do")
    add_spread_options(parser, "ray", 0)
    parser.add_argument("--cpus", type=float, default=1, metavar="N", help="processor cores a job (default 1)")
    parser.add_argument(
        "--gpus", type=float, default=0, metavar="N", help="GPUs a job; 0.5 puts two on a device (default 0)"
    )
    parser.add_argument(
        "--memory", type=int, metavar="MB", help="memory set aside a job in MiB (default: by the size of its grid)"
    )
    group = parser.add_argument_group("options of `fourreal run`, for rows that don't give them")
    add_job_options(group, "size of the frames (default: the freeze-time clip's)")  # type: ignore[arg-type]
    parser.set_defaults(execute=execute, **dict.fromkeys(_JOB_OPTIONS))


def execute(args: argparse.Namespace) -> int:
    """Runs the command.

    Returns:
        Exit status.

    Raises:
        InputError: A manifest with faults, no output folder, no engine.
    """
    if args.manifest == _STATUS:
        from .batch_status import tell_status

        return tell_status(args)
    if args.folder is not None:
        raise InputError(f"{args.folder!r} after the manifest", "one manifest", "say the output folder with -o")
    if args.out is None:
        raise InputError("no output folder", "one", "say it with -o")
    refuse_file_names(args.out)
    from ..batch.runner import run_batch
    from .batch_bar import BatchBar
    from .batch_job import make_outputs
    from .batch_needs import job_needs
    from .report import tell

    plan, needs = plan_of(args), job_needs(args.cpus, args.gpus, args.memory)
    if args.dry_run:
        _tell_plan(plan, needs, args)
        return 0
    how = spread_options(args)
    needs(plan.job(_no_row()))  # numbers that make no sense are refused before anything starts
    with BatchBar(args.quiet) as bar:
        state = run_batch(plan, make_outputs, needs, how, bar)
    summary = (
        f"{state['done']} of {state['jobs']} jobs done, {state['skipped']} of them before, {state['failed']} failed"
    )
    tell({"command": "batch", **state}, f"{summary}\nopen {args.out}/report.html to look at them", args)
    return FAILED if state["failed"] else 0


def plan_of(args: argparse.Namespace) -> BatchPlan:
    """The batch that the arguments describe.

    Raises:
        InputError: A pattern that is not two.
    """
    from ..batch.checking import RowRules
    from ..batch.runner import BatchPlan
    from .batch_job import CLIPS, NEEDS, fault_of, option_names, path_columns

    rules = RowRules((*option_names(), *NEEDS), (), NEEDS, path_columns, fault_of)
    patterns = None
    if args.pattern is not None:
        parts = [part.strip() for part in args.pattern.split(",")]
        if len(parts) != len(CLIPS):
            raise InputError(
                f"the pattern {args.pattern!r}",
                "two, with a comma between",
                "say for example --pattern '{id}_freeze.mp4,{id}_fixed.mp4'",
            )
        patterns = dict(zip(CLIPS, parts, strict=True))
    given = {name: str(value) for name in _JOB_OPTIONS if (value := getattr(args, name)) is not None}
    given.setdefault("device", "auto" if args.gpus else "cpu")  # what a job did not ask for it doesn't take
    return BatchPlan(args.manifest, args.out, rules, patterns, given)


def _no_row() -> Any:
    from ..batch.manifest import Row

    return Row(0, {"id": "none", "size": "64x64"})


def _tell_plan(plan: BatchPlan, needs: Any, args: argparse.Namespace) -> None:
    from ..batch.runner import plan_batch
    from .report import tell

    found = plan_batch(plan, needs)
    todo = found.jobs - found.done
    lines = [f"{found.jobs} jobs, {found.done} of them done, {todo} to do; nothing was started"]
    lines += [f"  {job.id}: {_needs_text(need)}" for job, need in found.first]
    if todo > len(found.first):
        lines.append(f"  and {todo - len(found.first)} more")
    first = [_first(job, need) for job, need in found.first]
    tell({"command": "batch", "jobs": found.jobs, "done": found.done, "first": first}, "\n".join(lines), args)


def _first(job: Job, need: Needs) -> Mapping[str, Any]:
    return {"id": job.id, "cpus": need.cpus, "gpus": need.gpus, "memory_mb": need.memory_mb}


def _needs_text(need: Needs) -> str:
    gpus = f", {need.gpus:g} GPU" if need.gpus else ""
    return f"{need.cpus:g} CPU{gpus}, {need.memory_mb} MiB"
