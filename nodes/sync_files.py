"""Files with sync weights, in the host's models folder."""

from __future__ import annotations

import os
from pathlib import Path

import folder_paths

from ..fourreal_core.errors import InputError

FOLDER = "fourreal"
"""Folder in the host's ``models`` for this extension's checkpoints and sync weights."""
SUFFIX = ".safetensors"
NONE = "none"
"""What a list of files offers where no file is wanted."""


def register_folder() -> None:
    """Makes ``models/fourreal`` known to the host, together with folders that its configuration names for it."""
    known = folder_paths.folder_names_and_paths
    path = os.path.join(folder_paths.models_dir, FOLDER)
    paths = list(known[FOLDER][0]) if FOLDER in known else []
    if path not in paths:
        known[FOLDER] = ([*paths, path], {SUFFIX})


def list_files() -> list[str]:
    """``none``, and the files of the folder."""
    register_folder()
    return [NONE, *folder_paths.get_filename_list(FOLDER)]


def file_path(name: str) -> Path | None:
    """The file of a name that ``list_files`` gave; None for ``none``.

    Raises:
        InputError: There is no such file any more.
    """
    if name in ("", NONE):
        return None
    register_folder()
    found = folder_paths.get_full_path(FOLDER, name)
    if found is None:
        raise InputError(
            f"no file {name!r} in models/{FOLDER}",
            "one that exists",
            "choose another file; press R to read the folder again",
        )
    return Path(found)
