#!/usr/bin/env python3
"""Switches off one line of the code at a time and sees whether the tests notice: which mechanisms are held by a test.

    python benchmarks/mutation.py FOLDER_OR_FILE ... [-o OUT.json] [--sample N] [--seed N] [--jobs N] [--tests FILE ...]

A mutant is one small change in one function of a file: a comparison inverted, an arithmetic operator exchanged, a
number doubled or set to zero, a condition negated, a ``min`` for a ``max``, a term of a sum or a factor dropped, a call
of one argument replaced by its argument. Docstrings, messages of errors, logging and checks of input are left alone.
Of every file the tests that its path names are run (``tests/FOLDER``, or only ``tests/FOLDER/test_NAME.py`` and those
that import the module), in a copy of the tree; a mutant is killed when one of them fails or takes five times as long as
they took unchanged, in processor time. Every result is written at once, so that what was interrupted goes on where it
was. POSIX only: every run is a fork, in which PyTorch is loaded already.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import importlib
import json
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import pytest

ROOT = Path(__file__).resolve().parents[1]
COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE,
    ast.GtE: ast.Lt,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}
EXCHANGED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
OPPOSITE = {"min": "max", "max": "min", "amin": "amax", "amax": "amin", "minimum": "maximum", "maximum": "minimum",
            "clamp_min": "clamp_max", "argmin": "argmax", "argmax": "argmin"}  # fmt: skip
UNTOUCHED = ("InputError", "log", "warning", "info", "debug", "on_step", "check", "Generator", "zeros", "ones", "empty")
"""Names in calls that a mutant leaves alone: messages, progress, and what only makes room."""


@dataclass(frozen=True)
class Mutant:
    """One change of one file.

    Attributes:
        path: The file, from the root of the tree.
        line: Where it was changed.
        column: And where in it.
        what: The change in words.
        source: The file's whole text with the change.
    """

    path: str
    line: int
    column: int
    what: str
    source: str

    @property
    def name(self) -> str:
        """What a result is kept under."""
        return f"{self.path}:{self.line}:{self.column}: {self.what}"


def mutants_of(path: Path) -> list[Mutant]:
    """Every mutant of a file, in the order of its lines."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = []
    for place, (node, parent) in enumerate(_places(tree)):
        for what, change in _changes(node, parent):
            other = copy.deepcopy(tree)
            twin = next(pair for k, pair in enumerate(_places(other)) if k == place)
            change(twin[0], twin[1])
            source = ast.unparse(ast.fix_missing_locations(other))
            where = path.relative_to(ROOT).as_posix(), node.lineno, node.col_offset + 1
            found.append(Mutant(*where, what, source))
    return found


def _places(tree: ast.AST) -> Iterator[tuple[ast.expr, ast.AST]]:
    """Expressions that may be changed, each with its parent: those inside functions, and no checks or messages."""
    for function in ast.walk(tree):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)) and function.name != "__post_init__":
            for statement in function.body:
                yield from _inside(statement, function)


def _inside(node: ast.AST, parent: ast.AST) -> Iterator[tuple[ast.expr, ast.AST]]:
    if isinstance(node, (ast.Raise, ast.Assert, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import)):
        return
    if isinstance(node, ast.If) and any(isinstance(inner, ast.Raise) for inner in node.body):
        return  # a check of input
    if isinstance(node, ast.Call) and _called(node) in UNTOUCHED:
        return
    if isinstance(node, (ast.AnnAssign, ast.arg)):  # not the annotation
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            yield from _inside(node.value, node)
        return
    if isinstance(node, ast.expr):
        yield node, parent
    for child in ast.iter_child_nodes(node):
        yield from _inside(child, node)


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _changes(node: ast.expr, parent: ast.AST) -> Iterator[tuple[str, object]]:
    """What may be done to an expression: a name, and the function that does it to a copy."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in COMPARED:
        other = COMPARED[type(node.ops[0])]
        yield f"{type(node.ops[0]).__name__} becomes {other.__name__}", lambda n, p: n.ops.__setitem__(0, other())
    if isinstance(node, ast.BinOp) and type(node.op) in EXCHANGED and not _is_text(node):
        op = EXCHANGED[type(node.op)]
        yield f"{type(node.op).__name__} becomes {op.__name__}", lambda n, p: setattr(n, "op", op())
        if isinstance(node.op, (ast.Add, ast.Sub, ast.Mult)):
            yield "the right operand is dropped", lambda n, p: _replace(p, n, n.left)
    if isinstance(node, ast.Constant) and isinstance(node.value, float) and node.value:
        yield f"{node.value} is doubled", lambda n, p: setattr(n, "value", 2 * n.value)
    if isinstance(node, ast.BoolOp):
        yield "a condition is dropped", lambda n, p: _replace(p, n, n.values[0])
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub, ast.Invert)) and not _is_index(parent):
        yield f"{type(node.op).__name__} is dropped", lambda n, p: _replace(p, n, n.operand)
    if isinstance(node, ast.Call) and _called(node) in OPPOSITE:
        yield f"{_called(node)} becomes {OPPOSITE[_called(node)]}", _turn
    if isinstance(node, ast.IfExp):
        yield "always the first of two", lambda n, p: _replace(p, n, n.body)
        yield "always the second of two", lambda n, p: _replace(p, n, n.orelse)


def _turn(call: ast.Call, _: ast.AST) -> None:
    name = OPPOSITE[_called(call)]
    if isinstance(call.func, ast.Attribute):
        call.func.attr = name
    elif isinstance(call.func, ast.Name):
        call.func.id = name


def _is_text(node: ast.BinOp) -> bool:
    return any(isinstance(n, ast.JoinedStr) or (isinstance(n, ast.Constant) and isinstance(n.value, str))
               for n in ast.walk(node))  # fmt: skip


def _is_index(parent: ast.AST) -> bool:
    return isinstance(parent, (ast.Subscript, ast.Slice, ast.Tuple, ast.Call, ast.keyword))


def _replace(parent: ast.AST, node: ast.expr, by: ast.expr) -> None:
    for name, value in ast.iter_fields(parent):
        if value is node:
            setattr(parent, name, by)
        elif isinstance(value, list) and any(item is node for item in value):
            setattr(parent, name, [by if item is node else item for item in value])


def tests_of(path: str) -> list[str]:
    """Test files that name the module, the one of its own name first."""
    module = Path(path).with_suffix("")
    floor = module.parts[1:-1][:1] if module.parts[0] == "fourreal_core" else module.parts[:1]
    folder = ROOT.joinpath("tests", *floor)
    dotted = re.compile(rf"\b{module.parent.name}(\.|\s+import\s+.*\b){module.name}\b")
    own = folder / f"test_{module.name}.py"
    named = [file for file in sorted(folder.glob("test_*.py")) if dotted.search(file.read_text(encoding="utf-8"))]
    chosen = [file for file in [own, *named] if file.exists()] or sorted(folder.glob("test_*.py"))
    return list(dict.fromkeys(file.relative_to(ROOT).as_posix() for file in chosen))


class Tree:
    """A copy of the tree in which one mutant at a time is tested."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        skip = shutil.ignore_patterns(".git", "__pycache__", "*.png", "*.jpg", "node_modules", "site")
        shutil.copytree(ROOT, folder, ignore=skip, dirs_exist_ok=True)

    def passes(self, tests: list[str], seconds: int) -> tuple[bool, float]:
        """Whether these tests pass within some processor time, and how much of it they took.

        They run in a copy of this process, in which what is loaded is loaded already.
        """
        process = os.fork()
        if process == 0:
            os._exit(self._test(tests, seconds))
        _, status, used = os.wait4(process, 0)
        return status == 0, used.ru_utime + used.ru_stime

    def _test(self, tests: list[str], seconds: int) -> int:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        signal.alarm(300 + 20 * seconds)  # for what waits for ever
        os.chdir(self.folder)
        sys.path.insert(0, str(self.folder))
        os.environ["PYTHONPATH"] = str(self.folder)
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nothing, stream)
        return int(pytest.main(["-q", "-x", "-p", "no:cacheprovider", *tests]))

    def survives(self, mutant: Mutant, tests: list[str], seconds: int) -> bool:
        """Whether the tests pass with a mutant in place."""
        file = self.folder / mutant.path
        before = file.read_bytes()
        try:
            file.write_text(mutant.source, encoding="utf-8")
            return self.passes(tests, seconds)[0]
        finally:
            file.write_bytes(before)


def load_packages() -> None:
    """What most tests import, but for the code that is changed."""
    sys.dont_write_bytecode = True
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"), PYTHONDONTWRITEBYTECODE="1")
    for name in ("torch", "numba", "numpy", "cv2", "av", "PIL.Image", "scipy.optimize", "safetensors.torch"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def run(
    mutants: list[Mutant], results: dict[str, bool], out: Path | None, jobs: int, tests: dict[str, list[str]]
) -> None:
    """Tests mutants that have no result yet, each by the tests of its file, and keeps every result at once."""
    load_packages()
    with tempfile.TemporaryDirectory() as folder:
        trees: SimpleQueue[Tree] = SimpleQueue()
        for k in range(jobs):
            trees.put(Tree(Path(folder) / str(k)))
        seconds: dict[str, int] = {}
        for path in sorted({mutant.path for mutant in mutants if mutant.name not in results}):
            tree = trees.get()
            for _ in range(2):  # the first time kernels may be compiled
                passed, used = tree.passes(tests[path], 1200)
                if not passed:
                    sys.exit(f"mutation: {' '.join(tests[path])} fail on the code as it is")
                if used < 20:
                    break
            seconds[path] = int(5 * used) + 10
            trees.put(tree)

        def test(mutant: Mutant) -> None:
            tree = trees.get()
            try:
                results[mutant.name] = not tree.survives(mutant, tests[mutant.path], seconds[mutant.path])
            finally:
                trees.put(tree)
            print(f"{'killed  ' if results[mutant.name] else 'SURVIVES'} {mutant.name}", flush=True)
            if out is not None:
                out.write_text(json.dumps(results, indent=1, sort_keys=True), encoding="utf-8")

        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(test, [mutant for mutant in mutants if mutant.name not in results]))


def main() -> int:
    """Draws the mutants, tests them, and prints what share of each file's was killed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path, metavar="FOLDER_OR_FILE")
    parser.add_argument("-o", "--out", type=Path, metavar="OUT.json", help="results, read again when it exists")
    parser.add_argument("--sample", type=int, metavar="N", help="at most so many mutants a file, drawn by the seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--tests", nargs="+", metavar="FILE", help="run these, not those that name the module")
    parser.add_argument("--list", action="store_true", help="print the mutants and test none")
    args = parser.parse_args()
    files = [file for path in args.paths for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]
    chosen = []
    for file in files:
        every = mutants_of(file.resolve())
        draw = random.Random(f"{args.seed} {file.name}")
        some = every if args.sample is None else draw.sample(every, min(args.sample, len(every)))
        chosen += sorted(some, key=lambda mutant: mutant.line)
    if args.list:
        print("\n".join(mutant.name for mutant in chosen))
        return 0
    known = args.out is not None and args.out.exists()
    results: dict[str, bool] = json.loads(args.out.read_text(encoding="utf-8")) if known else {}
    tests = {path: args.tests or tests_of(path) for path in {mutant.path for mutant in chosen}}
    run(chosen, results, args.out, args.jobs, tests)
    counted = Counter((mutant.path, results[mutant.name]) for mutant in chosen)
    for path in sorted({path for path, _ in counted}):
        killed, alive = counted[path, True], counted[path, False]
        print(f"{path:60s} {killed:4d} of {killed + alive:4d} killed")
    killed = sum(results[mutant.name] for mutant in chosen)
    print(f"{killed} of {len(chosen)} mutants killed, {100 * killed / max(len(chosen), 1):.1f} %")
    return 0


if __name__ == "__main__":
    sys.exit(main())
