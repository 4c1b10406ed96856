"""A workflow in ComfyUI's API format, into which a manifest's values are written."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError

_COLUMN = re.compile(r"\{([^{}]+)\}")
_UPLOADS = ("image_upload", "video_upload", "audio_upload", "file_upload")
Prompt = dict[str, dict[str, Any]]
"""Nodes by id, each with ``class_type`` and ``inputs``."""


@dataclass(frozen=True)
class Setting:
    """One ``--set``: where a value goes, and which.

    Attributes:
        node: Title or id of a node.
        field: One of its inputs.
        value: Text, with ``{column}`` where a row's value stands.
    """

    node: str
    field: str
    value: str

    @property
    def columns(self) -> list[str]:
        """Columns that the value takes."""
        return _COLUMN.findall(self.value)

    def fill(self, values: Mapping[str, str]) -> str:
        """The value for a row.

        Raises:
            KeyError: The row doesn't have a column.
        """
        return _COLUMN.sub(lambda match: values[match[1]], self.value)


def parse_setting(text: str) -> Setting:
    """Reads ``Title.field=value``; a title may have dots itself.

    Raises:
        InputError: No dot or no equals sign.
    """
    place, equals, value = text.partition("=")
    node, dot, field = place.rpartition(".")
    if not (equals and dot and node.strip() and field.strip()):
        raise InputError(
            f"--set {text!r}", "TITLE.FIELD=VALUE", "say for example --set 'Freeze-time clip.file={freeze_time}'"
        )
    return Setting(node.strip(), field.strip(), value)


def read_workflow(path: Path | str) -> Prompt:
    """Reads a workflow in API format.

    Raises:
        InputError: No such file, or a workflow as the front end saves it.
    """
    try:
        found = json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError) as err:
        raise InputError(f"{path} can't be read ({err})", "a workflow in API format", "check the path") from err
    if isinstance(found, dict) and isinstance(found.get("nodes"), list):
        raise InputError(
            f"{path}, which is a workflow with a layout", "one in API format", "export it with Workflow > Export (API)"
        )
    nodes = found if isinstance(found, dict) else {}
    if not nodes or not all(isinstance(node, dict) and "class_type" in node for node in nodes.values()):
        raise InputError(f"{path} is no workflow", "nodes by id, each with class_type", "export it in API format")
    return {str(name): {"inputs": {}, **node} for name, node in nodes.items()}


def title_of(prompt: Prompt, node_id: str) -> str:
    """A node's title, or its class where it has none."""
    node = prompt[node_id]
    return str((node.get("_meta") or {}).get("title") or node["class_type"])


def find_node(prompt: Prompt, name: str) -> str:
    """The id of a node by id or title.

    Raises:
        InputError: None of that name, or several.
    """
    if name in prompt:
        return name
    found = [node_id for node_id in prompt if title_of(prompt, node_id) == name]
    if len(found) != 1:
        titles = ", ".join(sorted({repr(title_of(prompt, node_id)) for node_id in prompt}))
        got = f"no node {name!r}" if not found else f"{len(found)} nodes with the title {name!r} ({', '.join(found)})"
        raise InputError(f"{got} in the workflow", f"a title that one node has ({titles}), or an id", "check --set")
    return found[0]


class Template:
    """A workflow with settings, checked against what a host says of its nodes.

    Args:
        prompt: The workflow.
        settings: What rows change.
        object_info: The host's ``/object_info``.
        host: To name it in errors.

    Raises:
        InputError: Nodes that the host doesn't have, links that lead nowhere, settings of inputs that aren't there.
    """

    def __init__(self, prompt: Prompt, settings: Sequence[Setting], object_info: Mapping[str, Any], host: str) -> None:
        self.prompt, self.settings = prompt, settings
        faults = _node_faults(prompt, object_info)
        if faults:
            raise InputError(
                f"a workflow that {host} can't run: {'; '.join(faults)}",
                "nodes that it has",
                "install what is missing, or leave this host out",
            )
        self.places = [(find_node(prompt, setting.node), setting.field) for setting in settings]
        self.kinds = [_kind_of(prompt, place, object_info) for place in self.places]

    @property
    def columns(self) -> list[str]:
        """Columns that every row needs."""
        return list(dict.fromkeys(column for setting in self.settings for column in setting.columns))

    def fault(self, values: Mapping[str, str], uploads: Sequence[str] = ()) -> str | None:
        """What is wrong with a row's values, or None.

        Args:
            values: Of the row.
            uploads: Columns of files that are uploaded: their names on the host aren't known yet.
        """
        for setting, kind in zip(self.settings, self.kinds, strict=True):
            if all(c in values for c in setting.columns) and not set(setting.columns) & set(uploads):
                try:
                    _convert(setting.fill(values), kind)
                except ValueError as err:
                    return f"{setting.node}.{setting.field}: {err}"
        return None

    def filled(self, values: Mapping[str, str]) -> Prompt:
        """The workflow of a row.

        Raises:
            InputError: A value that its input can't take.
        """
        prompt = copy.deepcopy(self.prompt)
        for setting, (node, field), kind in zip(self.settings, self.places, self.kinds, strict=True):
            try:
                prompt[node]["inputs"][field] = _convert(setting.fill(values), kind)
            except ValueError as err:
                raise InputError(f"{setting.node}.{setting.field}: {err}", "a value that fits", "mend the row") from err
        return prompt


def _node_faults(prompt: Prompt, object_info: Mapping[str, Any]) -> list[str]:
    faults = []
    for node_id, node in prompt.items():
        title = title_of(prompt, node_id)
        if node["class_type"] not in object_info:
            faults.append(f"no node {node['class_type']} ({title})")
            continue
        required = object_info[node["class_type"]].get("input", {}).get("required", {})
        faults += [
            f"{title} without {name}"
            for name in required
            if name not in node["inputs"] and not _dynamic(required[name])
        ]
        for name, value in node["inputs"].items():
            if isinstance(value, list) and len(value) == 2 and str(value[0]) not in prompt:
                faults.append(f"{title}.{name} comes from node {value[0]}, which isn't there")
    return faults


def _dynamic(spec: Any) -> bool:
    """Inputs that the front end multiplies have other names in a workflow."""
    return bool(spec) and isinstance(spec[0], str) and spec[0].startswith("COMFY_")


def _kind_of(prompt: Prompt, place: tuple[str, str], object_info: Mapping[str, Any]) -> str | list[str]:
    """What an input takes: INT, FLOAT, BOOLEAN, STRING, or a list of choices.

    Raises:
        InputError: No such input, or one that only a link can feed.
    """
    node_id, field = place
    known = object_info[prompt[node_id]["class_type"]].get("input", {})
    specs = {**known.get("required", {}), **known.get("optional", {})}
    title = title_of(prompt, node_id)
    if field not in specs and field not in prompt[node_id]["inputs"]:
        raise InputError(f"no input {field!r} of {title!r}", f"one of {', '.join(specs)}", "check --set")
    spec = specs.get(field, ["STRING"])
    kind, extra = spec[0], spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {}
    if isinstance(kind, list) or kind == "COMBO":
        choices = kind if isinstance(kind, list) else extra.get("options", [])
        open_list = any(extra.get(flag) for flag in _UPLOADS) or extra.get("remote")
        return "STRING" if open_list else [str(choice) for choice in choices]
    if isinstance(prompt[node_id]["inputs"].get(field), list):
        raise InputError(f"{title}.{field}, which is linked", "an input with a value", "check --set")
    return str(kind)


def _convert(text: str, kind: str | list[str]) -> Any:
    """A value as an input takes it.

    Raises:
        ValueError: It can't take this one.
    """
    if isinstance(kind, list):
        if text not in kind:
            few = ", ".join(kind[:8]) + (" ..." if len(kind) > 8 else "")
            raise ValueError(f"{text!r}, expected one of {few}")
        return text
    if kind == "BOOLEAN":
        if text.lower() not in ("true", "false", "1", "0"):
            raise ValueError(f"{text!r}, expected true or false")
        return text.lower() in ("true", "1")
    try:
        return int(text) if kind == "INT" else float(text) if kind == "FLOAT" else text
    except ValueError as err:
        raise ValueError(f"{text!r}, expected {'a whole number' if kind == 'INT' else 'a number'}") from err
