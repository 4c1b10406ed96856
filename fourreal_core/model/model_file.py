"""A whole 4D model, base and sync layers, in one ``.safetensors`` file whose header holds the spec."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

import torch

from ..errors import InputError
from .checkpoints import load_strictly, read_checkpoint, write_checkpoint
from .model4d import Model4D
from .shown_planes import PLANES_BY_COUNT
from .spec import DiTSpec, Model4DSpec
from .sync import SyncSpec
from .sync_file import load_sync

KIND = "fourreal-model"


def save_model(
    path: str | os.PathLike[str],
    model: Model4D,
    metadata: Mapping[str, str] | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Writes base and sync weights; the file appears whole or not at all.

    Args:
        path: File name, usually ending in ``.safetensors``.
        model: What to save.
        metadata: More lines for the header (licence, training).
        dtype: Type in which the weights are kept; their own if None.

    Raises:
        InputError: Weights that are not finite, or a folder that can't be written.
    """
    write_checkpoint(path, KIND, asdict(model.spec), model.state_dict(), metadata, dtype)


def load_model(path: str | os.PathLike[str], sync: str | os.PathLike[str] | None = None) -> Model4D:
    """Reads a model that ``save_model`` wrote, as float32, ready to sample with.

    Args:
        path: The file.
        sync: A file of sync weights to use in place of the model's own; it names the variant.

    Raises:
        InputError: Another kind of file, a spec or tensors that don't fit, or sync weights of another base.
    """
    checkpoint = read_checkpoint(path, KIND)
    model = Model4D(model_spec(checkpoint.spec, checkpoint.name))
    load_strictly(model, checkpoint.tensors, checkpoint.name)
    if sync is not None:
        layers = load_sync(sync, model.base_fingerprint())
        dropped = next((name for name in ("none", "first", "last") if _fits(model.spec, layers.spec, name)), None)
        if dropped is None:
            raise InputError(
                f"sync weights for {layers.spec}",
                f"{model.dit.layers} layers of width {model.spec.dit.width}, all or without a third",
                "choose sync weights of this model",
            )
        model = model.with_variant(layers.spec.variant, dropped, layers)
    return model.eval()


def model_spec(header: Mapping[str, Any], name: str) -> Model4DSpec:
    """The spec that a file's header holds.

    Raises:
        InputError: Fields that are unknown or of the wrong kind.
    """
    known = {f.name for f in fields(DiTSpec)}
    base = header.get("dit")
    unknown = sorted(set(header) - {f.name for f in fields(Model4DSpec)})
    if not isinstance(base, Mapping) or unknown or set(base) - known:
        extra = unknown if not isinstance(base, Mapping) else [*unknown, *sorted(set(base) - known)]
        raise InputError(
            f"{name} has a spec with {', '.join(extra) or 'no base model'}",
            "fields that are known",
            "update this extension, or save the file again",
        )
    try:
        return Model4DSpec(**{**header, "dit": DiTSpec(**{**base, "proposals": _named_planes(base, name)})})
    except TypeError as error:
        raise InputError(
            f"{name} has a spec that doesn't fit ({error})", "numbers and names", "save the file again"
        ) from error


def _named_planes(base: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """The planes that a header names, or counts, as those of version 1 did."""
    given = base.get("proposals", ())
    if not isinstance(given, int):
        return tuple(given)
    if given not in PLANES_BY_COUNT:
        raise InputError(
            f"{name} with {given} proposals",
            "one of " + ", ".join(map(str, PLANES_BY_COUNT)),
            "name its planes in the header, or save the model again with the version that trained it",
        )
    return PLANES_BY_COUNT[given]


def _fits(model: Model4DSpec, sync: SyncSpec, dropped: str) -> bool:
    own = replace(model, variant=sync.variant, dropped=dropped, sync_rank=sync.rank).sync
    return own.resolved() == sync.resolved()
