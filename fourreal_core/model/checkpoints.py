"""Weights in safetensors files: kind and version in the header, read strictly, written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from ..errors import InputError
from ..media.files import write_bytes

VERSION = 2
"""Of the header. Version 1 counted the proposals of a model in place of naming them (see shown_planes)."""
Spec = TypeVar("Spec")
_HEADER = ("format", "version", "spec")


@dataclass(frozen=True)
class Checkpoint:
    """What a file held.

    Attributes:
        name: File name, for messages.
        spec: The fields of the spec that the weights belong to.
        metadata: Everything else that the header says.
        tensors: Weights by name.
    """

    name: str
    spec: dict[str, Any]
    metadata: dict[str, str]
    tensors: dict[str, Tensor]


def write_checkpoint(
    path: str | os.PathLike[str],
    kind: str,
    spec: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str] | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Writes weights; the file appears whole or not at all.

    Args:
        path: File name, usually ending in ``.safetensors``.
        kind: What the file holds, such as ``fourreal-model``.
        spec: The spec's fields, as JSON types.
        tensors: Weights by name.
        metadata: More lines for the header (licence, training).
        dtype: Type in which floating weights are kept; their own if None.

    Raises:
        InputError: Weights that are not finite, metadata under a reserved name, or a folder that can't be written.
    """
    reserved = sorted(set(_HEADER) & set(metadata or {}))
    if reserved:
        raise InputError(f"metadata named {', '.join(reserved)}", "other names", "rename them")
    kept = {}
    for name, tensor in tensors.items():
        value = tensor.detach().cpu()
        if value.is_floating_point():
            value = value.to(dtype or value.dtype)
            if not bool(torch.isfinite(value).all()):
                raise InputError(
                    f"weights {name} with NaN or infinite values",
                    "finite numbers",
                    "go back to an earlier checkpoint, or save in float32",
                )
        kept[name] = value.contiguous().clone()
    header = {"format": kind, "version": str(VERSION), "spec": json.dumps(dict(spec)), **(metadata or {})}
    write_bytes(path, save(kept, header))


def checkpoint_kind(path: str | os.PathLike[str]) -> str | None:
    """What a file's header says that it holds; None for any other file. The weights are not read."""
    try:
        with safe_open(Path(path), framework="pt") as file:
            return dict(file.metadata() or {}).get("format")
    except (SafetensorError, OSError):
        return None


def read_checkpoint(path: str | os.PathLike[str], kind: str) -> Checkpoint:
    """Reads a file that write_checkpoint wrote.

    Raises:
        InputError: No such file, another kind of file, or a newer version.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no file {path}", f"{kind} weights as .safetensors", "check the name and the folder")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            if metadata.get("format") != kind:
                raise InputError(
                    f"{path.name} is of the kind {metadata.get('format', 'unknown')}", kind, "choose another file"
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path.name} cannot be read as safetensors ({error})", f"{kind} weights", "download or save the file again"
        ) from error
    try:
        version, spec = int(metadata["version"]), dict(json.loads(metadata["spec"]))
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"{path.name} has a header that says {error!r}",
            f"the header of version {VERSION}",
            "save the file again, or update this extension",
        ) from error
    if version > VERSION:
        raise InputError(f"{path.name} is of version {version}", f"at most {VERSION}", "update this extension")
    return Checkpoint(path.name, spec, {k: v for k, v in metadata.items() if k not in _HEADER}, tensors)


def load_strictly(module: nn.Module, tensors: Mapping[str, Tensor], name: str) -> None:
    """Copies weights into a module that has exactly these; the module keeps its types.

    Args:
        module: Changed in place.
        tensors: Weights by name.
        name: Where they come from, for the message.

    Raises:
        InputError: Names every missing, unexpected and misshapen tensor.
    """
    own = module.state_dict()
    missing, unexpected = sorted(set(own) - set(tensors)), sorted(set(tensors) - set(own))
    misshapen = [
        f"{k} {tuple(tensors[k].shape)} for {tuple(own[k].shape)}"
        for k in sorted(set(own) & set(tensors))
        if own[k].shape != tensors[k].shape
    ]
    wrong = [
        f"{what} {', '.join(names)}"
        for what, names in (("lacks", missing), ("has beyond it", unexpected), ("has misshapen", misshapen))
        if names
    ]
    if wrong:
        raise InputError(
            f"{name} {'; '.join(wrong)}",
            "exactly this model's weights",
            "load it with the model that it was saved from",
        )
    module.load_state_dict(dict(tensors), strict=True)


def spec_from(checkpoint: Checkpoint, kind: type[Spec]) -> Spec:
    """Builds a spec dataclass from a checkpoint's header; lists become tuples.

    Raises:
        InputError: Fields that the spec doesn't know, or values that it refuses.
    """
    try:
        return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in checkpoint.spec.items()})
    except TypeError as error:
        raise InputError(
            f"{checkpoint.name} has a spec that doesn't fit ({error})",
            f"the fields of {kind.__name__}",
            "update this extension, or save the file again",
        ) from error
