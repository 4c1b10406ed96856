"""``fourreal queue``: a ComfyUI workflow for every row of a manifest, on one or several hosts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    from ..batch.runner import BatchPlan
    from ..queueing.hosts import Hosts

FAILED = 1
_FILES = "freeze_time,fixed_view,mask"


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    """Declares the command and its options."""
    parser = commands.add_parser(
        "queue",
        parents=parents,
        help="queue a ComfyUI workflow for every row of a manifest",
        description="Queues a workflow (API format) for every row of a manifest on running ComfyUI hosts, follows it "
        "and fetches its outputs. Run again it goes on: what is done is skipped. Exit status 1: a job failed.",
    )
    parser.add_argument("workflow", type=Path, metavar="WORKFLOW", help="a workflow in API format")
    parser.add_argument(
        "manifest", metavar="MANIFEST", help="a CSV, JSON lines or Parquet file with an id and the columns of --set"
    )
    parser.add_argument("-o", "--out", required=True, metavar="OUT", help="output folder")
    parser.add_argument(
        "--host", action="append", required=True, dest="hosts", metavar="HOST", help="host:port; may be repeated"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="settings",
        metavar="TITLE.FIELD=VALUE",
        help="a value to write, by a node's title or id, with {column} for a row's: "
        "'Your freeze-time clip.file={freeze_time}'; may be repeated",
    )
    parser.add_argument(
        "--upload",
        default=_FILES,
        metavar="COLUMNS",
        help=f"columns that are files of this machine, which are uploaded (default {_FILES}, where --set names them); "
        "'' for files that the hosts have: the column holds the name there",
    )
    parser.add_argument(
        "--at-once", type=int, default=2, metavar="N", help="jobs handed to a host at a time (default 2)"
    )
    parser.add_argument("--retries", type=int, default=3, metavar="N", help="tries after a host vanished (default 3)")
    parser.add_argument("--dry-run", action="store_true", help="check workflow, hosts and manifest; queue nothing")
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Runs the command.

    Returns:
        Exit status.

    Raises:
        InputError: A workflow, manifest or host that can't be used.
    """
    from ..batch.runner import plan_batch, run_batch
    from ..queueing.host import Host
    from ..queueing.hosts import Hosts
    from ..queueing.workflow import parse_setting, read_workflow
    from ..spread import Needs, SpreadOptions
    from .arguments import refuse_file_names
    from .batch_bar import BatchBar
    from .report import tell

    if args.at_once < 1 or args.retries < 0:
        raise InputError(f"--at-once {args.at_once}, --retries {args.retries}", "1 or more, 0 or more", "ask for more")
    refuse_file_names(args.out)
    settings = [parse_setting(text) for text in args.settings]
    addresses = dict.fromkeys(args.hosts)  # each once
    with Hosts(
        [Host(address) for address in addresses], read_workflow(args.workflow), settings, args.at_once, args.retries
    ) as hosts:
        plan = _plan(args, hosts)
        if args.dry_run:
            found = plan_batch(plan, lambda job: Needs())
            text = (
                f"{found.jobs} jobs, {found.done} of them done; {len(addresses)} hosts can run them; nothing was queued"
            )
            tell({"command": "queue", "jobs": found.jobs, "done": found.done, "hosts": list(addresses)}, text, args)
            return 0
        with BatchBar(args.quiet) as bar:
            how = SpreadOptions("threads", hosts.places)
            state = run_batch(plan, hosts.make_outputs, lambda job: Needs(), how, bar)
    summary = (
        f"{state['done']} of {state['jobs']} jobs done, {state['skipped']} of them before, {state['failed']} failed"
    )
    tell({"command": "queue", **state}, f"{summary}; outputs in {args.out}", args)
    return FAILED if state["failed"] else 0


def _plan(args: argparse.Namespace, hosts: Hosts) -> BatchPlan:
    import hashlib

    from ..batch.checking import RowRules
    from ..batch.runner import BatchPlan

    template = hosts.template
    files = [c for c in args.upload.split(",") if c.strip() in template.columns]
    rules = RowRules(
        None, template.columns, (), lambda values: [c for c in files if c in values], lambda v: template.fault(v, files)
    )
    # another workflow, or another setting, makes other outputs
    digest = hashlib.sha256("\n".join([args.workflow.read_text("utf-8"), *args.settings]).encode()).hexdigest()
    return BatchPlan(args.manifest, args.out, rules, defaults={"workflow": digest})
