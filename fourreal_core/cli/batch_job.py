"""One job of ``fourreal batch``: ``fourreal run`` with a row's values for options."""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ..errors import InputError
from . import run

if TYPE_CHECKING:
    from ..batch.fingerprint import Job

CLIPS = ("freeze_time", "fixed_view")
NEEDS = ("cpus", "gpus", "memory_mb")
"""Columns that say what a job takes of a machine, and not what it makes."""
_NOT_COLUMNS = {"help", "out", "quiet", "json", "debug"}


class _Parser(argparse.ArgumentParser):
    """Raises where argparse would end the program."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


@functools.cache
def run_parser() -> argparse.ArgumentParser:
    """The parser of ``fourreal run``, alone."""
    top: argparse.ArgumentParser = _Parser(prog="fourreal")
    commands = top.add_subparsers()
    shared = argparse.ArgumentParser(add_help=False)
    for name in ("--quiet", "--json", "--debug"):
        shared.add_argument(name, action="store_true")
    run.add_command(commands, [shared])
    return top


@functools.cache
def option_names() -> tuple[str, ...]:
    """Columns that are options of ``fourreal run``, as in ``freeze_time``."""
    sub = next(a for a in run_parser()._actions if isinstance(a, argparse._SubParsersAction))
    actions = sub.choices["run"]._actions
    return tuple(a.dest for a in actions if a.option_strings and a.dest not in _NOT_COLUMNS)


def path_columns(values: Mapping[str, str]) -> list[str]:
    """Which of a row's columns are paths: all inputs of `fourreal run`, and a geometry that is a folder of pictures."""
    geometry = values.get("geometry", "parallax")
    found = [column for column in run.INPUTS if column in values]
    return found if geometry == "parallax" or geometry.startswith("hf:") else [*found, "geometry"]


def fault_of(values: Mapping[str, str]) -> str | None:
    """What is wrong with the values of a row, whatever lies at its paths."""
    options = {c: "given" if c in run.INPUTS else v for c, v in values.items() if c in option_names()}
    needs = tuple(values.get(name, "") for name in NEEDS)
    return _option_fault(tuple(sorted(options.items()))) or _needs_fault(needs)


@functools.lru_cache(4096)
def _option_fault(options: tuple[tuple[str, str], ...]) -> str | None:
    from .arguments import parse_size

    try:
        args = _parse(dict(options), "out")
        run.check_inputs(args)
        if args.size is not None:
            parse_size(args.size)
        for name in ("views", "times"):
            if (count := getattr(args, name)) is not None and count < 2:
                raise ValueError(f"{count} {name}, expected at least 2")
    except ValueError as err:  # InputErrors too
        return str(err).replace("argument --", "", 1)
    return None


@functools.lru_cache(4096)
def _needs_fault(needs: tuple[str, ...]) -> str | None:
    from ..spread import Needs

    for name, text, kind in zip(NEEDS, needs, (float, float, int), strict=True):
        try:
            if text:
                Needs(**{name: kind(text)})
        except ValueError:
            return f"{name} is {text!r}, expected a number" + (" of at least 1" if kind is int else "")
    return None


def make_outputs(job: Job, copies: Mapping[str, Path], folder: Path) -> dict[str, Any]:
    """Runs ``fourreal run`` for one job.

    Returns:
        Figures of its report.

    Raises:
        InputError: With the sentence that ``fourreal run`` gives.
    """
    options = {**job.options, **{column: str(path) for column, path in copies.items()}}
    args = _parse(options, str(folder))
    args.quiet = True
    try:
        run.execute(args)
    except InputError as err:
        raise _with_manifest_paths(err, job, copies) from err
    report = json.loads((folder / "report.json").read_text("utf-8"))
    report["inputs"] = {column: job.inputs[column] for column in report["inputs"]}
    (folder / "report.json").write_text(json.dumps(report, indent=1, allow_nan=False), "utf-8")
    grid = report["grid"]
    return {
        "seconds": report["seconds_total"],
        "seconds_by_stage": report["seconds"],
        **{name: report[name] for name in ("peak_memory_mb", "splats", "quality", "device")},
        **{name: grid[name] for name in ("views", "times", "height", "width", "known_cells")},
    }


def _with_manifest_paths(err: InputError, job: Job, copies: Mapping[str, Path]) -> InputError:
    """The error with the inputs' own paths in place of those of their copies."""
    parts = [err.got, err.expected, err.remedy]
    for column, copy in copies.items():
        parts = [part.replace(str(copy), job.inputs[column]) for part in parts]
    return InputError(*parts)


def _parse(options: Mapping[str, str], out: str) -> argparse.Namespace:
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    return run_parser().parse_args(["run", "-o", out, *arguments])
