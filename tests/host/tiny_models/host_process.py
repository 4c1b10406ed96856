"""The host's packages and this extension inside the host's own interpreter, without its server."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

REPOSITORY = Path(__file__).resolve().parents[3]
EXTENSION = "/somewhere/custom_nodes/comfyui-4real"


def enter_host() -> None:
    """Puts the host's folder on the path and has it run on the CPU; to be called before anything of it is imported."""
    sys.argv = [sys.argv[0], "--cpu", "--use-pytorch-cross-attention"]
    sys.path.insert(0, os.environ["COMFYUI_PATH"])
    import comfy.options

    comfy.options.enable_args_parsing()
    spec = importlib.util.spec_from_file_location(EXTENSION, REPOSITORY / "__init__.py")
    assert spec is not None and spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[EXTENSION] = package
    spec.loader.exec_module(package)


def part(name: str) -> ModuleType:
    """A module of the extension by dotted name."""
    return importlib.import_module(f"{EXTENSION}.{name}")
