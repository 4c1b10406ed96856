"""The nodes around video models, native and our own, inside a real host with tiny models and a tiny VAE."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from .tiny_models import probe, result_of

pytestmark = pytest.mark.host
FOLDER = Path(__file__).resolve().parent / "tiny_models"
SCRIPTS = (
    "probe_nodes.py",
    "probe_patch.py",
    "probe_own_model.py",
    "probe_extend.py",
    "probe_neighbours.py",
    "probe_controls.py",
)
CHECKS = [
    function.name.removeprefix("check_")
    for script in SCRIPTS
    for function in ast.parse((FOLDER / script).read_text("utf-8")).body
    if isinstance(function, ast.FunctionDef) and function.name.startswith("check_")
]


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """All checks, run once, each script in one process of the host."""
    return {name: line for script in SCRIPTS for name, line in probe(script).items()}


@pytest.mark.parametrize("check", CHECKS)
def test_in_the_host(found: dict[str, Any], check: str) -> None:
    result_of(found, check)
