"""The pages that the host's front end shows for every node, and the nodes' names in other languages."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "web" / "docs"
LANGUAGES = ("en", "de", "zh", "ja")
SECTIONS = ["Inputs", "Outputs", "Example", "When it fails"]


@pytest.fixture(scope="module")
def schemas(extension: ModuleType) -> dict[str, Any]:
    nodes = asyncio.run(asyncio.run(extension.comfy_entrypoint()).get_node_list())
    return {schema.node_id: schema for schema in (node.GET_SCHEMA() for node in nodes)}


@pytest.fixture(scope="module")
def source() -> str:
    """What the core and the nodes say, with literals that go on in the next line joined."""
    files = [p for folder in ("nodes", "fourreal_core") for p in (REPOSITORY / folder).rglob("*.py")]
    return re.sub(r'"\s+f?"', "", "\n".join(p.read_text("utf-8") for p in files))


def output_names(schema: Any) -> list[str]:
    return [declared.display_name or declared.get_io_type() for declared in schema.outputs]


def rows(page: str, section: str) -> dict[str, list[str]]:
    """A section's table: first column to the others."""
    part = page.split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    cells = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in part.splitlines() if line[:1] == "|"
    ]
    return {cell[0].strip("`"): cell[1:] for cell in cells[2:]}


def test_every_node_has_its_page_and_every_page_its_node(schemas: dict[str, Any]) -> None:
    assert {path.stem for path in DOCS.glob("*.md")} == set(schemas)


def test_a_page_names_every_input_and_output(schemas: dict[str, Any]) -> None:
    for name, schema in schemas.items():
        page = (DOCS / f"{name}.md").read_text("utf-8")
        assert page.startswith(f"# {schema.display_name}\n"), name
        assert re.findall(r"^## (.+)$", page, re.MULTILINE) == SECTIONS, name
        inputs, outputs = rows(page, "Inputs"), rows(page, "Outputs")
        assert list(inputs) == [declared.id for declared in schema.inputs], name
        assert list(outputs) == output_names(schema), name
        assert all(row[-1] for row in (*inputs.values(), *outputs.values())), name
        for declared in schema.inputs:  # a page that says another default than the node is worse than none
            default = getattr(declared, "default", None)
            if default not in (None, "") and inputs[declared.id][2] != "":
                assert inputs[declared.id][2] == f"`{default}`", (name, declared.id)


def test_pictures_are_there(schemas: dict[str, Any]) -> None:
    shown = {at for path in DOCS.glob("*.md") for at in re.findall(r"!\[[^]]+\]\(([^)]+)\)", path.read_text("utf-8"))}
    assert shown and all((DOCS / at).is_file() for at in shown)
    assert {path.relative_to(DOCS).as_posix() for path in DOCS.glob("images/*")} == shown


def test_errors_that_pages_quote_are_said_somewhere(source: str) -> None:
    """The longest piece of a quoted sentence without numbers and names stands in the code."""
    quoted = 0
    for path in DOCS.glob("*.md"):
        for sentence in re.findall(r"^- \*([^*]+)\*", path.read_text("utf-8"), re.MULTILINE):
            pieces = re.split(
                r"\d[\d.]*|'[^']*'|\.\.\.|; expected|\b\w+\.safetensors\b|\b(?:Wan|usd|pygltflib)\b", sentence
            )
            longest = max((piece.strip(" ,()") for piece in pieces), key=len)
            assert len(longest) > 5 and longest in source, f"{path.name}: {sentence}"
            quoted += 1
    assert quoted > 30


@pytest.fixture(scope="module", params=LANGUAGES)
def translated(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    path = REPOSITORY / "locales" / request.param / "nodeDefs.json"
    return request.param, json.loads(path.read_text("utf-8"))


def test_every_language_names_every_node_and_nothing_else(schemas: dict[str, Any], translated: tuple[str, Any]) -> None:
    language, nodes = translated
    assert set(nodes) == set(schemas)
    for name, node in nodes.items():
        schema = schemas[name]
        if language == "en":  # the schema speaks English; a copy of its tooltips would only grow old
            assert node == {"display_name": schema.display_name}
            continue
        assert node["display_name"] and node["description"] and node["description"] != schema.description, name
        assert set(node["inputs"]) <= {declared.id for declared in schema.inputs}, name
        assert set(node["outputs"]) <= {str(k) for k in range(len(schema.outputs))}, name
        for key, said in {**node["inputs"], **node["outputs"]}.items():
            assert said["name"] and said.get("tooltip", "said") != "", (name, key)


def test_no_text_holds_what_the_host_takes_for_syntax(translated: tuple[str, Any]) -> None:
    # vue-i18n reads { } as a placeholder, | as a plural and @ as a link
    assert not set(json.dumps(list(_texts(translated[1])), ensure_ascii=False)) & set("{}|@")


def _texts(node: Any) -> Any:
    if isinstance(node, dict):
        for value in node.values():
            yield from _texts(value)
    else:
        yield node
