"""Sync weights alone: a small file that names the base model it was trained on by its fingerprint."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict

import torch

from ..errors import InputError
from .checkpoints import load_strictly, read_checkpoint, spec_from, write_checkpoint
from .fingerprint import Fingerprint, check_base
from .sync import Sync, SyncSpec

KIND = "fourreal-sync"
_BASE = "base"


def save_sync(
    path: str | os.PathLike[str],
    sync: Sync,
    base: Fingerprint,
    metadata: Mapping[str, str] | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Writes the weights of trained sync layers.

    Args:
        path: File name, usually ending in ``.safetensors``.
        sync: What to save.
        base: Fingerprint of the base model that they were trained on.
        metadata: More lines for the header (licence, training).
        dtype: Type in which the weights are kept; their own if None.

    Raises:
        InputError: An untrained rule, weights that are not finite, or a folder that can't be written.
    """
    if not sync.spec.trained:
        raise InputError(
            f"the untrained sync variant {sync.spec.variant!r}",
            "a trained one",
            "name the variant instead: it has no weights to save",
        )
    header = {**(metadata or {}), _BASE: base.to_json()}
    write_checkpoint(path, KIND, asdict(sync.spec), sync.state_dict(), header, dtype)


def load_sync(path: str | os.PathLike[str], base: Fingerprint | None = None) -> Sync:
    """Reads sync weights that ``save_sync`` wrote, as float32.

    Args:
        path: The file.
        base: Fingerprint of the base model that they will run in; not checked if None.

    Raises:
        InputError: Another kind of file, tensors missing or unexpected, or weights made for another base model.
    """
    checkpoint = read_checkpoint(path, KIND)
    spec = spec_from(checkpoint, SyncSpec)
    if base is not None:
        check_base(Fingerprint.from_json(checkpoint.metadata.get(_BASE, "")), base, checkpoint.name)
    sync = Sync(spec)
    load_strictly(sync, checkpoint.tensors, checkpoint.name)
    return sync
