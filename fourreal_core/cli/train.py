"""``fourreal train``: one stage of training a 4D model, from a configuration file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .changes import add_changes, changes_of
from .estimate import add_estimate_options, tell_estimate

_STAGES = ("base", "pseudo4d", "finetune4d", "mixed")


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    """Declares the command and its options."""
    parser = commands.add_parser(
        "train",
        parents=parents,
        help="train a 4D model",
        description="Trains one stage, or goes on where it was stopped: base (masked video), "
        "pseudo4d, finetune4d, or mixed (pseudo : true 4D at 1 : 2). Runs on several machines "
        "under `accelerate launch -m fourreal_core.cli train ...`.",
    )
    parser.add_argument("stage", choices=_STAGES, help="what to train")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="TOML file, see configs/")
    add_changes(parser)
    add_estimate_options(parser)
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        InputError: A configuration, data or a start model that can't be used; a loss that is no number.
    """
    from ..training.config_file import read_config

    config = read_config(args.config, args.stage, changes_of(args))
    if args.estimate:
        tell_estimate(config, args)
        return
    from ..training.trainer import train_stage
    from .bars import StageBars

    with StageBars(args.quiet) as bars:
        report = train_stage(config, bars(f"train {args.stage}"))
    _tell(report, args)


def _tell(report: dict[str, Any], args: argparse.Namespace) -> None:
    import json

    if args.json:
        print(json.dumps(report))
    elif not args.quiet:
        figures = "".join(f", {name} {report[name]:.2f} dB" for name in ("psnr", "subject_psnr") if name in report)
        skipped = f"; {len(report['skipped'])} items skipped" if report["skipped"] else ""
        print(
            f"{report['stage']}: {report['steps']} steps, loss {report['loss']:.4f}{figures}{skipped}\n"
            f"{report['model']}"
        )
