"""Weights of optional trackers, in the host's models folder."""

from __future__ import annotations

import os
from pathlib import Path

import folder_paths

from ..fourreal_core.errors import InputError
from ..fourreal_core.media.files import output_path

FOLDER, SUFFIXES, NONE = "fourreal", (".pth", ".safetensors"), "none"


def list_weights() -> list[str]:
    """``none``, and the weights that lie in ``models/fourreal``."""
    folder = Path(folder_paths.models_dir, FOLDER)
    found = sorted(p.name for p in folder.glob("*") if p.suffix in SUFFIXES and p.is_file())
    return [NONE, *found]


def weights_path(name: str) -> Path | None:
    """The file of a name that ``list_weights`` gave; None for ``none``.

    Raises:
        InputError: There is no such file, or it lies elsewhere.
    """
    if name in ("", NONE):
        return None
    path = output_path(os.path.join(folder_paths.models_dir, FOLDER), name)
    if path.suffix not in SUFFIXES or not path.is_file():
        raise InputError(
            f"no weights {name!r} in models/{FOLDER}",
            f"a file that ends in {' or '.join(SUFFIXES)}",
            "choose another file; press R to read the folder again",
        )
    return path
